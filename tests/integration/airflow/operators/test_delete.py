"""SaagieDeleteJobOperator with the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie import exceptions as errors
from airflow_provider_saagie.operators.saagie import SaagieDeleteJobOperator
from tests.support.executed_tasks import TaskRun, run_task

if TYPE_CHECKING:
    from airflow_provider_saagie.client.saagie import SaagieClient
    from airflow_provider_saagie.emulator.testing import Emulator
    from tests.support.held_jobs import Hold

MISSING = "f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"

pytestmark = pytest.mark.usefixtures("saagie_connection")


def delete(**given: Any) -> TaskRun:
    return run_task(SaagieDeleteJobOperator(task_id="delete", **given))


def job_ids(emulator: Emulator) -> list[str]:
    return [job.id for job in emulator.jobs().values()]


def test_job_is_deleted_and_link_leads_to_project(make_job: Any, emulator: Emulator) -> None:
    job_id, other = make_job("print(1)", job_name="old"), make_job("print(1)")
    run = delete(job_name="old", project_name="Demo")
    assert (run.error, run.result, run.xcoms["job_id"]) == (None, True, job_id)
    assert run.link.endswith(f"/project/{emulator.projects['Demo']}")
    assert job_ids(emulator) == [other]


def test_missing_job_is_an_error_unless_ignored(make_job: Any, emulator: Emulator) -> None:
    for given in ({"job_id": MISSING}, {"job_name": "nothing", "project_name": "Demo"}):
        assert type(delete(**given).error) is errors.SaagieNotFound
        run = delete(**given, ignore_if_missing=True)
        assert (run.error, run.result) == (None, False), given
    assert "'Demo'" in str(delete(job_name="nothing", project_name="Nowhere", ignore_if_missing=True).error)
    job_id = make_job("print(1)")
    emulator.fault("status", "jobSummary", status=404)
    assert type(delete(job_id=job_id, ignore_if_missing=True).error) is errors.SaagieNotFound, "the platform is missing"


def test_running_job_is_kept_unless_it_may_be_stopped(
    make_job: Any, client: SaagieClient, emulator: Emulator, hold: Hold
) -> None:
    job_id = make_job(hold.code())
    client.jobs.run(job_id)
    kept = delete(job_id=job_id)
    assert "1 of its instances are on their way" in str(kept.error)
    assert kept.link.endswith(f"/job/{job_id}")
    assert job_ids(emulator) == [job_id]
    assert delete(job_id=job_id, stop_running=True).result is True
    assert job_ids(emulator) == []


def test_lost_answer_is_looked_up(make_job: Any, emulator: Emulator) -> None:
    for fault in ("drop", "garbage"):
        job_id = make_job("print(1)")
        emulator.fault(fault, "deleteJob")
        assert delete(job_id=job_id).result is True, fault
        assert job_ids(emulator) == [], fault


def test_refused_deletion_is_an_error(make_job: Any, emulator: Emulator) -> None:
    job_id = make_job("print(1)")
    emulator.fault("error", "deleteJob", times=0, message="It belongs to a pipeline")
    assert "It belongs to a pipeline" in str(delete(job_id=job_id).error)
    assert job_ids(emulator) == [job_id]


def test_retry_deletes_only_job_that_it_names(make_job: Any, emulator: Emulator) -> None:
    task = SaagieDeleteJobOperator(task_id="delete", job_name="old", project_name="Demo")
    job_id = make_job("print(1)", job_name="old")
    emulator.fault("drop", "deleteJob")
    emulator.fault("status", "jobSummary", occurrence=2, status=400)
    run = TaskRun(task).execute()
    assert run.error is not None
    other = make_job("print(2)", job_name="old")
    run.execute()
    assert (run.error, run.result, run.xcoms["job_id"]) == (None, True, job_id)
    assert job_ids(emulator) == [other]
    run = TaskRun(task)
    emulator.fault("error", "deleteJob", message="Not today")
    assert "Not today" in str(run.execute().error)
    task.job_id, task.job_name, task.project_name = make_job("print(1)"), None, None  # the DAG was edited
    assert run.execute().xcoms["job_id"] == task.job_id
    assert job_ids(emulator) == [other]
