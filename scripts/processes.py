"""Start programs so that they always end: through a keeper process, and with a mark that finds what is left of them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
# Every process of a stack carries its folder in this variable: process ids are used again, this is not.
MARK = "SAAGIE_STACK_FOLDER"
# And the program's name in this one, given by the keeper.
NAME = "SAAGIE_STACK_PROGRAM"
# What the user's shell says about their own Airflow or Python must not reach ours.
FOREIGN = ("AIRFLOW", "_AIRFLOW", "PYTHON", "OTEL_", "OPENLINEAGE", "SAAGIE_")
LOOPBACK = "127.0.0.1,localhost,::1"


class StackError(Exception):
    """Something that the user has to know; its text is all that they see."""


@dataclass(frozen=True)
class Program:
    """A program of a stack.

    :param name: also its log file's name.
    :param command: the executable and its arguments.
    :param env: its whole environment.
    :param once: it has to end with 0 before the next program is started.
    :param stop_signal: what it is asked to stop with.
    :param restarts: it is started anew where it ends by itself; without it, its end stops all the others.
    """

    name: str
    command: list[str]
    env: dict[str, str]
    once: bool = False
    stop_signal: str = "SIGTERM"
    restarts: bool = False


@dataclass
class Kept:
    """Programs that run under a keeper.

    :param folder: the stack's folder; logs lie in its `logs`.
    :param keeper: the keeper's process.
    :param grace: how many seconds the programs have to stop.
    """

    folder: Path
    keeper: subprocess.Popen[bytes]
    grace: float

    def check(self) -> None:
        """Raise when the programs run no longer, with the last lines of the one that ended first.

        :raises StackError: says which program it was.
        """
        if self.keeper.poll() is None:
            return
        ended = self.folder / "ended.json"
        if not ended.exists():
            raise StackError("The programs were stopped from outside.")
        culprit = json.loads(ended.read_text(encoding="utf-8"))
        name, code = culprit["program"], culprit["code"]
        how = f"ended with code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
        raise StackError(f"{name} {how}. {log_tail(self.folder, name)}")

    def stop(self) -> None:
        """Stop all programs; when this returns no process of theirs is left."""
        if self.keeper.stdin:
            self.keeper.stdin.close()
        self.keeper.terminate()
        try:
            self.keeper.wait(self.grace + 5)
        except subprocess.TimeoutExpired:
            self.keeper.kill()
            self.keeper.wait()
        sweep(self.folder)


def clean_environment(folder: Path) -> dict[str, str]:
    """Return the user's environment without what could mislead our programs, marked as belonging to `folder`."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    env |= {
        MARK: str(folder),
        "SPT_NOENV": "1",  # setproctitle would overwrite the environment that the mark is read from
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', os.defpath)}",
        "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": LOOPBACK,
        "no_proxy": LOOPBACK,
    }
    return env


def opened_for_owner(path: Path) -> TextIO:
    """Open a file anew for writing; nobody but its owner may read what a new one holds."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8")


def start(programs: list[Program], folder: Path, *, grace: float, detached: bool = False) -> Kept:
    """Start programs under a keeper.

    :param programs: started in this order.
    :param folder: gets `logs/NAME.log` for each.
    :param grace: seconds that they have to stop when asked to.
    :param detached: they outlive this process; without it they end when it does, however it does.
    :return: the running programs.
    """
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # logs and databases in it are nobody else's business
    (folder / "ended.json").unlink(missing_ok=True)
    spec = {
        "detached": detached,
        "grace": grace,
        "ended": str(folder / "ended.json"),
        "programs": [
            asdict(program) | {"log": str(logs / f"{program.name}.log"), "cwd": str(folder)} for program in programs
        ],
    }
    with (logs / "keeper.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "scripts.keeper"],
            cwd=ROOT,
            env=clean_environment(folder),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    assert keeper.stdin  # noqa: S101 - it was asked for two lines above
    keeper.stdin.write(json.dumps(spec).encode() + b"\n")
    keeper.stdin.flush()
    if detached:
        keeper.stdin.close()
    return Kept(folder=folder, keeper=keeper, grace=grace)


def marked(folder: Path) -> list[psutil.Process]:
    """Return the living processes that were started for a stack's folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def program_of(folder: Path, name: str) -> psutil.Process | None:
    """Return the process that the keeper has started for a program, None where it is away at the moment."""
    for keeper in keepers(folder):
        with contextlib.suppress(psutil.Error):
            for process in keeper.children():
                # It leads a session of its own; what a killed program has left behind doesn't.
                with contextlib.suppress(psutil.Error, OSError):
                    if process.environ().get(NAME) == name and os.getsid(process.pid) == process.pid:
                        return process
    return None


def keepers(folder: Path) -> list[psutil.Process]:
    """Return the keepers that run for a stack's folder."""
    found = []
    for process in marked(folder):
        with contextlib.suppress(psutil.Error):
            if "scripts.keeper" in process.cmdline():
                found.append(process)
    return found


def sweep(folder: Path, grace: float = 2.0) -> int:
    """End whatever a stack has left behind, such as after a kill -9.

    :param folder: the stack's folder.
    :param grace: seconds between the polite signal and the other one.
    :return: how many processes were found.
    """
    found = marked(folder)
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    psutil.wait_procs(found, timeout=grace)
    while left := marked(folder):
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=1)
    return len(found)


def log_tail(folder: Path, name: str, lines: int = 15) -> str:
    """Return the last lines of a program's log, with a line that says what they are."""
    path = folder / "logs" / f"{name}.log"
    text = path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
    if not text:
        return "It wrote nothing."
    return "\n".join([f"Its last lines ({folder.name}/logs/{name}.log):", *text.splitlines()[-lines:]])


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a file's lock; it is free again when this process ends, however it does.

    :param path: made where it is missing.
    :raises StackError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                f"Another run is busy in {path.parent.name}/ of this checkout; let it end first."
            ) from None
        yield


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Have SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt, also where a shell started us with SIGINT ignored."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Ignore SIGINT, SIGTERM and SIGHUP for the short while that stopping takes."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
