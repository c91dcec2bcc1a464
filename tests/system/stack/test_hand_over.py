"""A triggerer is lost, and comes back: the instance that a deferred task waits for goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from airflow_provider_saagie.triggers.saagie import USUAL_START_LAG
from scripts import airflow_settings, processes
from tests.system.stack.saagie_side import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.airflow_api import AirflowApi
    from scripts.stack import Stack
    from tests.system.stack.saagie_side import SaagieSide

pytestmark = pytest.mark.slow

DAG, TASK = "hand_over", "run"
LOST_AFTER = 8  # seconds without a heartbeat (one comes every 5 s) until the other triggerer takes over; 30 by default
TRIGGERER = [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"]


@contextmanager
def another_triggerer(stack: Stack) -> Iterator[None]:
    """Run a second triggerer for the length of a block; it ends like one whose machine is drained."""
    env = airflow_settings.environment(stack.settings, stack.wishes.folder)
    env["AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD"] = str(LOST_AFTER)
    with (stack.wishes.folder / "logs" / "another-triggerer.log").open("w") as log:
        process = subprocess.Popen(TRIGGERER, env=env, stdout=log, stderr=log, cwd=stack.wishes.folder)
        try:
            yield
        finally:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            process.terminate()
            _, left = psutil.wait_procs(family, timeout=20)
            for slow in left:
                slow.kill()  # taken over from all the same, only later
            process.wait()


def own_triggerer(stack: Stack) -> list[psutil.Process]:
    """Find the processes of the stack's own triggerer."""
    (keeper,) = processes.keepers(stack.wishes.folder)
    for process in keeper.children():
        with suppress(psutil.Error):
            if "triggerer" in process.cmdline():
                return [process, *process.children(recursive=True)]
    raise AssertionError("the stack has no triggerer")


@contextmanager
def paused(stopped: list[psutil.Process]) -> Iterator[None]:
    """Hold processes still for the length of a block."""
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in stopped:
            process.send_signal(signal.SIGCONT)


def triggerers(airflow: AirflowApi) -> int:
    """Count the triggerers that are alive."""
    found = airflow.call("GET", "jobs", params={"job_type": "TriggererJob", "job_state": "running", "is_alive": True})
    return len(found["jobs"])


def waits_in(airflow: AirflowApi, run_id: str) -> int | None:
    """Return which triggerer the task waits in."""
    job = airflow.task(DAG, run_id, TASK)["triggerer_job"]
    return job["id"] if job else None


@pytest.mark.by_hand
def test_a_lost_and_returning_triggerer_leaves_the_instance(stack: Stack, airflow: AirflowApi, saagie: SaagieSide):
    airflow.wait_for_dag(DAG)
    run_id = airflow.trigger(DAG)
    airflow.wait_for_state(DAG, run_id, TASK, "deferred")
    deferred = time.monotonic()
    instance_id = airflow.xcom(DAG, run_id, TASK, "instance_url").rpartition("/")[2]

    def log_says(text: str) -> bool:
        return text in airflow.log_text(DAG, run_id, TASK)

    wait_until(lambda: log_says("[job] Going to sleep"), 60, "the job's line is in the task's log")
    first = waits_in(airflow, run_id)
    with another_triggerer(stack):
        wait_until(lambda: triggerers(airflow) == 2, 60, "there are two triggerers")
        time.sleep(max(0, deferred + USUAL_START_LAG + 1 - time.monotonic()))  # earlier it would not look like a loss
        with paused(own_triggerer(stack)):
            wait_until(lambda: waits_in(airflow, run_id) not in (first, None), 60, "the other triggerer took over")
            wait_until(lambda: log_says("Another triggerer"), 60, "the log says so")
        # Airflow tells the one that comes back to kill what it no longer has: apache/airflow#73454.
        wait_until(lambda: log_says("is still deferred"), 60, "the first triggerer was told to kill, and did not")
    wait_until(lambda: waits_in(airflow, run_id) == first, 90, "the first triggerer took over again")

    assert not saagie.stops(instance_id)
    assert saagie.status(instance_id) == "RUNNING"
    saagie.end(instance_id, "SUCCEEDED")
    assert airflow.wait_for_run(DAG, run_id) == "success"
