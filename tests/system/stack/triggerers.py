"""Triggerers of a stack: its own, which can be suspended, and a second one."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from scripts import airflow_settings, processes
from scripts.stack import Stack

TRIGGERER = [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"]


@contextmanager
def second_triggerer(stack: Stack, lost_after: int) -> Iterator[None]:
    """Run a second triggerer for the length of a block; it ends like one whose machine is drained.

    :param lost_after: seconds without a heartbeat until it takes over from the other.
    """
    env = airflow_settings.environment(stack.settings, stack.wishes.folder)
    env["AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD"] = str(lost_after)
    with (stack.wishes.folder / "logs" / "another-triggerer.log").open("w") as log:
        process = subprocess.Popen(TRIGGERER, env=env, stdout=log, stderr=log, cwd=stack.wishes.folder)
        try:
            yield
        finally:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            process.terminate()
            _, left = psutil.wait_procs(family, timeout=20)
            for slow in left:
                slow.kill()  # the other triggerer takes over anyway, only later
            process.wait()


def own_triggerer(stack: Stack) -> list[psutil.Process]:
    """Find the processes of the stack's own triggerer."""
    (keeper,) = processes.keepers(stack.wishes.folder)
    for process in keeper.children():
        with suppress(psutil.Error):
            if "triggerer" in process.cmdline():
                return [process, *process.children(recursive=True)]
    raise AssertionError("the stack has no triggerer")


@contextmanager
def suspended(family: list[psutil.Process]) -> Iterator[None]:
    """Suspend processes for the length of a block."""
    for process in family:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in family:
            process.send_signal(signal.SIGCONT)
