"""Ends processes that an emulator, killed before it could do so itself, has left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from airflow_provider_saagie.emulator.engine.workspace import INSTANCE_VARIABLE


def end_processes(instance_ids: set[str]) -> int:
    """Kill the processes that surely belong to given instances: the kernel says that they were started with their id.

    Where the machine has no /proc, nothing is found and nothing is killed.

    :param instance_ids: the instances' ids.
    :return: how many processes were killed.
    """
    if not instance_ids:
        return 0
    wanted = {f"{INSTANCE_VARIABLE}={one}".encode() for one in instance_ids}
    killed = 0
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        if pid != os.getpid() and wanted & _environment(entry):
            try:
                os.kill(pid, signal.SIGKILL)
                killed += 1
            except (ProcessLookupError, PermissionError):
                continue
    return killed


def _environment(entry: Path) -> set[bytes]:
    try:
        return set((entry / "environ").read_bytes().split(b"\0"))
    except OSError:
        return set()  # it has ended, or is somebody else's
