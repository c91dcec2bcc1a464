"""Run tasks that the chaos driver strikes: deferred, waiting in the worker, mapped, and several on one job."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import chaos_points
from airflow.sdk import DAG

from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator

# The driver writes another number there where retries are to be edited.
EDITED = Path(__file__).parent / "retries.txt"
OPTIONS: dict[str, Any] = {
    "saagie_conn_id": "saagie_short",
    "poll_interval": 2,
    "retries": int(EDITED.read_text()) if EDITED.exists() else 8,
    "retry_delay": timedelta(seconds=1),
    "stream_logs": False,
    "stop_timeout": 60,
}
JOB = "{{ dag_run.conf['job_id'] }}"
SIBLINGS = 3


def dag(name: str) -> DAG:
    """Make a DAG of which many runs go on at a time."""
    return DAG(f"chaos_{name}", schedule=None, max_active_runs=200)


with dag("deferred"):
    SaagieRunJobOperator(task_id="run", job_id=JOB, deferrable=True, **OPTIONS)

with dag("waiting"):
    SaagieRunJobOperator(task_id="run", job_id=JOB, deferrable=False, **OPTIONS)

with dag("deferred_once"):
    SaagieRunJobOperator(task_id="run", job_id=JOB, deferrable=True, **OPTIONS | {"retries": 0})

with dag("waiting_once"):
    SaagieRunJobOperator(task_id="run", job_id=JOB, deferrable=False, **OPTIONS | {"retries": 0})

with dag("mapped"):
    SaagieRunJobOperator.partial(task_id="run", deferrable=True, **OPTIONS).expand(job_id=[JOB])

for doubt in ("adopt", "fail"):
    with dag(f"shared_{doubt}"):
        SaagieRunJobOperator.partial(task_id="run", deferrable=True, on_lost_submit=doubt, **OPTIONS).expand(
            job_id=[JOB] * SIBLINGS
        )

for many in ("thousand", "crowd"):
    with dag(many):
        # None of them is started: `park.py` writes them into the database as they are while they wait.
        SaagieRunJobOperator.partial(task_id="run", deferrable=True, pool="parked", **OPTIONS).expand(
            job_id=[JOB] * (1000 if many == "thousand" else 200)
        )

chaos_points.arm()
