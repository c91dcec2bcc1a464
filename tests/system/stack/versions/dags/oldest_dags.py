"""The sensor, mapped tasks and the hook, for the suite that runs on every Airflow, beside ../../dags/run_dags.py."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor

JOB_ID = "{{ dag_run.conf['job_id'] }}"

for deferrable in (True, False):
    with DAG(f"oldest_sensor_{'deferred' if deferrable else 'running'}", schedule=None):
        # The job has no instance yet at the sensor's first poll: it pauses, then waits for an instance by its id.
        SaagieJobInstanceSensor(task_id="wait", job_id=JOB_ID, deferrable=deferrable, poke_interval=2, timeout=900)

with DAG("oldest_mapped", schedule=None):
    SaagieRunJobOperator.partial(task_id="run", deferrable=True, poll_interval=1).expand(
        job_id=task(task_id="jobs")(lambda dag_run=None: dag_run.conf["job_ids"])()
    )

with DAG("oldest_taskflow", schedule=None):

    @task
    def count(dag_run: Any = None) -> int:
        """Count a job's instances with the hook."""
        from airflow_provider_saagie.hooks.saagie import SaagieHook

        return len(SaagieHook().jobs.get_info(dag_run.conf["job_id"])["job"]["instances"])

    count()
