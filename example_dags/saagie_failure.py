"""
### What a failure looks like

The job of this DAG fails on purpose. Look at the log of **run_failing_job**: its last lines say how the instance ended,
whose fault it was, what to do, and where to look, with the last lines of the job's stderr.
"""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_saagie.operators.saagie import SaagieCreateOrUpgradeJobOperator, SaagieRunJobOperator

with DAG("saagie_failure", schedule=None, catchup=False, tags=["saagie", "example"], doc_md=__doc__):
    deploy_failing_job = SaagieCreateOrUpgradeJobOperator(
        task_id="deploy_failing_job",
        job_name="Airflow failure",
        project_name="Demo",
        file="jobs/fails.py",
        runtime_version="3.11",
        command_line="python {file}",
    )

    run_failing_job = SaagieRunJobOperator(
        task_id="run_failing_job",
        job_id=deploy_failing_job.output,
        deferrable=True,
        poll_interval=5,
        retries=0,
    )
