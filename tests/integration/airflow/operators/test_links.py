"""The button of a task: what Airflow is told where there is none, and after a wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.links.saagie import URL_XCOM_KEY
from airflow_provider_saagie.operators.saagie import SaagieCreateOrUpgradeJobOperator, SaagieRunJobOperator
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor

if TYPE_CHECKING:
    import pytest
    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient

MISSED = "XCom not found"


def test_a_task_that_fails_before_it_has_a_link_looks_for_none(
    run_dag: Any, new_dag: Callable[[], DAG], capfd: pytest.CaptureFixture[str]
) -> None:
    with new_dag() as dag:
        SaagieRunJobOperator(task_id="run", job_name="No such job", project_name="Demo")
    result = run_dag(dag)["run"]
    assert (result.state, result.xcoms[URL_XCOM_KEY]) == ("failed", "")
    assert MISSED not in "".join(capfd.readouterr())


def test_a_sensor_that_waits_for_a_first_instance_looks_for_no_link(
    run_dag: Any, new_dag: Callable[[], DAG], make_job: Any, client: SaagieClient, capfd: pytest.CaptureFixture[str]
) -> None:
    job_id = make_job("print(1)")

    def start_later() -> None:
        time.sleep(1.5)
        client.jobs.run(job_id)

    with new_dag() as dag:
        SaagieJobInstanceSensor(task_id="sense", job_id=job_id, deferrable=True, poke_interval=1, timeout=30)
    starter = threading.Thread(target=start_later)
    starter.start()
    result = run_dag(dag)["sense"]
    starter.join()
    assert result.state == "success"
    assert result.xcoms[URL_XCOM_KEY].endswith(f"/instances/{result.xcoms['return_value']}")
    assert MISSED not in "".join(capfd.readouterr())


def test_a_sensor_that_has_waited_in_the_triggerer_keeps_its_link(
    run_dag: Any, new_dag: Callable[[], DAG], make_job: Any, client: SaagieClient
) -> None:
    instance_id = client.jobs.run(make_job("import time; time.sleep(3)"))["runJob"]["id"]
    with new_dag() as dag:
        SaagieJobInstanceSensor(task_id="sense", instance_id=instance_id, deferrable=True, poke_interval=1)
    result = run_dag(dag)["sense"]
    assert result.state == "success"
    assert result.xcoms[URL_XCOM_KEY].endswith(f"/instances/{instance_id}")


def test_a_deploy_that_fails_leads_to_the_job_or_else_to_its_project(
    run_dag: Any, new_dag: Callable[[], DAG], make_job: Any, client: SaagieClient
) -> None:
    job_id = make_job("print(1)", job_name="Deployed before")
    with new_dag() as dag:
        for task_id, name in (("old", "Deployed before"), ("new", "Never deployed")):
            SaagieCreateOrUpgradeJobOperator(
                task_id=task_id, job_name=name, project_name="Demo", file="/no/such/file", runtime_version="3.11"
            )
    ended = run_dag(dag)
    assert {result.state for result in ended.values()} == {"failed"}
    project = f"/project/{client.get_project_id('Demo')}"
    assert ended["old"].xcoms[URL_XCOM_KEY].endswith(f"{project}/job/{job_id}")
    assert ended["new"].xcoms[URL_XCOM_KEY].endswith(project)
