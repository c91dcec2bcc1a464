"""Test the engine as far as it starts no process: recovery, failing starts, the limit of logs, and schedules."""

from io import BytesIO

import pytest

from airflow_provider_saagie.emulator import artifacts
from airflow_provider_saagie.emulator.clock import from_iso, to_iso
from airflow_provider_saagie.emulator.engine import Engine, Limits
from airflow_provider_saagie.emulator.engine.log_writer import LogWriter
from airflow_provider_saagie.emulator.engine.schedule import Scheduler, next_tick
from airflow_provider_saagie.emulator.states import ENDS, Status
from airflow_provider_saagie.emulator.store import instances, jobs, logs, versions
from airflow_provider_saagie.emulator.store.database import Database
from airflow_provider_saagie.emulator.store.records import Job
from tests.support.waiting import wait_until


def test_recovery_ends_unfinished_instances_and_deletes_files_of_no_version(database: Database, job: Job) -> None:
    keys = [artifacts.keep(database.folder, BytesIO(b"x"), limit=10) for _ in range(2)]
    versions.add_version(database, job.id, versions.NewVersion("me", artifact=keys[0], artifact_name="x"))
    waiting, stopping = (instances.create_instance(database, job.id, "me") for _ in range(2))
    instances.ask_to_stop(database, stopping.id, "me")
    engine = Engine(database, Limits())
    assert [engine.recover(), engine.recover()] == [2, 0]
    engine.close()
    lost = instances.require_instance(database, waiting.id).current
    assert (lost.status, lost.reason) == (Status.FAILED, "UNEXPECTED_DELETION")
    assert instances.require_instance(database, stopping.id).current.status is Status.KILLED
    assert [file.name for file in (database.folder / "artifacts").iterdir()] == [keys[0]]


def test_failing_start_ends_the_instance_with_the_reason(database: Database, job: Job) -> None:
    versions.add_version(database, job.id, versions.NewVersion("me", command_line="echo \0"))
    instance = instances.create_instance(database, job.id, "me")
    engine = Engine(database, Limits())
    engine.start(instance)
    wait_until(lambda: instances.require_instance(database, instance.id).current.status in ENDS)
    engine.close()
    current = instances.require_instance(database, instance.id).current
    assert (current.status, current.reason) == (Status.FAILED, "GENERIC_ERROR")
    assert "null byte" in (current.details or "")


def test_log_is_limited_in_size_whatever_its_lines(database: Database, job: Job) -> None:
    instance = instances.create_instance(database, job.id, "me").id
    with LogWriter(database, instance, 100_000) as writer:
        for _ in range(66):
            writer.write("STDOUT", b"x" * (1 << 20))
            writer.flush(idle=False)
    assert logs.count_lines(database, instance, ["STDOUT"]) == 4096
    (line,) = logs.read_lines(database, instance, ["ORCHESTRATION_STDERR"])
    assert line.value == "Only the first 4096 lines are kept: they hold 64 MB"


def test_next_tick_counts_in_the_time_zone() -> None:
    for cron, timezone, after, due in (
        ("*/5 * * * *", None, "2026-03-10T12:01:30.500Z", "2026-03-10T12:05:00.000Z"),
        ("*/5 * * * *", None, "2026-03-10T12:05:00.000Z", "2026-03-10T12:10:00.000Z"),
        ("0 3 * * *", "Europe/Paris", "2026-01-10T12:00:00Z", "2026-01-11T02:00:00.000Z"),
        ("0 3 * * *", "Europe/Paris", "2026-07-10T12:00:00Z", "2026-07-11T01:00:00.000Z"),
    ):
        assert to_iso(next_tick(cron, timezone, from_iso(after)) or 0) == due, (cron, timezone, after)
    assert next_tick("0 0 30 2 *", None, from_iso("2026-01-01T00:00:00Z")) is None


@pytest.fixture
def scheduled(database: Database, job: Job) -> Job:
    """A job that is due at 3:00 in Paris, which is 2:00 UTC in winter."""
    return jobs.edit_job(database, job, {"is_scheduled": True})


def look_at(scheduler: Scheduler, *moments: str) -> None:
    """Let the scheduler look at moments of January 2026."""
    for moment in moments:
        scheduler.look(from_iso(f"2026-01-{moment}Z"))


def test_scheduled_job_starts_once_per_tick(database: Database, scheduled: Job) -> None:
    started: list[str] = []
    scheduler = Scheduler(database, started.append)

    def starts(*moments: str) -> int:
        before = len(started)
        look_at(scheduler, *moments)
        return len(started) - before

    assert starts("10T01:59:58", "10T01:59:59", "10T02:00:00", "10T02:00:01", "10T23:59:59") == 1
    assert starts("11T02:00:00") == 1
    assert starts("20T00:00:00") == 1, "missed ticks start one instance"
    scheduler = Scheduler(database, started.append)
    assert starts("20T02:00:00.100", "21T01:59:59") == 0, "ticks before the start are not caught up"
    jobs.edit_job(database, scheduled, {"cron": "30 3 * * *"})
    assert starts("21T02:00:00") == 0
    assert starts("21T02:30:00") == 1
    jobs.edit_job(database, scheduled, {"is_scheduled": False})
    assert starts("23T02:30:00") == 0
    assert set(started) == {scheduled.id}


def test_failing_start_does_not_block_other_jobs(database: Database, scheduled: Job) -> None:
    tried: list[str] = []

    def fail(job_id: str) -> None:
        tried.append(job_id)
        raise RuntimeError

    other = jobs.create_job(database, jobs.NewJob(scheduled.project_id, "K", "Processing", scheduled.technology_id))
    jobs.edit_job(database, other, {"is_scheduled": True, "cron": "0 3 * * *"})
    look_at(Scheduler(database, fail), "10T00:00:00", "10T04:00:00")
    assert len(tried) == 2
