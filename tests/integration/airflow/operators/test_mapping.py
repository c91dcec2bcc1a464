"""Mapped tasks from one end to the other: a job for each is deployed, run, waited for and cleaned up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.operators.saagie import (
    SaagieCreateOrUpgradeJobOperator,
    SaagiePurgeInstancesOperator,
    SaagieRunJobOperator,
)
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.long  # it waits for real jobs
def test_a_chain_of_mapped_tasks_deploys_runs_senses_and_purges(
    run_dag: Any, new_dag: Callable[[], DAG], tmp_path: Path, client: SaagieClient, deferrable: bool
) -> None:
    (tmp_path / "job.py").write_text("print(1)")
    dag = new_dag()
    names = [f"{dag.dag_id} {letter}" for letter in "ab"]
    with dag:
        deploy = SaagieCreateOrUpgradeJobOperator.partial(
            task_id="deploy",
            project_name="Demo",
            file="job.py",
            runtime_version="3.11",
            command_line="python {file}",
            resources={"memory": {"limit": 1.0}},
        ).expand(job_name=names)
        run = SaagieRunJobOperator.partial(task_id="run", deferrable=deferrable, poll_interval=1).expand(
            job_id=deploy.output
        )
        wait = SaagieJobInstanceSensor.partial(task_id="wait", deferrable=deferrable, poke_interval=1).expand(
            instance_id=run.output
        )
        purge = SaagiePurgeInstancesOperator.partial(task_id="purge", selector="ALL", keep_last=0).expand(
            job_id=deploy.output
        )
        wait >> purge
    ended = run_dag(dag)
    assert {task: result.state for task, result in ended.items()} == dict.fromkeys(
        ["deploy", "run", "wait", "purge"], "success"
    )
    jobs = client.jobs.list_for_project(client.get_project_id("Demo"))["jobs"]
    made = [job for job in jobs if job["name"] in names]
    assert [job["countJobInstance"] for job in made] == [0, 0]
    assert [job["resources"]["memory"]["limit"] for job in made] == [1.0, 1.0]


def test_resources_of_the_job_are_not_airflows(new_dag: Any) -> None:
    resources = {"cpu": {"request": 0.5}}
    with new_dag() as dag:
        SaagieCreateOrUpgradeJobOperator(task_id="one", job_name="a", resources=resources)
        SaagieCreateOrUpgradeJobOperator.partial(task_id="many", resources=resources).expand(job_name=["a", "b"])
    assert dag.get_task("one").job_resources == resources
