"""Makes room for thousands of tasks on a small machine; Airflow imports a module of this name from its plugins folder.

- What a run task needs is loaded into the scheduler, so that thousands of forked tasks don't each load it anew.
- All others yield to the triggerer, which has a machine of its own elsewhere: each of Airflow's programs is a session,
  and Linux shares its processors out among sessions.
- The triggerer's collector leaves alone what Airflow itself has loaded: a full collection of that, without a single
  trigger, takes 0.17 s of CPU here, and Airflow calls a loop blocked after 0.2 s (docs/operations.md).
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

if "triggerer" in sys.argv:
    os.register_at_fork(after_in_child=gc.freeze)  # the triggers' loop runs in a fork
elif os.getpid() == os.getsid(0):
    with suppress(OSError):  # a kernel without groups by session
        Path("/proc/self/autogroup").write_text("10")
