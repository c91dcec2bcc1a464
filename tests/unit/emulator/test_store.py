"""Test what the emulator keeps: rules of names, versions, instances, deletions and logs."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_saagie.emulator.errors import InvalidError, NotFoundError, RefusedError
from airflow_provider_saagie.emulator.states import Status
from airflow_provider_saagie.emulator.store import instances, jobs, projects, purge, versions
from airflow_provider_saagie.emulator.store.database import Database
from airflow_provider_saagie.emulator.store.records import Job
from tests.support.emulator_client import NOBODY


def make_job(database: Database, like: Job, name: str) -> Job:
    return jobs.create_job(database, jobs.NewJob(like.project_id, name, "Processing", like.technology_id))


def run(database: Database, job: Job, status: Status | None = None) -> str:
    """Create an instance, which has a final status if one is given."""
    instance = instances.create_instance(database, job.id, "me")
    if status:
        instances.move(database, instance.id, status, by_hand=True)
    return instance.id


def test_names_and_aliases_are_unique_and_neither_empty_nor_endless(database: Database, job: Job) -> None:
    for name, message in (("p", "exists already"), ("", "empty"), ("   ", "empty"), ("x" * 255, "255")):
        with pytest.raises(InvalidError, match=message):
            projects.create_project(database, 1, name, "me")
        with pytest.raises(InvalidError, match=message):
            make_job(database, job, name.replace("p", "j"))
    assert projects.create_project(database, 2, "P", "me").platform == 2
    assert [make_job(database, job, name).alias for name in ("my job!", "my job?")] == ["my_job", "my_job_1"]


def test_failed_transaction_leaves_nothing(database: Database, job: Job) -> None:
    def fail_in_the_middle() -> None:
        with database.writing():
            jobs.edit_job(database, job, {"description": "half"})
            instances.create_instance(database, NOBODY, "me")

    with pytest.raises(NotFoundError):
        fail_in_the_middle()
    assert jobs.get_job(database, job.id) == job


def test_numbers_of_deleted_versions_and_instances_are_not_reused(database: Database, job: Job) -> None:
    versions.add_version(database, job.id, versions.NewVersion("me"))
    versions.make_current(database, job.id, 1)
    assert [number for number in (1, 2, 9) if versions.delete_version(database, job.id, number)] == [2]
    assert versions.add_version(database, job.id, versions.NewVersion("me")).number == 3
    purge.delete_instances(database, job.id, [run(database, job, Status.SUCCEEDED)])
    assert instances.create_instance(database, job.id, "me").number == 2


def test_version_of_a_running_instance_is_not_deleted(database: Database, job: Job) -> None:
    instance = run(database, job)
    versions.add_version(database, job.id, versions.NewVersion("me"))
    assert not versions.delete_version(database, job.id, 1)
    instances.move(database, instance, Status.FAILED, by_hand=True)
    assert not versions.delete_version(database, job.id, 1)


def test_move_keeps_to_the_table_of_states(database: Database, job: Job) -> None:
    instance = run(database, job)
    assert not instances.move(database, instance, Status.SUCCEEDED)
    for status in (Status.REQUESTED, Status.QUEUED, Status.RUNNING):
        assert instances.move(database, instance, status)
    assert instances.move(database, instance, Status.FAILED, "GENERIC_ERROR", "exit code 1")
    assert not instances.move(database, instance, Status.RUNNING)
    found = instances.require_instance(database, instance)
    assert (found.current.reason, found.current.details) == ("GENERIC_ERROR", "exit code 1")
    assert " ".join(one.status for one in instances.history(database, found)) == (
        "AWAITING REQUESTED QUEUED RUNNING FAILED"
    )


def test_second_stop_keeps_first_author(database: Database, job: Job) -> None:
    instance = run(database, job)
    instances.ask_to_stop(database, instance, "first")
    assert instances.ask_to_stop(database, instance, "second").stop_author == "first"
    instances.move(database, instance, Status.KILLED)
    with pytest.raises(RefusedError, match="ended already"):
        instances.ask_to_stop(database, instance, "third")


def test_purge_includes_before_excluding_and_only_finished_of_the_job(database: Database, job: Job) -> None:
    kept, included, failed = (run(database, job, one) for one in (Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED))
    running, other = run(database, job), make_job(database, job, "other")
    versions.add_version(database, other.id, versions.NewVersion("me"))
    foreign = run(database, other, Status.SUCCEEDED)
    chosen = purge.choose(
        purge.ended_by_selector(database, job.id, "SUCCEEDED"),
        exclude=[kept, included],
        include=[included, failed, running, foreign],
    )
    assert set(purge.delete_instances(database, job.id, chosen)) == {included, failed}


def test_expired_simulated_instance_keeps_no_job(database: Database, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = instances.create_instance(database, job.id, "me", simulated_ms=60_000)
    versions.add_version(database, job.id, versions.NewVersion("me"))
    monkeypatch.setattr(instances, "now_ms", lambda: instance.started_at + 60_001)
    first = versions.require_version(database, job.id, 1)
    assert versions.undeletable_because(database, first) == ["VERSION_INSTANCES_NOT_YET_CLEANED"]
    assert instances.require_instance(database, instance.id).current.status is Status.SUCCEEDED
    jobs.delete_job(database, job.id)
    assert jobs.get_job(database, job.id) is None


def test_stop_in_last_moment_of_simulated_life_wins(
    database: Database, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock passes the end of the instance's life while it is being stopped."""
    instance = instances.create_instance(database, job.id, "me", simulated_ms=60_000)
    moments = iter([instance.started_at + 59_999])
    monkeypatch.setattr(instances, "now_ms", lambda: next(moments, instance.started_at + 60_001))
    stopping = instances.ask_to_stop(database, instance.id, "me")
    assert (stopping.current.status, stopping.stop_author) == (Status.KILLING, "me")


def test_threads_write_concurrently(database: Database, job: Job) -> None:
    def write() -> None:
        for _ in range(25):
            run(database, job)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(write)
    assert [one.number for one in instances.list_instances(database, job.id)] == list(range(100, 0, -1))
