"""SaagieRollbackJobOperator, run by Airflow against the emulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client.versions import JobVersions, read_versions
from airflow_provider_saagie.operators.saagie import SaagieRollbackJobOperator

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient
    from tests.integration.airflow.operators.conftest import TaskResult
    from airflow_provider_saagie.emulator.testing import Emulator


@pytest.fixture
def rolling_back(run_dag: Any, new_dag: Callable[[], DAG]) -> Callable[..., TaskResult]:
    """A function that runs one rollback operator, and tells how it ended."""

    def run(**given: Any) -> TaskResult:
        dag = new_dag()
        with dag:
            SaagieRollbackJobOperator(task_id="back", **given)
        return run_dag(dag)["back"]

    return run


@pytest.fixture
def job_id(make_job: Any, client: SaagieClient) -> str:
    """A job with three versions, the third of which is the current one."""
    job_id: str = make_job("print(1)")
    for note in ("two", "three"):
        client.jobs.upgrade(job_id, release_note=note)
    return job_id


def current(client: SaagieClient, job_id: str) -> int | None:
    return client.session.run(read_versions(job_id)).current


def rollbacks(emulator: Emulator) -> int:
    return len([request for request in emulator.requests() if request["operation"] == "rollbackJobVersion"])


@pytest.mark.parametrize("version", [1, "1", "{{ 3 - 2 }}"])
def test_a_version_becomes_the_current_one(rolling_back: Any, job_id: str, client: Any, version: str | int) -> None:
    result = rolling_back(job_id=job_id, version_number=version)
    assert (result.state, result.xcoms["return_value"]) == ("success", 1)
    assert (result.xcoms["previous_version"], result.xcoms["changed"]) == (3, True)
    assert result.xcoms["_link_SaagieLink"] == result.xcoms["job_url"]
    assert result.xcoms["job_url"].endswith(f"/job/{result.xcoms['job_id']}")
    assert current(client, job_id) == 1


def test_without_a_number_the_job_goes_back_by_one(rolling_back: Any, job_id: str, client: Any) -> None:
    assert rolling_back(job_id=job_id).xcoms["return_value"] == 2
    client.jobs.delete_versions(job_id, [3])
    assert rolling_back(job_id=job_id).xcoms["return_value"] == 1
    assert current(client, job_id) == 1


def test_the_current_version_is_left_so(rolling_back: Any, job_id: str, emulator: Any) -> None:
    before = rollbacks(emulator)
    result = rolling_back(job_id=job_id, version_number=3)
    assert (result.state, result.xcoms["return_value"], result.xcoms["changed"]) == ("success", 3, False)
    assert rollbacks(emulator) == before


@pytest.mark.parametrize("what", ["drop", "garbage"])
def test_a_lost_answer_is_looked_after(
    rolling_back: Any, job_id: str, client: Any, emulator: Emulator, what: str
) -> None:
    emulator.fault(what, "rollbackJobVersion")
    result = rolling_back(job_id=job_id)
    assert (result.state, result.xcoms["return_value"]) == ("success", 2)
    assert current(client, job_id) == 2


def test_a_retry_goes_back_no_further(
    new_dag: Any, run_dag: Any, job_id: str, client: SaagieClient, emulator: Emulator
) -> None:
    """The answer is lost, and Saagie can't be asked either: the first try fails after it has rolled the job back."""
    dag = new_dag()
    with dag:
        SaagieRollbackJobOperator(task_id="back", job_id=job_id, retries=1, retry_delay=0)
    emulator.fault("drop", "rollbackJobVersion")
    emulator.fault("error", "job", occurrence=3)  # jobSummary and job come before; this one looks what became of it
    result = run_dag(dag)["back"]
    assert [fault["struck"] for fault in emulator.faults()] == [1, 1]
    assert (result.state, result.xcoms["return_value"], result.xcoms["changed"]) == ("success", 2, False)
    assert current(client, job_id) == 2


def test_a_retry_that_names_another_job_rolls_that_back_by_one(
    new_dag: Any, run_dag: Any, make_job: Any, job_id: str, client: SaagieClient, emulator: Emulator
) -> None:
    """As where the DAG was edited between two tries."""
    other = make_job("print(1)")
    client.jobs.upgrade(other, release_note="two")
    named = f"{{{{ '{job_id}' if ti.try_number == 1 else '{other}' }}}}"
    dag = new_dag()
    with dag:
        SaagieRollbackJobOperator(task_id="back", job_id=named, retries=1, retry_delay=0)
    emulator.fault("error", "rollbackJobVersion", message="Not today")
    assert run_dag(dag)["back"].xcoms["return_value"] == 1
    assert (current(client, job_id), current(client, other)) == (3, 1)


BAD = [
    ({"version_number": 9}, "no version 9. It has: 3, 2, 1"),
    ({"version_number": "latest"}, "whole number"),
    ({"version_number": ""}, "whole number"),
    ({"job_id": None}, "name its job"),
    ({"job_name": "too"}, "name its job"),
]


def test_bad_input_changes_nothing(run_dag: Any, new_dag: Any, job_id: str, emulator: Emulator, capfd: Any) -> None:
    dag = new_dag()
    with dag:
        for number, (given, _) in enumerate(BAD):
            SaagieRollbackJobOperator(task_id=f"bad_{number}", **{"job_id": job_id, **given})
    before = emulator.requests()
    assert {result.state for result in run_dag(dag).values()} == {"failed"}
    shown = "".join(capfd.readouterr())
    assert [said for _, said in BAD if said not in shown] == []
    assert emulator.requests() == before


def test_the_first_version_has_none_before_it(rolling_back: Any, make_job: Any, capfd: Any) -> None:
    assert rolling_back(job_id=make_job("print(1)")).state == "failed"
    assert "no version before its current one (1)" in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("numbers", "now", "previous"), [((5, 4, 2), 4, 2), ((5, 2), 2, None), ((1,), None, None), ((), None, None)]
)
def test_the_previous_version_is_the_next_lower_one(numbers: Any, now: int | None, previous: int | None) -> None:
    assert JobVersions(numbers, now).previous == previous
