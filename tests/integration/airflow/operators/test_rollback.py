"""SaagieRollbackJobOperator with the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client.versions import read_versions
from airflow_provider_saagie.operators.saagie import SaagieRollbackJobOperator
from tests.support.executed_tasks import TaskRun, run_task

if TYPE_CHECKING:
    from airflow_provider_saagie.client.saagie import SaagieClient
    from airflow_provider_saagie.emulator.testing import Emulator

pytestmark = pytest.mark.usefixtures("saagie_connection")


@pytest.fixture
def job_id(make_job: Any, client: SaagieClient) -> str:
    """A job with three versions, the third of which is the current one."""
    job_id: str = make_job("print(1)")
    for note in ("two", "three"):
        client.jobs.upgrade(job_id, release_note=note)
    return job_id


def roll_back(**given: Any) -> TaskRun:
    return run_task(SaagieRollbackJobOperator(task_id="back", **given))


def current(client: SaagieClient, job_id: str) -> int | None:
    return client.session.run(read_versions(job_id)).current


def test_version_becomes_current(job_id: str, client: SaagieClient) -> None:
    for given, before, version in [
        ({"version_number": 1}, 3, 1),
        ({"version_number": "3"}, 1, 3),
        ({"version_number": 3}, 3, 3),
        ({}, 3, 2),
    ]:
        run = roll_back(job_id=job_id, **given)
        assert (run.error, run.result, current(client, job_id)) == (None, version, version), given
        assert run.link.endswith(f"/job/{job_id}")
        assert run.xcoms == {
            "previous_version": before,
            "changed": before != version,
            "job_id": job_id,
            "job_url": run.link,
            "_link_SaagieLink": run.link,
        }


def test_version_before_current_exists(job_id: str, client: SaagieClient, emulator: Emulator) -> None:
    client.jobs.delete_versions(job_id, [2])
    assert roll_back(job_id=job_id).result == 1
    before = emulator.requests()
    assert "no version before its current one (1)" in str(roll_back(job_id=job_id).error)
    assert "no version 9. It has: 3, 1" in str(roll_back(job_id=job_id, version_number=9).error)
    assert roll_back(job_id=job_id, version_number=1).result == 1, "it is current already"
    assert emulator.requests() == before


def test_lost_answer_is_looked_up(job_id: str, client: SaagieClient, emulator: Emulator) -> None:
    for fault, version in (("drop", 2), ("garbage", 1)):
        emulator.fault(fault, "rollbackJobVersion")
        run = roll_back(job_id=job_id)
        assert (run.result, current(client, job_id)) == (version, version), fault


def test_retry_that_names_another_job_rolls_it_back_by_one(
    job_id: str, make_job: Any, client: SaagieClient, emulator: Emulator
) -> None:
    task = SaagieRollbackJobOperator(task_id="back", job_id=job_id)
    emulator.fault("error", "rollbackJobVersion", message="Not today")
    run = TaskRun(task).execute()
    assert "Not today" in str(run.error)
    task.job_id = make_job("print(1)")  # the DAG was edited between two tries
    client.jobs.upgrade(task.job_id, release_note="two")
    assert run.execute().result == 1
    assert (current(client, job_id), current(client, task.job_id)) == (3, 1)
