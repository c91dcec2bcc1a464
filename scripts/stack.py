"""A whole stack on this machine: a local Saagie and a real Airflow, in one folder, on free ports."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from scripts import processes
from scripts.airflow_api import AirflowApi
from scripts.airflow_settings import LOGIN, AirflowSettings, free_port, new_password, programs, write_configuration
from scripts.processes import Kept, Program, StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

CONNECTION = "saagie_default"
SAAGIE_LOGIN = "airflow"
REALM = "local"
PLATFORM = "1"
READY = re.compile(r"Saagie emulator listening on (http://\S+)")
PORT_TAKEN = "address already in use"
TRIES = 3


@dataclass(frozen=True)
class Wishes:
    """What a stack shall be like.

    :param folder: holds everything that it writes.
    :param dags: the folder with the DAG files.
    :param airflow_password: of the user `admin`.
    :param saagie_password: of the local Saagie's user.
    :param airflow_port: taken where it is free.
    :param saagie_port: taken where it is free.
    :param parallelism: how many tasks Airflow runs at once.
    :param dag_interval: seconds after which Airflow reads the DAG files anew.
    :param grace: seconds that the programs have to stop.
    :param detached: the stack outlives this process.
    :param more_options: what else is to differ from Airflow's defaults, by section of its configuration.
    :param programs: gives the programs that make the Airflow.
    :param saagie_options: more of the local Saagie's command line.
    :param saagie_restarts: whether the local Saagie is started anew where it ends, on the same port.
    :param saagie_keeps_password: whether its password lies in its folder, where it can be changed.
    """

    folder: Path
    dags: Path
    airflow_password: str
    saagie_password: str
    airflow_port: int | None = None
    saagie_port: int | None = None
    parallelism: int = 2
    dag_interval: int = 300
    grace: float = 2
    detached: bool = False
    more_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    programs: Callable[[AirflowSettings, Path], list[Program]] = programs
    saagie_options: tuple[str, ...] = ()
    saagie_restarts: bool = False
    saagie_keeps_password: bool = False


@dataclass
class Stack:
    """A running stack.

    :param kept: its processes.
    :param settings: its Airflow's settings.
    :param airflow: the REST API, logged in once `wait_for_airflow` is through.
    :param saagie_url: address of the local Saagie, known once `wait_for_saagie` is through.
    """

    kept: Kept
    wishes: Wishes
    settings: AirflowSettings
    airflow: AirflowApi
    saagie_url: str = ""

    def stop(self) -> None:
        """Stop everything; when this returns no process is left."""
        self.airflow.close()
        self.kept.stop()

    @property
    def connection(self) -> dict[str, Any]:
        """The connection to the local Saagie, with the fields of Airflow's REST API."""
        return saagie_connection(self.saagie_url, self.wishes.saagie_password)


def saagie_connection(url: str, password: str) -> dict[str, Any]:
    """Return a connection to a local Saagie, with the fields of Airflow's REST API."""
    return {
        "connection_id": CONNECTION,
        "conn_type": "saagie",
        "description": "The local Saagie of this checkout",
        "host": url,
        # Airflow 3.3.1 and 3.3.2 answer 400 to the Test button where no port is stored (apache/airflow#73298).
        "port": urlsplit(url).port,
        "login": SAAGIE_LOGIN,
        "password": password,
        # A number: for a text that short Airflow's masker would put a warning into each task's log.
        "extra": json.dumps({"realm": REALM, "platform_id": int(PLATFORM)}),
    }


def emulator(wishes: Wishes) -> Program:
    """Return the program that is the local Saagie."""
    port = free_port(wishes.saagie_port) if wishes.saagie_port or wishes.saagie_restarts else 0
    options = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--login": SAAGIE_LOGIN,
        "--realm": REALM,
        "--platform": PLATFORM,
        "--data": str(wishes.folder / "saagie"),
    }
    command = [sys.executable, "-m", "airflow_provider_saagie.emulator"]
    for name, value in options.items():
        command += [name, value]
    command += wishes.saagie_options
    # The password goes by the environment: everyone on the machine can read a command line.
    env = processes.clean_environment(wishes.folder)
    if wishes.saagie_keeps_password:
        keep_password(wishes.folder, wishes.saagie_password)
    else:
        env |= {"SAAGIE_EMULATOR_PASSWORD": wishes.saagie_password}
    return Program("saagie", command, env, restarts=wishes.saagie_restarts)


def keep_password(folder: Path, password: str) -> None:
    """Write the password into the local Saagie's folder, which reads it as it starts."""
    file = folder / "saagie" / "password"
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with processes.opened_for_owner(file) as stream:
        stream.write(password)


def launch(wishes: Wishes) -> Stack:
    """Start all programs of a stack; they are not ready yet."""
    settings = AirflowSettings(
        home=wishes.folder / "airflow",
        port=free_port(wishes.airflow_port),
        dags=wishes.dags,
        password=wishes.airflow_password,
        parallelism=wishes.parallelism,
        dag_interval=wishes.dag_interval,
        more_options=wishes.more_options,
    )
    write_configuration(settings)
    for log in (wishes.folder / "logs").glob("*.log"):
        log.unlink()
    everything = [emulator(wishes), *wishes.programs(settings, wishes.folder)]
    kept = processes.start(everything, wishes.folder, grace=wishes.grace, detached=wishes.detached)
    return Stack(kept, wishes, settings, AirflowApi(settings.url, LOGIN, wishes.airflow_password))


def wait_for_saagie(stack: Stack, seconds: float = 60) -> None:
    """Wait until the local Saagie says where it listens.

    :raises StackError: it ended, or says nothing in time.
    """
    log = stack.wishes.folder / "logs" / "saagie.log"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        stack.kept.check()
        if log.exists() and (found := READY.search(log.read_text(encoding="utf-8", errors="replace"))):
            stack.saagie_url = found[1]
            return
        time.sleep(0.1)
    raise StackError(f"The local Saagie is not ready after {seconds:.0f} s. " + tail(stack, "saagie"))


def wait_for_airflow(stack: Stack, seconds: float = 120) -> None:
    """Wait until all of Airflow's components are healthy, and log in.

    :raises StackError: one ended, or they are not healthy in time.
    """
    deadline = time.monotonic() + seconds
    missing = ["api-server"]
    while time.monotonic() < deadline:
        stack.kept.check()
        if not (missing := stack.airflow.unhealthy()):
            try:
                stack.airflow.log_in()
            except requests.HTTPError:
                raise StackError(f"The Airflow at {stack.settings.url} is not ours ({PORT_TAKEN}).") from None
            except requests.RequestException:
                missing = ["api-server"]  # it is too busy to answer: it is asked again
            else:
                return
        time.sleep(0.2)
    culprit = f"airflow-{missing[0].replace('_', '-')}"
    # In a cluster there are two of it, whose names have a number.
    culprit = min((log.stem for log in (stack.wishes.folder / "logs").glob(f"{culprit}*.log")), default=culprit)
    raise StackError(f"Airflow's {missing[0]} is not healthy after {seconds:.0f} s. " + tail(stack, culprit))


def tail(stack: Stack, name: str) -> str:
    """Return the last lines of a program's log, with a line that says what they are."""
    return processes.log_tail(stack.wishes.folder, name)


def start(wishes: Wishes, *, saagie_ready: Callable[[Stack], None] = lambda _: None) -> Stack:
    """Start a stack and wait until it is healthy; where a port was taken under our nose, try again with others.

    :param wishes: what it shall be like.
    :param saagie_ready: called when the local Saagie is there, while Airflow still starts.
    :return: the stack, its connection made.
    :raises StackError: it could not be started; nothing of it is left then.
    """
    for attempt in range(1, TRIES + 1):
        stack = launch(wishes)
        try:
            wait_for_saagie(stack)
            saagie_ready(stack)
            wait_for_airflow(stack)
        except StackError as error:
            stop_undisturbed(stack)
            if attempt == TRIES or PORT_TAKEN not in str(error).lower():
                raise
        except BaseException:
            stop_undisturbed(stack)
            raise
        else:
            return stack
    raise AssertionError("not reached")


def stop_undisturbed(stack: Stack) -> None:
    """Stop a stack; a second Ctrl-C has to wait for that."""
    with processes.signals_held():
        stack.stop()


@contextlib.contextmanager
def temporary(folder: Path, dags: Path, *, parallelism: int = 2, **wishes: Any) -> Iterator[Stack]:
    """Run a stack with its connection, and leave nothing running behind.

    :param folder: emptied first; whatever still ran from it is ended.
    :param dags: the folder with the DAG files.
    :param parallelism: how many tasks Airflow runs at once.
    :param wishes: more of `Wishes`.
    """
    clear(folder)
    stack = start(Wishes(folder, dags, new_password(), new_password(), parallelism=parallelism, **wishes))
    try:
        stack.airflow.put_connection(stack.connection)
        yield stack
    finally:
        stop_undisturbed(stack)


def clear(folder: Path) -> None:
    """End what still runs from a folder and empty it, but for the lock that the caller may hold."""
    processes.sweep(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.name == "lock":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
