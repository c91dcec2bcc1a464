"""A task that waits in the triggerer for the job which the run's configuration names, for people to look at."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator

with DAG("watched_deferred", schedule=None):
    SaagieRunJobOperator(task_id="run", job_id="{{ dag_run.conf['job_id'] }}", deferrable=True, poll_interval=1)
