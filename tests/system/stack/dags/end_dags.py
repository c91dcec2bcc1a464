"""Tasks that run one job each, for the tests of its ends; the run's configuration names the job."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_saagie.operators import deadlines
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator

# A stuck triggerer is noticed sooner than a minute after the deadline; in these tasks' own processes only.
deadlines.BACKSTOP = 2.0

TIMEOUT = timedelta(seconds=25)
KINDS: dict[str, dict[str, Any]] = {
    "ends": {"retries": 1, "retry_delay": timedelta(seconds=1)},
    "limited": {"execution_timeout": TIMEOUT},
    "timed": {"timeout": TIMEOUT},
}

for kind, options in KINDS.items():
    for deferrable in (True, False):
        with DAG(f"{kind}_{'deferred' if deferrable else 'running'}", schedule=None):
            SaagieRunJobOperator(
                task_id="run",
                job_id="{{ dag_run.conf['job_id'] }}",
                deferrable=deferrable,
                poll_interval=1,
                **options,
            )
