"""SaagieDeleteJobOperator, run by Airflow against the emulator."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.operators.saagie import SaagieDeleteJobOperator

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient
    from tests.integration.airflow.operators.conftest import TaskResult
    from airflow_provider_saagie.emulator.testing import Emulator

NOBODY = "f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"
LONG = "import time\ntime.sleep(120)"


@pytest.fixture
def deleting(run_dag: Any, new_dag: Callable[[], DAG]) -> Callable[..., TaskResult]:
    """A function that runs one delete operator, and tells how it ended."""

    def run(**given: Any) -> TaskResult:
        dag = new_dag()
        with dag:
            SaagieDeleteJobOperator(task_id="delete", **given)
        return run_dag(dag)["delete"]

    return run


def is_there(client: SaagieClient, job_id: str) -> bool:
    jobs = client.jobs.list_for_project_minimal(client.get_project_id("Demo"))["jobs"]
    return job_id in [job["id"] for job in jobs]


def test_a_job_goes_and_the_link_leads_to_its_project(deleting: Any, make_job: Any, client: Any) -> None:
    name = f"job {uuid.uuid4()}"
    job_id = make_job("print(1)", job_name=name)
    result = deleting(job_name=name, project_name="Demo")
    assert (result.state, result.xcoms["return_value"], result.xcoms["job_id"]) == ("success", True, job_id)
    assert not is_there(client, job_id)
    assert result.xcoms["_link_SaagieLink"].endswith(f"/project/{client.get_project_id('Demo')}")


@pytest.mark.parametrize(
    "named", [{"job_id": NOBODY}, {"job_name": "nothing", "project_name": "Demo"}], ids=["id", "name"]
)
def test_a_job_that_is_not_there_is_an_error_unless_it_is_ignored(deleting: Any, named: dict[str, str]) -> None:
    assert deleting(**named).state == "failed"
    result = deleting(**named, ignore_if_missing=True)
    assert (result.state, result.xcoms["return_value"]) == ("success", False)


def test_a_missing_project_is_not_ignored(deleting: Any, capfd: Any) -> None:
    assert deleting(job_name="nothing", project_name="Nowhere", ignore_if_missing=True).state == "failed"
    assert "'Demo'" in "".join(capfd.readouterr())


def test_a_missing_platform_is_not_ignored(deleting: Any, make_job: Any, emulator: Any) -> None:
    job_id = make_job("print(1)")
    emulator.fault("status", "jobSummary", status=404)
    assert deleting(job_id=job_id, ignore_if_missing=True).state == "failed"


def test_a_job_that_runs_stays_unless_it_may_be_stopped(deleting: Any, make_job: Any, client: Any, capfd: Any) -> None:
    job_id = make_job(LONG)
    client.jobs.run(job_id)
    kept = deleting(job_id=job_id)
    assert kept.state == "failed"
    assert "1 of its instances are on their way" in "".join(capfd.readouterr())
    assert kept.xcoms["_link_SaagieLink"].endswith(f"/job/{job_id}")
    assert is_there(client, job_id)
    assert deleting(job_id=job_id, stop_running=True).xcoms["return_value"] is True
    assert not is_there(client, job_id)


@pytest.mark.parametrize("what", ["drop", "garbage"])
def test_a_lost_answer_is_looked_after(
    deleting: Any, make_job: Any, client: Any, emulator: Emulator, what: str
) -> None:
    job_id = make_job("print(1)")
    emulator.fault(what, "deleteJob")
    result = deleting(job_id=job_id)
    assert (result.state, result.xcoms["return_value"]) == ("success", True)
    assert not is_there(client, job_id)


def test_a_retry_is_content_with_what_the_try_before_has_deleted(
    run_dag: Any, new_dag: Any, make_job: Any, client: Any, emulator: Emulator
) -> None:
    """The answer is lost, and Saagie can't be asked either: the first try fails after it has deleted the job."""
    name = f"job {uuid.uuid4()}"
    job_id = make_job("print(1)", job_name=name)
    dag = new_dag()
    with dag:
        SaagieDeleteJobOperator(task_id="delete", job_name=name, project_name="Demo", retries=1, retry_delay=0)
    emulator.fault("drop", "deleteJob")
    emulator.fault("status", "jobSummary", occurrence=2, status=400)
    result = run_dag(dag)["delete"]
    assert [fault["struck"] for fault in emulator.faults()] == [1, 1]
    assert (result.state, result.xcoms["return_value"], result.xcoms["job_id"]) == ("success", True, job_id)


def test_a_retry_deletes_no_other_job_of_that_name(
    run_dag: Any, new_dag: Any, make_job: Any, client: Any, emulator: Emulator
) -> None:
    name = f"job {uuid.uuid4()}"
    make_job("print(1)", job_name=name)
    dag = new_dag()
    with dag:
        SaagieDeleteJobOperator(
            task_id="delete", job_name=name, project_name="Demo", retries=1, retry_delay=0,
            on_retry_callback=lambda _: made.append(make_job("print(2)", job_name=name)),
        )  # fmt: skip
    made: list[str] = []
    emulator.fault("drop", "deleteJob")
    emulator.fault("status", "jobSummary", occurrence=2, status=400)
    assert run_dag(dag)["delete"].state == "success"
    assert [is_there(client, job_id) for job_id in made] == [True]


def test_a_retry_that_names_another_job_deletes_that(
    run_dag: Any, new_dag: Any, make_job: Any, client: Any, emulator: Emulator
) -> None:
    """As where the DAG was edited between two tries."""
    before, after = make_job("print(1)"), make_job("print(2)")
    named = f"{{{{ '{before}' if ti.try_number == 1 else '{after}' }}}}"
    dag = new_dag()
    with dag:
        SaagieDeleteJobOperator(task_id="delete", job_id=named, retries=1, retry_delay=0)
    emulator.fault("error", "deleteJob", message="Not today")
    assert run_dag(dag)["delete"].xcoms["job_id"] == after
    assert [is_there(client, job_id) for job_id in (before, after)] == [True, False]


def test_a_platform_that_keeps_the_job_is_believed(deleting: Any, make_job: Any, client: Any, emulator: Any) -> None:
    job_id = make_job("print(1)")
    emulator.fault("error", "deleteJob", times=0, message="It belongs to a pipeline")
    assert deleting(job_id=job_id).state == "failed"
    assert is_there(client, job_id)


BAD = [
    ({}, "name its job"),
    ({"job_id": NOBODY, "job_name": "too"}, "name its job"),
    ({"job_id": "all"}, "UUID"),
    ({"job_name": "one", "ignore_if_missing": True}, "project_name"),
    ({"job_id": NOBODY, "stop_timeout": "long"}, "stop_timeout"),
]


def test_bad_input_deletes_nothing(run_dag: Any, new_dag: Any, emulator: Emulator, capfd: Any) -> None:
    dag = new_dag()
    with dag:
        for number, (given, _) in enumerate(BAD):
            SaagieDeleteJobOperator(task_id=f"bad_{number}", **given)
    before = emulator.requests()
    assert {result.state for result in run_dag(dag).values()} == {"failed"}
    shown = "".join(capfd.readouterr())
    assert [said for _, said in BAD if said not in shown] == []
    assert emulator.requests() == before
