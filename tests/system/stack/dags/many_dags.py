"""Many tasks at once: each runs the job that the run's configuration names, and says what it is told."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator

with DAG("many_at_once", schedule=None):

    @task
    def jobs(**context: Any) -> list[str]:
        """List the job once for each task."""
        conf = context["dag_run"].conf
        return [conf["job_id"]] * conf["tasks"]

    SaagieRunJobOperator.partial(task_id="run", deferrable=True, poll_interval=2).expand(job_id=jobs())
