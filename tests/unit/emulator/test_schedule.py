"""Test when scheduled jobs are due."""

from collections.abc import Callable

import pytest

from airflow_provider_saagie.emulator.clock import from_iso, to_iso
from airflow_provider_saagie.emulator.engine.schedule import Scheduler, next_tick
from airflow_provider_saagie.emulator.store import jobs
from airflow_provider_saagie.emulator.store.database import Database


@pytest.fixture
def job(database: Database, job: jobs.Job) -> jobs.Job:
    """A job that is due at 3:00 in Paris, which is 2:00 UTC in winter."""
    return jobs.edit_job(database, job, {"is_scheduled": True})


@pytest.fixture
def look(database: Database, job: jobs.Job) -> Callable[..., list[str]]:
    """A function that lets the scheduler look at these moments of January 2026, and returns what was started."""
    started: list[str] = []
    scheduler = Scheduler(database, started.append)

    def look_at(*moments: str) -> list[str]:
        before = len(started)
        for moment in moments:
            scheduler.look(from_iso(f"2026-01-{moment}Z"))
        return started[before:]

    return look_at


def test_next_tick_counts_in_the_time_zone() -> None:
    for cron, timezone, after, due in (
        ("*/5 * * * *", None, "2026-03-10T12:01:30.500Z", "2026-03-10T12:05:00.000Z"),
        ("*/5 * * * *", None, "2026-03-10T12:05:00.000Z", "2026-03-10T12:10:00.000Z"),
        ("0 3 * * *", "Europe/Paris", "2026-01-10T12:00:00Z", "2026-01-11T02:00:00.000Z"),
        ("0 3 * * *", "Europe/Paris", "2026-07-10T12:00:00Z", "2026-07-11T01:00:00.000Z"),
        ("0 9 * * *", "Asia/Tokyo", "2026-01-10T12:00:00Z", "2026-01-11T00:00:00.000Z"),
    ):
        assert to_iso(next_tick(cron, timezone, from_iso(after)) or 0) == due, (cron, timezone, after)
    assert next_tick("0 0 30 2 *", None, from_iso("2026-01-01T00:00:00Z")) is None


def test_job_starts_once_per_tick(look: Callable[..., list[str]], job: jobs.Job) -> None:
    assert look("10T01:59:58", "10T01:59:59", "10T02:00:00", "10T02:00:01", "10T23:59:59") == [job.id]
    assert look("11T02:00:00") == [job.id]


def test_missed_ticks_start_one_instance(look: Callable[..., list[str]], job: jobs.Job) -> None:
    assert look("10T00:00:00", "20T00:00:00") == [job.id]


def test_ticks_before_the_start_are_not_caught_up(look: Callable[..., list[str]]) -> None:
    assert look("10T02:00:00.100", "11T01:59:59") == []


def test_changed_schedule_counts_from_its_change(
    database: Database, look: Callable[..., list[str]], job: jobs.Job
) -> None:
    look("10T00:00:00")
    jobs.edit_job(database, job, {"cron": "30 3 * * *"})
    assert look("10T02:00:00") == []
    assert look("10T02:30:00") == [job.id]
    jobs.edit_job(database, job, {"is_scheduled": False})
    assert look("12T02:30:00") == []


def test_failing_start_does_not_block_other_jobs(database: Database, job: jobs.Job) -> None:
    tried: list[str] = []

    def fail(job_id: str) -> None:
        tried.append(job_id)
        raise RuntimeError

    other = jobs.NewJob(
        job.project_id, "K", "Processing", job.technology_id, is_scheduled=True, cron="0 3 * * *", timezone="UTC"
    )
    jobs.create_job(database, other)
    scheduler = Scheduler(database, fail)
    scheduler.look(from_iso("2026-01-10T00:00:00Z"))
    scheduler.look(from_iso("2026-01-10T04:00:00Z"))
    assert len(tried) == 2
