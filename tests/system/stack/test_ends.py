"""How an instance's end, a worker's end and a deadline look on a real Airflow; stops are counted in Saagie."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.system.stack.saagie_side import SaagieSide, processes_of, wait_until
from tests.system.stack.task_run import PATIENCE, TaskRun, begun
from tests.system.stack.test_hand_over import own_triggerer, paused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scripts.airflow_api import AirflowApi
    from scripts.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.long]

LIMIT = 12.0  # seconds, as in dags/end_dags.py
SLACK = 6.0  # seconds: a poll, and a fresh triggerer's first call to Airflow, which takes up to five
# Airflow's executor may tell of the end of a deferred task's first half more than five seconds after the task's start.
# Where the task has resumed by then, the scheduler takes it for lost, and has it tried again.
HEARD_OF_AFTER = 8.0
both_ways = pytest.mark.parametrize("way", ["deferred", "running"])


class Run(TaskRun):
    """A run whose task comes to an end."""

    def waits_for(self, number: int) -> str:
        """Wait as before, and until the job has said something, and Airflow has heard of a deferral."""
        instance_id = super().waits_for(number)
        self.speaks()
        task = self.task
        if task["state"] == "deferred":
            running_for = (datetime.now(UTC) - datetime.fromisoformat(task["start_date"])).total_seconds()
            time.sleep(max(0.0, HEARD_OF_AFTER - running_for))
        return instance_id

    def errors(self, try_number: int = 1) -> str:
        """Give what a try raised, as its log shows it."""
        lines = self.airflow.log(self.dag_id, self.run_id, "run", try_number)
        return "\n".join(str(line.get("error_detail")) for line in lines if isinstance(line, dict))

    def told_after(self, start: str, event: str) -> float:
        """Give the seconds from a time to a line of the log."""
        lines = self.airflow.log(self.dag_id, self.run_id, "run")
        (told,) = (line["timestamp"] for line in lines if line["event"] == event)
        return (datetime.fromisoformat(told) - datetime.fromisoformat(start)).total_seconds()

    def ends_as(self, state: str) -> dict[str, Any]:
        """Wait for the task's end, and see that it is that one."""
        ended = self.airflow.wait_for_state(
            self.dag_id, self.run_id, "run", "success", "failed", "skipped", seconds=PATIENCE
        )
        assert ended["state"] == state
        return ended


@pytest.fixture
def begin(airflow: AirflowApi, saagie: SaagieSide, tmp_path: Path) -> Iterator[Callable[[str], Run]]:
    """A function that makes a job and starts a run of a DAG for it."""
    with begun(Run, airflow, saagie, tmp_path) as start:
        yield start


def test_a_worker_that_is_drained_stops_the_instance_and_the_retry_starts_another(begin: Callable[[str], Run]) -> None:
    run = begin("ends_running")
    first = run.waits_for(1)
    # A worker that gets SIGTERM hands it on to its task's process; here the worker goes on, for the other tests.
    psutil.Process(run.task["pid"]).terminate()
    second = run.waits_for(2)
    assert run.task["try_number"] == 2
    assert "SaagieInstanceKilled" in run.errors()
    assert len(run.saagie.stops(first)) == 1
    assert not processes_of(first)
    one, two = run.instances()
    assert one.status == "KILLED"
    assert one.end_time
    assert two.start_time
    assert datetime.fromisoformat(one.end_time) <= datetime.fromisoformat(two.start_time)
    run.saagie.end(second, "SUCCEEDED")
    run.ends_as("success")


@both_ways
def test_what_a_person_stops_in_saagie_is_not_run_again(way: str, begin: Callable[[str], Run]) -> None:
    run = begin(f"ends_{way}")
    instance_id = run.waits_for(1)
    run.saagie.stop(instance_id)
    assert run.ends_as("failed")["try_number"] == 1
    assert "ended as KILLED, stopped by airflow, after" in run.errors()
    assert len(run.saagie.stops(instance_id)) == 1, "the person's"
    assert len(run.instances()) == 1


@both_ways
def test_what_the_platform_evicts_is_run_again(way: str, begin: Callable[[str], Run]) -> None:
    run = begin(f"ends_{way}")
    first = run.waits_for(1)
    run.saagie.end(first, "FAILED", "EVICTED")
    second = run.waits_for(2)
    assert "SaagieInfrastructureError" in run.errors()
    run.saagie.end(second, "SUCCEEDED")
    assert run.ends_as("success")["try_number"] == 2
    assert not run.saagie.stops(first)
    assert not run.saagie.stops(second)


@both_ways
def test_what_the_platform_skips_is_skipped(way: str, begin: Callable[[str], Run]) -> None:
    run = begin(f"ends_{way}")
    instance_id = run.waits_for(1)
    run.saagie.end(instance_id, "SKIPPED")
    assert run.ends_as("skipped")["try_number"] == 1
    assert not run.saagie.stops(instance_id)


@both_ways
@pytest.mark.parametrize(("kind", "error"), [("limited", "AirflowTaskTimeout"), ("timed", "SaagieWaitTimeout")])
def test_when_the_time_is_over_the_task_fails_at_once_and_the_instance_is_stopped(
    way: str, kind: str, error: str, begin: Callable[[str], Run]
) -> None:
    run = begin(f"{kind}_{way}")
    instance_id = run.waits_for(1)
    task = run.ends_as("failed")
    # The worker slot of a task that resumes comes when Airflow has one: what counts is when the trigger ended itself.
    ended = "Trigger fired event" if way == "deferred" else "Task failed with exception"
    assert LIMIT <= run.told_after(task["start_date"], ended) < LIMIT + SLACK
    for part in (error, "timeout of 12 s passed: the try began 1", "The instance was asked to stop", instance_id):
        assert part in run.errors()
    wait_until(lambda: run.saagie.status(instance_id) == "KILLED", 10, "the instance was stopped")
    assert len(run.saagie.stops(instance_id)) == 1


def test_where_the_triggerer_is_stuck_airflows_backstop_stops_the_instance(
    begin: Callable[[str], Run], stack: Stack
) -> None:
    run = begin("timed_deferred")
    instance_id = run.waits_for(1)
    with paused(own_triggerer(stack)):
        run.ends_as("failed")
        for part in ("SaagieWaitTimeout", "No triggerer has told", "The instance was asked to stop", instance_id):
            assert part in run.errors()
        wait_until(lambda: run.saagie.status(instance_id) == "KILLED", 10, "the instance was stopped")
    assert not processes_of(instance_id)
