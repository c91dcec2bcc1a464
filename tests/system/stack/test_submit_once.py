"""Submit once on a real Airflow: workers that die, answers that are lost, clears and retries; counted in Saagie."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import requests

from scripts import airflow_settings
from tests.system.stack.saagie_side import SaagieSide, wait_until
from tests.system.stack.task_run import PATIENCE, TaskRun, begun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scripts.airflow_api import AirflowApi
    from scripts.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.long]

DEFERRED, RUNNING = "once_deferred", "once_running"


class Story(TaskRun):
    """A run whose worker may die, and whose tasks may be cleared."""

    def kill_worker(self) -> None:
        """End the task's process as the kernel does where memory is short."""
        wait_until(lambda: self.task["pid"], 30, "Airflow knows the task's process")
        psutil.Process(self.task["pid"]).kill()

    def clear(self, *task_ids: str) -> None:
        self.airflow.clear(self.dag_id, self.run_id, *task_ids)

    def ends_well(self, instance_id: str) -> None:
        """Let the instance succeed, and see the run do so."""
        self.saagie.end(instance_id, "SUCCEEDED")
        assert self.airflow.wait_for_run(self.dag_id, self.run_id, seconds=PATIENCE) == "success"
        assert self.xcom() == instance_id


@pytest.fixture
def begin(stack: Stack, airflow: AirflowApi, saagie: SaagieSide, tmp_path: Path) -> Iterator[Callable[[str], Story]]:
    """A function that makes a job and starts a run of a DAG for it."""
    extra = json.loads(stack.connection["extra"]) | {"timeout": 3}
    airflow.put_connection(stack.connection | {"connection_id": "saagie_short", "extra": json.dumps(extra)})
    with begun(Story, airflow, saagie, tmp_path) as start:
        yield start
        requests.delete(f"{saagie.url}/emulator/faults", timeout=10)


def fault(saagie: SaagieSide, **wish: Any) -> Callable[[], bool]:
    """Switch a fault on, and give a function that says whether it has struck."""
    answer = requests.post(f"{saagie.url}/emulator/faults", json=wish, timeout=10)
    answer.raise_for_status()
    return lambda: bool(requests.get(f"{saagie.url}/emulator/faults", timeout=10).json()["faults"][-1]["struck"])


@pytest.mark.parametrize("dag_id", [DEFERRED, RUNNING])
def test_a_dropped_answer_starts_no_second_run(dag_id: str, begin: Callable[[str], Story], saagie: SaagieSide) -> None:
    fault(saagie, what="drop", operation="runJob")
    story = begin(dag_id)
    story.ends_well(story.waits_for(1))
    assert len(story.instances()) == 1
    assert "adopted it" in story.log()


def test_a_worker_that_dies_after_the_sending(begin: Callable[[str], Story], saagie: SaagieSide) -> None:
    struck = fault(saagie, what="delay", operation="runJob", seconds=2, when="before")
    story = begin(RUNNING)
    wait_until(struck, PATIENCE, "runJob was sent")
    story.kill_worker()
    first = story.waits_for(1)
    assert story.task["try_number"] == 2
    story.ends_well(first)
    assert len(story.instances()) == 1
    assert "adopted it" in story.log()


def test_a_worker_that_dies_before_the_sending(begin: Callable[[str], Story], saagie: SaagieSide) -> None:
    struck = fault(saagie, what="delay", operation="jobSummary", seconds=2, when="before")
    story = begin(RUNNING)
    wait_until(struck, PATIENCE, "the job was asked for")
    story.kill_worker()
    story.ends_well(story.waits_for(1))
    assert story.task["try_number"] == 2
    assert len(story.instances()) == 1


def test_a_worker_that_dies_while_it_waits(begin: Callable[[str], Story]) -> None:
    story = begin(RUNNING)
    first = story.waits_for(1)
    story.kill_worker()
    wait_until(
        lambda: story.task["try_number"] == 2 and "it is waited for" in story.log(), PATIENCE, "a retry attaches"
    )
    story.ends_well(first)
    assert len(story.instances()) == 1


def test_a_run_that_succeeds_while_no_worker_is_there(begin: Callable[[str], Story], saagie: SaagieSide) -> None:
    story = begin(RUNNING)
    first = story.waits_for(1)
    story.kill_worker()
    story.ends_well(first)
    assert len(story.instances()) == 1


@pytest.mark.parametrize("dag_id", [DEFERRED, RUNNING])
@pytest.mark.parametrize("ended", ["SUCCEEDED", "FAILED"])
def test_a_clear_of_an_ended_task_runs_the_job_again(
    dag_id: str, ended: str, begin: Callable[[str], Story], saagie: SaagieSide
) -> None:
    story = begin(dag_id)
    first = story.waits_for(1)
    if ended == "FAILED":
        # A fresh triggerer's first call to Airflow takes seconds, in which it hears of no kill; this line comes later.
        story.speaks()
        story.airflow.set_task_state(dag_id, story.run_id, "run", "failed")
        wait_until(lambda: not story.on_their_way(), 20, "it was stopped")
    else:
        story.ends_well(first)
    story.clear("run")
    story.ends_well(story.waits_for(2))
    assert len(story.instances()) == 2


@pytest.mark.parametrize("task_ids", [["run"], ["run", "sibling"]], ids=["the task", "the whole run"])
@pytest.mark.parametrize("dag_id", [DEFERRED, RUNNING])
def test_a_clear_of_a_waiting_task_stops_and_starts_anew(
    dag_id: str, task_ids: list[str], begin: Callable[[str], Story]
) -> None:
    story = begin(dag_id)
    first = story.waits_for(1)
    story.clear(*task_ids)
    second = story.waits_for(2)
    assert story.saagie.status(first) == "KILLED"
    assert story.on_their_way() == [second]
    story.ends_well(second)
    assert len(story.instances()) == 2


def test_a_clear_of_a_sibling_is_no_reason_to_run_the_job_again(begin: Callable[[str], Story]) -> None:
    story = begin(RUNNING)
    first = story.waits_for(1)
    story.airflow.wait_for_state(RUNNING, story.run_id, "sibling", "success")
    story.clear("sibling")
    story.kill_worker()
    wait_until(
        lambda: story.task["try_number"] == 2 and "it is waited for" in story.log(), PATIENCE, "a retry attaches"
    )
    assert story.saagie.status(first) == "RUNNING"
    story.ends_well(first)
    assert len(story.instances()) == 1


@pytest.mark.parametrize("retries", [5, 0])
def test_a_clear_is_told_from_a_retry_though_retries_were_edited(
    retries: int, begin: Callable[[str], Story], stack: Stack
) -> None:
    story = begin(DEFERRED)
    first = story.waits_for(1)
    edited = stack.wishes.dags / "once_retries.txt"
    edited.write_text(str(retries))
    env = airflow_settings.environment(stack.settings, stack.wishes.folder)
    try:
        subprocess.run([sys.executable, "-m", "airflow", "dags", "reserialize"], env=env, check=True, timeout=120)
        story.clear("run")
        second = story.waits_for(2)
    finally:
        edited.unlink()
        subprocess.run([sys.executable, "-m", "airflow", "dags", "reserialize"], env=env, check=True, timeout=120)
    assert story.saagie.status(first) == "KILLED"
    assert story.on_their_way() == [second]
    story.ends_well(second)
