"""What the guide "When a job fails" shows: retries by whose fault it was, and who is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_saagie.exceptions import (
    SaagieInfrastructureError,
    SaagieInstanceFailed,
    SaagieJobFailed,
    SaagieOutOfMemory,
)
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator

by_fault = ExceptionRetryPolicy(
    rules=[
        RetryRule(SaagieInfrastructureError, retry_delay=timedelta(minutes=5), reason="the platform's fault"),
        RetryRule(SaagieOutOfMemory, action=RetryAction.FAIL, reason="it needs more memory first"),
        RetryRule(SaagieJobFailed, action=RetryAction.FAIL, reason="the job's own fault"),
    ]
)


def tell(context: Any) -> None:
    """Tell whoever is on call; print stands for what you use."""
    error = context["exception"]
    if isinstance(error, AirflowFailException):  # no retry can help: ours is the cause
        error = error.__cause__
    if isinstance(error, SaagieInstanceFailed):
        print(f"{type(error).__name__}: {error.status} {error.reason} {error.details} {error.url}")


with DAG("failures", schedule=None):
    broken = SaagieRunJobOperator(
        task_id="broken",
        job_name="Load orders",
        project_name="Demo",
        deferrable=True,
        retries=3,
        retry_policy=by_fault,
        on_failure_callback=tell,
    )
