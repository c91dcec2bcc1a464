"""
### Keep a copy of a job, try it, and clean up

1. **deploy** creates a Saagie job from `jobs/hello.py`;
2. **export** writes it into a folder, in any storage that Airflow reaches;
3. **make_trial** creates a second job from that folder, under another name, as one would on another platform;
4. **start_trial** starts it without waiting, and **stop_trial** stops it if it still runs;
5. **roll_back** makes the first version of the job the current one again;
6. **delete_trial** deletes the second job, whatever became of it.

It needs a connection `saagie_default` and a project named `Demo`.
"""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_saagie.operators.saagie import (
    SaagieCreateOrUpgradeJobOperator,
    SaagieDeleteJobOperator,
    SaagieExportJobOperator,
    SaagieImportJobOperator,
    SaagieRollbackJobOperator,
    SaagieRunJobOperator,
    SaagieStopInstanceOperator,
)

with DAG(
    "saagie_job_care",
    schedule=None,
    catchup=False,
    params={"folder": "file:///tmp/saagie-exports"},  # or s3://aws_default@bucket/exports, and the like
    tags=["saagie", "example"],
    doc_md=__doc__,
):
    deploy = SaagieCreateOrUpgradeJobOperator(
        task_id="deploy",
        job_name="Airflow job care",
        project_name="Demo",
        file="jobs/hello.py",
        runtime_version="3.11",
        command_line="python {file}",
    )

    export = SaagieExportJobOperator(
        task_id="export",
        job_id=deploy.output,
        folder="{{ params.folder }}",
        versions_only_current=True,
    )

    make_trial = SaagieImportJobOperator(
        task_id="make_trial",
        folder=export.output,
        project_name="Demo",
        job_name="Trial of {{ run_id }}",
    )

    start_trial = SaagieRunJobOperator(
        task_id="start_trial",
        job_id=make_trial.output,
        wait_for_completion=False,
    )

    stop_trial = SaagieStopInstanceOperator(
        task_id="stop_trial",
        instance_id=start_trial.output,
        stop_timeout=60,
    )

    roll_back = SaagieRollbackJobOperator(
        task_id="roll_back",
        job_id=deploy.output,
        version_number=1,
    )

    delete_trial = SaagieDeleteJobOperator(
        task_id="delete_trial",
        job_name="Trial of {{ run_id }}",
        project_name="Demo",
        ignore_if_missing=True,
        stop_running=True,
        trigger_rule="all_done",
    )

    start_trial >> stop_trial >> roll_back >> delete_trial
