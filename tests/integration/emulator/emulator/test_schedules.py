"""Jobs that are started by their schedule."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from airflow_provider_saagie.emulator.clock import from_iso, to_iso
from airflow_provider_saagie.emulator.engine.schedule import Scheduler, next_tick
from airflow_provider_saagie.emulator.store import jobs, projects
from airflow_provider_saagie.emulator.store.database import Database
from tests.integration.emulator.emulator.conftest import BASH

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.emulator.emulator.conftest import Client
    from airflow_provider_saagie.emulator.testing import Emulator

EACH_SECOND = "* * * * * *"
EDIT = "mutation edit($job: JobEditionInput!) { editJob(job: $job) { id scheduleStatus } }"
RUNS = """
query runs($id: UUID!) {
  job(id: $id) {
    scheduleStatus
    instances { id number startTime history { currentStatus { status reason } }
      runTrigger { __typename triggerType ... on AuthoredTrigger { author } } }
  }
}
"""


@pytest.fixture
def job(database: Database) -> jobs.Job:
    project = projects.create_project(database, 1, "P", "me", technologies={"Processing": [BASH]})
    new = jobs.NewJob(project.id, "J", "Processing", BASH, is_scheduled=True, cron="0 3 * * *", timezone="Europe/Paris")
    return jobs.create_job(database, new)


@pytest.fixture
def started() -> list[str]:
    return []


@pytest.fixture
def scheduler(database: Database, started: list[str]) -> Scheduler:
    return Scheduler(database, started.append)


@pytest.mark.parametrize(
    ("cron", "timezone", "after", "due"),
    [
        ("*/5 * * * *", None, "2026-03-10T12:01:30.500Z", "2026-03-10T12:05:00.000Z"),
        ("*/5 * * * *", None, "2026-03-10T12:05:00.000Z", "2026-03-10T12:10:00.000Z"),
        ("0 3 * * *", "Europe/Paris", "2026-01-10T12:00:00Z", "2026-01-11T02:00:00.000Z"),
        ("0 3 * * *", "Europe/Paris", "2026-07-10T12:00:00Z", "2026-07-11T01:00:00.000Z"),
        ("0 9 * * *", "Asia/Tokyo", "2026-01-10T12:00:00Z", "2026-01-11T00:00:00.000Z"),
    ],
)
def test_a_schedule_is_due_by_the_clock_of_its_time_zone(cron: str, timezone: str, after: str, due: str) -> None:
    found = next_tick(cron, timezone, from_iso(after))
    assert found is not None
    assert to_iso(found) == due


def test_a_schedule_that_is_never_due_is_told_apart() -> None:
    assert next_tick("0 0 30 2 *", None, from_iso("2026-01-01T00:00:00Z")) is None


def test_a_job_is_started_once_at_each_tick(scheduler: Scheduler, started: list[str], job: jobs.Job) -> None:
    for moment in ("01:59:58", "01:59:59", "02:00:00", "02:00:01", "23:59:59"):
        scheduler.look(from_iso(f"2026-01-10T{moment}Z"))
    assert started == [job.id]
    scheduler.look(from_iso("2026-01-11T02:00:00Z"))
    assert started == [job.id] * 2


def test_ticks_missed_in_one_go_are_one(scheduler: Scheduler, started: list[str], job: jobs.Job) -> None:
    scheduler.look(from_iso("2026-01-10T00:00:00Z"))
    scheduler.look(from_iso("2026-01-20T00:00:00Z"))
    assert started == [job.id]


def test_what_was_due_before_a_start_is_not_made_up_for(
    scheduler: Scheduler, started: list[str], job: jobs.Job
) -> None:
    scheduler.look(from_iso("2026-01-10T02:00:00.100Z"))
    scheduler.look(from_iso("2026-01-11T01:59:59Z"))
    assert started == []


def test_a_changed_schedule_counts_from_its_change(
    database: Database, scheduler: Scheduler, started: list[str], job: jobs.Job
) -> None:
    scheduler.look(from_iso("2026-01-10T00:00:00Z"))
    jobs.edit_job(database, job, {"cron": "30 3 * * *"})
    scheduler.look(from_iso("2026-01-10T02:00:00Z"))
    assert started == []
    scheduler.look(from_iso("2026-01-10T02:30:00Z"))
    assert started == [job.id]
    jobs.edit_job(database, job, {"is_scheduled": False})
    scheduler.look(from_iso("2026-01-12T02:30:00Z"))
    assert started == [job.id]


def test_a_job_that_can_not_be_started_does_not_hold_up_others(database: Database, job: jobs.Job) -> None:
    other = jobs.NewJob(job.project_id, "K", "Processing", BASH, is_scheduled=True, cron="0 3 * * *", timezone="UTC")
    tried = []

    def fail(job_id: str) -> None:
        tried.append(job_id)
        raise RuntimeError

    jobs.create_job(database, other)
    scheduler = Scheduler(database, fail)
    scheduler.look(from_iso("2026-01-10T00:00:00Z"))
    scheduler.look(from_iso("2026-01-10T04:00:00Z"))
    assert len(tried) == 2


def test_a_scheduled_job_runs_by_itself_until_its_schedule_is_taken_away(client: Client) -> None:
    job = client.job("echo tick", technology="Bash", isScheduled=True, cronScheduling=EACH_SECOND)
    deadline = time.monotonic() + 15
    while len(client.data(RUNS, {"id": job})["job"]["instances"]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    client.data(EDIT, {"job": {"id": job, "isScheduled": False}})
    runs = client.data(RUNS, {"id": job})["job"]["instances"]
    assert runs[0]["runTrigger"] == {"__typename": "AnonymousTrigger", "triggerType": "CRON_JOB"}
    assert client.wait(runs[-1]["id"])["history"]["currentStatus"]["status"] == "SUCCEEDED"
    assert client.lines(runs[-1]["id"]) == ["tick"]
    seconds = [run["startTime"][:19] for run in runs]
    assert len(set(seconds)) == len(seconds)
    time.sleep(1.5)
    assert len(client.data(RUNS, {"id": job})["job"]["instances"]) == len(runs)


def test_an_impossible_schedule_says_so(client: Client) -> None:
    job = client.job("true", technology="Bash", isScheduled=True, cronScheduling="0 0 30 2 *")
    assert client.data(RUNS, {"id": job})["job"]["scheduleStatus"] == "IMPOSSIBLE_TO_SCHEDULE"


def test_ticks_while_the_emulator_is_down_are_not_made_up_for(
    start_emulator: Callable[..., Emulator], client_of: Callable[[Emulator], Client]
) -> None:
    emulator = start_emulator()
    client = client_of(emulator)
    job = client.job("true", technology="Bash", isScheduled=True, cronScheduling=EACH_SECOND)
    deadline = time.monotonic() + 15
    while not client.data(RUNS, {"id": job})["job"]["instances"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    emulator.process.kill()
    emulator.process.wait()
    down_at = time.time()
    time.sleep(3)
    again = client_of(start_emulator())
    up_at = time.time()
    again.data(EDIT, {"job": {"id": job, "isScheduled": False}})
    starts = [from_iso(run["startTime"]) / 1000 for run in again.data(RUNS, {"id": job})["job"]["instances"]]
    assert not [one for one in starts if down_at < one < up_at - 2]
