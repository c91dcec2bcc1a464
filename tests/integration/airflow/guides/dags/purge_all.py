"""What the guide "Purge" shows: all jobs of a project, once a week."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_provider_saagie.hooks.saagie import SaagieHook
from airflow_provider_saagie.operators.saagie import SaagiePurgeInstancesOperator

with DAG("purge_all", schedule="@weekly", catchup=False):

    @task
    def jobs() -> list[str]:
        """List the project's jobs."""
        client = SaagieHook().get_conn()
        found = client.jobs.list_for_project_minimal(client.get_project_id("Demo"))
        return [job["id"] for job in found["jobs"]]

    purge = SaagiePurgeInstancesOperator.partial(
        task_id="purge",
        older_than=timedelta(days=30),
        keep_last=10,
        max_active_tis_per_dagrun=4,
    ).expand(job_id=jobs())
