"""The ways to wait that the guide "Run and wait" shows."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor

with DAG("waits", schedule=None):
    nightly = SaagieRunJobOperator(
        task_id="nightly",
        job_name="Load orders",
        project_name="Demo",
        deferrable=True,
        timeout=timedelta(hours=2),
        retries=2,
    )

    alone = SaagieRunJobOperator(
        task_id="alone",
        job_name="Load orders",
        project_name="Demo",
        deferrable=True,
        if_running="skip",
    )

    start_only = SaagieRunJobOperator(
        task_id="start_only",
        job_name="Load orders",
        project_name="Demo",
        wait_for_completion=False,
    )

    theirs = SaagieJobInstanceSensor(
        task_id="theirs",
        job_name="Load orders",
        project_name="Demo",
        newer_than_run=True,
        deferrable=True,
        timeout=3600,
    )

    nightly >> alone >> start_only >> theirs
