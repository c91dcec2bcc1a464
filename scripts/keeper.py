"""Run several programs as one, and leave no process behind.

Started by `scripts.processes`; its standard input gives one line of JSON (made by `processes.start`) and then stays
open: when it closes, whoever started the keeper is gone, however they went. The keeper ends all programs when that
happens, when it is told to by a signal, and when one of the programs ends by itself, except for those that it starts
anew. On Linux every orphan below it becomes its child, so that a program that forks away is found too.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import psutil

from scripts.processes import NAME

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LOOK_EVERY = 0.1  # seconds
RESTART_AFTER = 1.0  # seconds


def prctl(option: int, value: int) -> None:
    """Call Linux's prctl; elsewhere do nothing, and the sweep in `processes` does what it can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def launch(program: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start one program, its output going to its log file; it gets its stop signal should the keeper be killed."""
    stop_signal = signal.Signals[program["stop_signal"]]
    with Path(program["log"]).open("ab") as log:
        return subprocess.Popen(
            program["command"],
            cwd=program["cwd"],
            env=program["env"] | {NAME: program["name"]},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # The keeper has one thread only, so the deadlocks that preexec_fn is known for can't happen.
            preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, stop_signal),  # noqa: PLW1509
        )


class StopRequest:
    """Whether the keeper was asked to stop: by a signal, or by the end of its standard input."""

    def __init__(self, *, lifeline: bool) -> None:
        self.asked = False
        self.lifeline = lifeline
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, *_: object) -> None:
        self.asked = True

    def wait(self, seconds: float) -> bool:
        """Wait a moment, and return whether a stop was asked for."""
        watched = [sys.stdin.buffer] if self.lifeline else []
        readable, _, _ = select.select(watched, [], [], 0 if self.asked else seconds)
        if readable and not os.read(sys.stdin.fileno(), 4096):
            self.asked = True
        return self.asked


def keep(
    programs: list[dict[str, Any]], stop: StopRequest, running: dict[str, subprocess.Popen[bytes]]
) -> dict[str, Any] | None:
    """Start the programs in order and watch them.

    :param programs: one with `once` has to end with 0 before the next is started.
    :param stop: looked at all the time.
    :param running: filled with what was started.
    :return: the program that ended by itself, with its code; None when a stop was asked for.
    """
    pending = deque(programs)
    restarting = {program["name"]: program for program in programs if program["restarts"]}
    due: dict[str, float] = {}
    preparing: str | None = None
    while not stop.wait(LOOK_EVERY):
        for name, child in list(running.items()):
            code = child.poll()
            if code is None:
                continue
            if name in restarting:
                print(f"{name} ended with code {code}; it is started anew.", flush=True)
                due[name] = time.monotonic() + RESTART_AFTER
            elif name != preparing or code != 0:
                return {"program": name, "code": code}
            else:
                preparing = None
            del running[name]
        for name in [name for name, moment in due.items() if moment <= time.monotonic()]:
            del due[name]
            running[name] = launch(restarting[name])
        if restarting:
            reap_adopted(running)
        while pending and preparing is None:
            program = pending.popleft()
            running[program["name"]] = launch(program)
            if program["once"]:
                preparing = program["name"]
    return None


def end(programs: list[dict[str, Any]], running: dict[str, subprocess.Popen[bytes]], grace: float) -> None:
    """Ask each program to stop, give them `grace` seconds, then kill whatever is left below the keeper."""
    signals = {program["name"]: signal.Signals[program["stop_signal"]] for program in programs}
    for name, child in running.items():
        if child.poll() is None:
            child.send_signal(signals[name])
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and psutil.Process().children():
        reap()
        time.sleep(0.05)
    while left := psutil.Process().children(recursive=True):
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        reap()
        time.sleep(0.05)


def reap_adopted(running: dict[str, subprocess.Popen[bytes]]) -> None:
    """Collect those that have ended and were started by programs which are gone; a program's own end is left to it."""
    ours = {child.pid for child in running.values()}
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error, ChildProcessError):
            if process.pid not in ours and process.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(process.pid, os.WNOHANG)


def reap() -> None:
    """Collect every child that has ended, adopted ones too."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return


def main() -> int:
    """Read what to run from standard input, keep it running, end it."""
    spec = json.loads(sys.stdin.buffer.readline() or "null")
    if spec is None:  # whoever started the keeper was gone before it said what to run
        return 0
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    stop = StopRequest(lifeline=not spec["detached"])
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        culprit = keep(spec["programs"], stop, running)
    finally:
        end(spec["programs"], running, spec["grace"])
    if culprit is None:
        return 0
    Path(spec["ended"]).write_text(json.dumps(culprit), encoding="utf-8")
    return 1


if __name__ == "__main__":
    sys.exit(main())
