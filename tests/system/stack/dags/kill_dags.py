"""Tasks that wait for a job which lasts minutes; the tests end each in another way."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from airflow_provider_saagie.operators.saagie import SaagieCreateOrUpgradeJobOperator, SaagieRunJobOperator

DEFERRED: dict[str, Any] = {"deferrable": True, "priority_weight": 10}  # first, since they hold no worker slot
RUNNING: dict[str, Any] = {"deferrable": False, "priority_weight": 1}
LEFT: dict[str, Any] = {"stop_on_kill": False}
RUNS: dict[str, dict[str, Any]] = {
    "deferred_then_failed": DEFERRED,
    "deferred_then_success": DEFERRED,
    "deferred_then_left": DEFERRED | LEFT,
    "running_then_failed": RUNNING,
    "running_then_success": RUNNING,
    "running_then_left": RUNNING | LEFT,
    "running_then_cleared": RUNNING,
}


def deploy() -> SaagieCreateOrUpgradeJobOperator:
    """Make the job that sleeps."""
    return SaagieCreateOrUpgradeJobOperator(
        task_id="deploy",
        job_name="Sleeps",
        project_name="Demo",
        file="jobs/sleeps.py",
        runtime_version="3.11",
        command_line="python {file}",
    )


with DAG("kills", schedule=None):
    deployed = deploy()
    for task_id, options in RUNS.items():
        SaagieRunJobOperator(task_id=task_id, job_id=deployed.output, poll_interval=2, **options)

with DAG("hand_over", schedule=None):
    SaagieRunJobOperator(task_id="run", job_id=deploy().output, poll_interval=2, deferrable=True)
