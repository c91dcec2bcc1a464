"""Tasks that run one job each, for the tests of submit once; the run's configuration names the job."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator

RETRIES = Path(__file__).with_name("once_retries.txt")  # a test edits it, as an author edits a DAG

for deferrable in (True, False):
    with DAG(f"once_{'deferred' if deferrable else 'running'}", schedule=None):
        EmptyOperator(task_id="sibling")
        SaagieRunJobOperator(
            task_id="run",
            job_id="{{ dag_run.conf['job_id'] }}",
            saagie_conn_id="saagie_short",
            deferrable=deferrable,
            poll_interval=1,
            retries=int(RETRIES.read_text()) if RETRIES.exists() else 2,
            retry_delay=timedelta(seconds=1),
        )
