"""A DAG file of 500 of our tasks, of every kind: what its parse costs is measured, and a test watches what it does."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_saagie.operators import saagie as operators
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor

TASKS = 500
JOB = {"job_name": "{{ ds }}", "project_name": "Sales"}
KINDS = (
    (operators.SaagieRunJobOperator, JOB | {"deferrable": True}),
    (operators.SaagieRunJobOperator, JOB | {"deferrable": False}),
    (operators.SaagieCreateOrUpgradeJobOperator, JOB | {"file": "jobs/hello.py", "runtime_version": "3.11"}),
    (operators.SaagiePurgeInstancesOperator, JOB | {"keep_last": 3}),
    (operators.SaagieStopInstanceOperator, {"instance_id": "{{ ds }}"}),
    (operators.SaagieRollbackJobOperator, JOB | {"version_number": 1}),
    (operators.SaagieDeleteJobOperator, JOB),
    (operators.SaagieExportJobOperator, JOB | {"folder": "file:///tmp/exports"}),
    (operators.SaagieImportJobOperator, JOB | {"folder": "s3://bucket/exports"}),
    (SaagieJobInstanceSensor, JOB | {"deferrable": True}),
)

with DAG("five_hundred", schedule=None) as dag:
    for number in range(TASKS):
        kind, given = KINDS[number % len(KINDS)]
        kind(task_id=f"task_{number}", **given)
