"""What becomes of a Saagie instance when somebody ends its task: seen from Airflow and from Saagie's own side."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.system.stack.saagie_side import SaagieSide, processes_of, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.airflow_api import AirflowApi

pytestmark = pytest.mark.slow

DAG = "kills"
LIMIT = 15.0  # seconds from the user's click to the end of the instance; the contract gives the request itself 10
LATER = 2.0  # seconds in which a second request to stop would have come
LINK = "Open in Saagie"
FIRST_LINE = "[job] Going to sleep"
ENDED_TASK = ("deferred_then_failed", "deferred_then_success", "running_then_failed", "running_then_success")
LEFT_TASK = ("deferred_then_left", "running_then_left")


@dataclass
class Started:
    """A DAG run whose tasks wait for a job that lasts minutes."""

    airflow: AirflowApi
    saagie: SaagieSide
    run_id: str

    def waiting(self, task_id: str, not_this: str | None = None) -> str:
        """Wait until a task waits for its instance, with the job's line in its log and its link, and return the id."""
        state = task_id.partition("_")[0]
        self.airflow.wait_for_state(DAG, self.run_id, task_id, state, seconds=90)

        def instance() -> str | None:
            url = self.airflow.xcom(DAG, self.run_id, task_id, "instance_url")
            found = url.rpartition("/")[2] if url else None
            return found if found != not_this else None

        instance_id: str = wait_until(instance, 30, f"{task_id} has started an instance")
        wait_until(lambda: self.saagie.status(instance_id) == "RUNNING", 30, "the instance runs")
        wait_until(lambda: processes_of(instance_id), 10, "the job has a process")
        # A fresh triggerer's first call to Airflow takes seconds, in which it hears of no kill; this line comes later.
        wait_until(lambda: FIRST_LINE in self.log(task_id), 60, "the job's line is in the task's log")
        link = self.link(task_id)
        assert link
        assert link.startswith(f"{self.saagie.url}/projects/platform/1/project/")
        assert link.endswith(instance_id)
        return instance_id

    def log(self, task_id: str) -> str:
        task = self.airflow.task(DAG, self.run_id, task_id)
        return self.airflow.log_text(DAG, self.run_id, task_id, task["try_number"])

    def link(self, task_id: str) -> str | None:
        return self.airflow.links(DAG, self.run_id, task_id)[LINK]

    def assert_stopped_once(self, instance_id: str) -> None:
        wait_until(lambda: self.saagie.status(instance_id) == "KILLED", LIMIT, "the instance was stopped")
        wait_until(lambda: not processes_of(instance_id), 5, "the job's process is gone")
        time.sleep(LATER)
        assert len(self.saagie.stops(instance_id)) == 1


@pytest.fixture(scope="module")
def started(airflow: AirflowApi, saagie: SaagieSide) -> Iterator[Started]:
    """One run for all tests here: each of them ends another task of it."""
    airflow.wait_for_dag(DAG)
    run = Started(airflow, saagie, airflow.trigger(DAG))
    yield run
    airflow.set_run_state(DAG, run.run_id, "failed")
    airflow.wait_for_run(DAG, run.run_id)


@pytest.mark.parametrize("task_id", ENDED_TASK)
def test_ending_a_task_by_hand_stops_its_instance_once(task_id: str, started: Started):
    instance_id = started.waiting(task_id)

    started.airflow.set_task_state(DAG, started.run_id, task_id, task_id.rpartition("_")[2])

    started.assert_stopped_once(instance_id)
    link = started.link(task_id)
    assert link
    assert link.endswith(instance_id)


@pytest.mark.long
def test_without_stop_on_kill_the_instance_goes_on(started: Started):
    left = {task_id: started.waiting(task_id) for task_id in LEFT_TASK}

    for task_id in left:
        started.airflow.set_task_state(DAG, started.run_id, task_id, "failed")

    time.sleep(LIMIT)
    for instance_id in left.values():
        assert not started.saagie.stops(instance_id)
        assert started.saagie.status(instance_id) == "RUNNING"
        started.saagie.stop(instance_id)
        wait_until(lambda wanted=instance_id: not processes_of(wanted), 10, "the job's process is gone")


@pytest.mark.long
def test_clearing_a_running_task_stops_its_instance_and_starts_another(started: Started):
    task_id = "running_then_cleared"
    before = started.waiting(task_id)

    started.airflow.clear(DAG, started.run_id, task_id)

    started.assert_stopped_once(before)
    after = started.waiting(task_id, not_this=before)
    started.airflow.set_task_state(DAG, started.run_id, task_id, "failed")
    started.assert_stopped_once(after)
