from __future__ import annotations

import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import pytest

from airflow_provider_saagie.emulator import catalogue
from airflow_provider_saagie.emulator.errors import DataFolderError, InvalidError, NotFoundError, RefusedError
from airflow_provider_saagie.emulator.states import Status
from airflow_provider_saagie.emulator.store import instances, jobs, logs, projects, purge, versions
from airflow_provider_saagie.emulator.store.database import Database

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_saagie.emulator.store.records import Job

PYTHON = catalogue.job_technologies()[0]


@pytest.fixture
def job(database: Database) -> Job:
    project = projects.create_project(database, 1, "P", "me", technologies={"Processing": [PYTHON]})
    made = jobs.create_job(database, jobs.NewJob(project.id, "J", "Processing", PYTHON))
    versions.add_version(database, made.id, versions.NewVersion("me", runtime_version="3.11", command_line="x"))
    return made


def ended(database: Database, job: Job, status: Status = Status.SUCCEEDED) -> str:
    instance = instances.create_instance(database, job.id, "me")
    instances.move(database, instance.id, status, by_hand=True)
    return instance.id


def test_names_are_unique_whatever_their_case(database: Database, job: Job) -> None:
    with pytest.raises(InvalidError, match="exists already"):
        projects.create_project(database, 1, "p", "me")
    with pytest.raises(InvalidError, match="exists already"):
        jobs.create_job(database, jobs.NewJob(job.project_id, "j", "Processing", PYTHON))
    assert projects.create_project(database, 2, "P", "me").platform == 2


@pytest.mark.parametrize("name", ["", "   ", "x" * 255])
def test_empty_and_endless_names_are_refused(database: Database, job: Job, name: str) -> None:
    with pytest.raises(InvalidError):
        jobs.create_job(database, jobs.NewJob(job.project_id, name, "Processing", PYTHON))
    with pytest.raises(InvalidError):
        projects.create_project(database, 1, name, "me")


def test_an_alias_is_made_from_the_name_and_stays_unique(database: Database, job: Job) -> None:
    first = jobs.create_job(database, jobs.NewJob(job.project_id, "my job!", "Processing", PYTHON))
    second = jobs.create_job(database, jobs.NewJob(job.project_id, "my job?", "Processing", PYTHON))
    assert (first.alias, second.alias) == ("my_job", "my_job_1")


def test_what_fails_in_the_middle_leaves_nothing(database: Database, job: Job) -> None:
    def half() -> None:
        with database.writing():
            jobs.edit_job(database, job, {"description": "half"})
            instances.create_instance(database, "00000000-0000-0000-0000-000000000000", "me")

    with pytest.raises(NotFoundError):
        half()
    found = jobs.get_job(database, job.id)
    assert found is not None
    assert found.description is None


def test_a_rolled_back_or_deleted_version_never_gives_its_number_away(database: Database, job: Job) -> None:
    versions.add_version(database, job.id, versions.NewVersion("me"))
    versions.make_current(database, job.id, 1)
    assert versions.delete_version(database, job.id, 2)
    assert versions.add_version(database, job.id, versions.NewVersion("me")).number == 3


def test_the_current_version_and_those_that_run_can_not_be_deleted(database: Database, job: Job) -> None:
    instances.create_instance(database, job.id, "me")
    versions.add_version(database, job.id, versions.NewVersion("me"))
    assert not versions.delete_version(database, job.id, 1)
    assert not versions.delete_version(database, job.id, 2)
    assert not versions.delete_version(database, job.id, 9)


def test_instance_numbers_rise_and_are_not_given_twice(database: Database, job: Job) -> None:
    first = ended(database, job)
    purge.delete_instances(database, job.id, [first])
    assert instances.create_instance(database, job.id, "me").number == 2


def test_the_table_of_states_is_kept_to(database: Database, job: Job) -> None:
    instance = instances.create_instance(database, job.id, "me")
    assert not instances.move(database, instance.id, Status.SUCCEEDED)
    assert instances.move(database, instance.id, Status.REQUESTED)
    assert instances.move(database, instance.id, Status.QUEUED)
    assert instances.move(database, instance.id, Status.RUNNING)
    assert instances.move(database, instance.id, Status.FAILED, "GENERIC_ERROR", "exit code 1")
    assert not instances.move(database, instance.id, Status.RUNNING)
    found = instances.require_instance(database, instance.id)
    assert (found.current.reason, found.current.details) == ("GENERIC_ERROR", "exit code 1")
    assert [one.status for one in instances.history(database, found)] == [
        "AWAITING",
        "REQUESTED",
        "QUEUED",
        "RUNNING",
        "FAILED",
    ]


def test_stopping_twice_keeps_the_first_author_and_an_end_can_not_be_stopped(database: Database, job: Job) -> None:
    instance = instances.create_instance(database, job.id, "me")
    instances.ask_to_stop(database, instance.id, "first")
    assert instances.ask_to_stop(database, instance.id, "second").stop_author == "first"
    instances.move(database, instance.id, Status.KILLED)
    with pytest.raises(RefusedError, match="ended already"):
        instances.ask_to_stop(database, instance.id, "third")


def test_include_wins_over_exclude_and_only_ended_instances_of_the_job_go(database: Database, job: Job) -> None:
    one, two = ended(database, job), ended(database, job, Status.FAILED)
    running = instances.create_instance(database, job.id, "me").id
    other = jobs.create_job(database, jobs.NewJob(job.project_id, "other", "Processing", PYTHON))
    versions.add_version(database, other.id, versions.NewVersion("me"))
    foreign = ended(database, other)
    found = purge.ended_by_selector(database, job.id, "SUCCEEDED")
    chosen = purge.choose(found, exclude=[one], include=[one, two, running, foreign])
    assert set(purge.delete_instances(database, job.id, chosen)) == {one, two}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [("ALL", 4), ("SUCCEEDED", 1), ("FAILED", 2), ("STOPPED", 1), ("UNKNOWN", 0)],
)
def test_selectors_find_the_ends_they_stand_for(database: Database, job: Job, selector: str, expected: int) -> None:
    for status in (Status.SUCCEEDED, Status.FAILED, Status.ERROR, Status.KILLED):
        ended(database, job, status)
    instances.create_instance(database, job.id, "me")
    assert len(purge.ended_by_selector(database, job.id, selector)) == expected


def test_a_job_with_an_instance_on_its_way_is_kept(database: Database, job: Job) -> None:
    instance = instances.create_instance(database, job.id, "me")
    with pytest.raises(RefusedError):
        jobs.delete_job(database, job.id)
    instances.move(database, instance.id, Status.FAILED, by_hand=True)
    logs.append_lines(database, instance.id, 0, [("STDOUT", "x")])
    jobs.delete_job(database, job.id)
    assert logs.count_lines(database, instance.id, ["STDOUT"]) == 0


def test_a_simulated_instance_whose_time_is_over_keeps_neither_its_version_nor_its_job(
    database: Database, job: Job
) -> None:
    instance = instances.create_instance(database, job.id, "me", simulated_ms=1)
    versions.add_version(database, job.id, versions.NewVersion("me"))
    time.sleep(0.01)
    first = versions.require_version(database, job.id, 1)
    assert versions.undeletable_because(database, first) == ["VERSION_INSTANCES_NOT_YET_CLEANED"]
    assert instances.require_instance(database, instance.id).current.status is Status.SUCCEEDED
    jobs.delete_job(database, job.id)
    assert jobs.get_job(database, job.id) is None


def test_log_lines_keep_their_order_and_can_be_paged_by_stream(database: Database, job: Job) -> None:
    instance = instances.create_instance(database, job.id, "me").id
    logs.append_lines(database, instance, 0, [("STDOUT", "a"), ("STDERR", "b"), ("STDOUT", "c")])
    logs.append_lines(database, instance, logs.next_index(database, instance), [("STDOUT", "d")])
    page = logs.read_lines(database, instance, ["STDOUT"], limit=2, skip=1)
    assert [(line.index, line.value) for line in page] == [(2, "c"), (3, "d")]
    assert logs.count_lines(database, instance, ["STDERR"]) == 1


def test_threads_write_side_by_side(database: Database, job: Job) -> None:
    def write() -> None:
        for _ in range(25):
            instances.create_instance(database, job.id, "me")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    numbers = [one.number for one in instances.list_instances(database, job.id)]
    assert numbers == list(range(100, 0, -1))


def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    first = Database(tmp_path / "again")
    assert first.is_new
    project = projects.create_project(first, 1, "Kept", "me", groups={"g": "ROLE_PROJECT_EDITOR"})
    first.close()
    second = Database(tmp_path / "again")
    assert not second.is_new
    assert projects.find_project(second, 1, project.id) == project
    assert projects.groups(second, project.id) == [("g", "ROLE_PROJECT_EDITOR")]
    second.close()


def test_a_folder_in_use_is_refused(database: Database) -> None:
    with pytest.raises(DataFolderError, match="Another emulator"):
        Database(database.folder)


def test_a_folder_of_another_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    Database(tmp_path).close()
    file = sqlite3.connect(tmp_path / "saagie.db")
    file.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(DataFolderError, match="another version"):
        Database(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saagie.db").write_text("this is not a database" * 100)
    with pytest.raises(DataFolderError, match="no database"):
        Database(tmp_path)
