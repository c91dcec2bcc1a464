"""DAGs of one task that runs a job, deferred or in a worker; the run's configuration names the job."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_provider_saagie.operators import deadlines
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator

# A stuck triggerer is noticed sooner than a minute after the deadline; in these tasks' own processes only.
deadlines.BACKSTOP = 2.0

TIMEOUT, SECOND = timedelta(seconds=25), timedelta(seconds=1)
RETRIES = Path(__file__).with_name("edited_retries.txt")  # a test edits it, as an author edits a DAG
ONCE = {"retries": 2, "retry_delay": SECOND, "saagie_conn_id": "saagie_short"}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "left": {"stop_on_kill": False},
    "retried": {"retries": 1, "retry_delay": SECOND},
    "skipped": {"skip_on": ["FAILED"]},
    "limited": {"execution_timeout": TIMEOUT},
    "timed": {"timeout": TIMEOUT},
    "once": ONCE,
    "edited": {**ONCE, "retries": int(RETRIES.read_text()) if RETRIES.exists() else 2},
}

for kind, options in KINDS.items():
    for deferrable in (True, False):
        with DAG(f"{kind}_{'deferred' if deferrable else 'running'}", schedule=None):
            if kind == "once":
                EmptyOperator(task_id="sibling")
            SaagieRunJobOperator(
                task_id="run",
                job_id="{{ dag_run.conf['job_id'] }}",
                deferrable=deferrable,
                poll_interval=1,
                **options,
            )
