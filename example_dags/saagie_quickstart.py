"""
### From a script to a finished Saagie job

1. **deploy** creates a Saagie job from `jobs/hello.py`; when nothing has changed since, it leaves the job alone;
2. **run** starts it and waits in the triggerer, without a worker slot; the job's output appears in this task's log;
3. **wait** waits for the instance with a sensor, as a DAG does that doesn't run the job itself;
4. **purge** deletes the job's older instances, and keeps the newest.

It needs a connection `saagie_default` and a project named `Demo`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_saagie.operators.saagie import (
    SaagieCreateOrUpgradeJobOperator,
    SaagiePurgeInstancesOperator,
    SaagieRunJobOperator,
)
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor

with DAG(
    "saagie_quickstart",
    schedule=None,
    catchup=False,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=5)},
    tags=["saagie", "example"],
    doc_md=__doc__,
):
    deploy = SaagieCreateOrUpgradeJobOperator(
        task_id="deploy",
        job_name="Airflow quickstart",
        project_name="Demo",
        file="jobs/hello.py",  # beside this file
        runtime_version="3.11",
        command_line="python {file}",
        release_note="Deployed by {{ dag.dag_id }}",
    )

    run = SaagieRunJobOperator(
        task_id="run",
        job_id=deploy.output,
        deferrable=True,
        poll_interval=5,
    )

    wait = SaagieJobInstanceSensor(
        task_id="wait",
        instance_id=run.output,
        deferrable=True,
    )

    purge = SaagiePurgeInstancesOperator(
        task_id="purge",
        job_id=deploy.output,
        selector="SUCCEEDED",
        keep_last=1,
    )

    deploy >> run >> wait >> purge
