"""What the guide "Moving" shows: the same work before and after."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_provider_saagie.hooks.saagie import SaagieHook
from airflow_provider_saagie.operators.saagie import SaagieCreateOrUpgradeJobOperator, SaagieRunJobOperator

with DAG("moved_blocking", schedule=None) as blocking:

    @task
    def load_orders() -> str:
        """Hold a worker slot for as long as the job runs."""
        jobs = SaagieHook().jobs
        job_id = jobs.get_id("Load orders", "Demo")
        status, instance_id = jobs.run_with_callback(job_id, freq=10, timeout=7200)
        if status != "SUCCEEDED":
            raise RuntimeError(f"{instance_id} ended as {status}")
        return instance_id

    load_orders()

with DAG("moved_deferred", schedule=None) as deferred:
    SaagieRunJobOperator(
        task_id="load_orders",
        job_name="Load orders",
        project_name="Demo",
        deferrable=True,
        timeout=timedelta(hours=2),
        retries=2,
    )

with DAG("moved_deployment", schedule=None) as deployment:

    @task
    def deploy() -> str:
        """Make the job, or add a version to it."""
        client = SaagieHook().get_conn()
        client.jobs.create_or_upgrade(
            "Load orders",
            client.get_project_id("Demo"),
            file="jobs/load_orders.py",
            runtime_version="3.11",
            command_line="python {file}",
        )
        return client.jobs.get_id("Load orders", "Demo")

    deploy()

with DAG("moved_deployed", schedule=None) as deployed:
    SaagieCreateOrUpgradeJobOperator(
        task_id="deploy",
        job_name="Load orders",
        project_name="Demo",
        file="jobs/load_orders.py",
        runtime_version="3.11",
        command_line="python {file}",
    )
