"""Loads into Airflow's scheduler what a run task needs, so that thousands of forked tasks don't each load it anew.

Airflow imports a module of this name from its plugins folder. Only the scheduler forks tasks.
"""

import importlib
import sys

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
