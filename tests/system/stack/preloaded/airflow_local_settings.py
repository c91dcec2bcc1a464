"""Makes room for thousands of tasks on a small machine; Airflow imports a module of this name from its plugins folder.

- What a run task needs is loaded into the scheduler, so that thousands of forked tasks don't each load it anew.
- The triggerer goes first, as on a machine of its own: each of Airflow's programs is a session, and Linux shares its
  processors out among sessions.
- The triggerer's collector leaves alone what Airflow itself has loaded, and is called less often: a full collection of
  that, without a single trigger, takes 0.17 s of CPU here, and Airflow tells of a loop that is 0.1 s late
  (docs/operations.md).
"""

import gc
import importlib
import os
import sys
from contextlib import suppress
from pathlib import Path

__all__: list[str] = []

NEEDED = (
    "airflow.sdk.execution_time.task_runner",
    "airflow_provider_saagie.client.run_once",
    "airflow_provider_saagie.client.session",
    "airflow_provider_saagie.operators.ending",
    "airflow_provider_saagie.operators.saagie",
    "airflow_provider_saagie.triggers.saagie",
    "gql",
    "requests",
)

if "scheduler" in sys.argv:
    for name in NEEDED:
        importlib.import_module(name)


def _spare_the_collector() -> None:
    gc.freeze()
    gc.set_threshold(50_000)


def _go(priority: int) -> None:
    """Set the weight of this session, as nice does for a process: below zero for root only."""
    with suppress(OSError):  # not root, or a kernel that doesn't share among sessions
        Path("/proc/self/autogroup").write_text(str(priority))


if os.getpid() == os.getsid(0):  # a program, not one of its forks
    _go(-15 if "triggerer" in sys.argv else 10)
    if "triggerer" in sys.argv:
        os.register_at_fork(after_in_child=_spare_the_collector)  # the triggers' loop runs in a fork
