"""The engine on a store, without HTTP."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from airflow_provider_saagie.emulator import artifacts
from airflow_provider_saagie.emulator.engine import Engine, Limits
from airflow_provider_saagie.emulator.engine.leftovers import end_processes
from airflow_provider_saagie.emulator.states import ENDS, Status
from airflow_provider_saagie.emulator.store import instances, jobs, logs, projects, versions
from airflow_provider_saagie.emulator.store.database import Database
from tests.integration.emulator.emulator.conftest import BASH, wait_until_gone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_saagie.emulator.store.records import Instance


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    made = Engine(database, Limits())
    yield made
    made.close()


@pytest.fixture
def request_run(database: Database) -> Callable[[str], Instance]:
    """A function that asks for an instance of a job with this command."""
    project = projects.create_project(database, 1, "P", "me", technologies={"Processing": [BASH]})
    job = jobs.create_job(database, jobs.NewJob(project.id, "J", "Processing", BASH))

    def request(command: str) -> Instance:
        versions.add_version(database, job.id, versions.NewVersion("me", command_line=command))
        return instances.create_instance(database, job.id, "me")

    return request


def wait(database: Database, instance: Instance) -> Instance:
    deadline = time.monotonic() + 15
    while (found := instances.require_instance(database, instance.id)).current.status not in ENDS:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def test_children_that_leave_the_session_end_with_the_job(
    database: Database, engine: Engine, request_run: Callable[[str], Instance]
) -> None:
    instance = request_run("setsid sleep 300 & echo $!; sleep 0.2; exit 0")
    engine.start(instance)
    assert wait(database, instance).current.status is Status.SUCCEEDED
    wait_until_gone(int(logs.read_lines(database, instance.id, ["STDOUT"])[0].value))


def test_what_was_on_its_way_at_a_crash_ends_by_what_it_was(
    database: Database, request_run: Callable[[str], Instance]
) -> None:
    waiting, stopping = request_run("true"), request_run("true")
    instances.ask_to_stop(database, stopping.id, "me")
    engine = Engine(database, Limits())
    assert engine.recover() == 2
    assert engine.recover() == 0
    engine.close()
    lost = instances.require_instance(database, waiting.id).current
    assert (lost.status, lost.reason) == (Status.FAILED, "UNEXPECTED_DELETION")
    assert instances.require_instance(database, stopping.id).current.status is Status.KILLED


def test_only_processes_that_carry_the_instance_are_killed() -> None:
    ours = subprocess.Popen(["sleep", "60"], env={"SAAGIE_JOB_INSTANCE_ID": "this-one"})
    other = subprocess.Popen(["sleep", "60"], env={"SAAGIE_JOB_INSTANCE_ID": "this-one-too"})
    try:
        assert end_processes({"this-one"}) == 1
        assert ours.wait(5) == -9
        assert other.poll() is None
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()


def test_files_that_no_version_needs_are_swept_at_the_start(
    database: Database, tmp_path: Path, request_run: Callable[[str], Instance]
) -> None:
    (tmp_path / "upload").write_bytes(b"x")
    keys = []
    for _ in range(2):
        with (tmp_path / "upload").open("rb") as file:
            keys.append(artifacts.keep(database.folder, file, limit=10))
    instance = request_run("true")
    versions.add_version(database, instance.job_id, versions.NewVersion("me", artifact=keys[0], artifact_name="x"))
    engine = Engine(database, Limits())
    engine.recover()
    engine.close()
    assert [file.name for file in (database.folder / "artifacts").iterdir()] == [keys[0]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("job.py", "job.py"), ("../../etc/passwd", "passwd"), ("a b$(x).sh", "a_b__x_.sh"), (".hidden", "hidden"),
     ("-rf", "rf"), ("", "artifact"), (None, "artifact"),
     ("..", "artifact"), ("C:\\x\\y.py", "y.py"), ("é.py", "_.py")],
)  # fmt: skip
def test_names_of_uploads_become_plain_file_names(name: str | None, expected: str) -> None:
    assert artifacts.safe_name(name) == expected


def test_a_failing_start_ends_the_instance_and_says_why(
    database: Database, engine: Engine, request_run: Callable[[str], Instance]
) -> None:
    instance = request_run("echo \0")
    engine.start(instance)
    ended = wait(database, instance).current
    assert (ended.status, ended.reason) == (Status.FAILED, "GENERIC_ERROR")
    assert ended.details is not None
    assert "null byte" in ended.details
