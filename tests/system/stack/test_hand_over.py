"""A triggerer is lost, and returns: the instance that a deferred task waits for continues."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from airflow_provider_saagie.triggers.saagie import USUAL_START_LAG
from scripts.stack import Stack
from tests.system.stack.saagie_side import wait_until
from tests.system.stack.task_run import TaskRun
from tests.system.stack.triggerers import own_triggerer, second_triggerer, suspended

LOST_AFTER = 8  # seconds without a heartbeat (one comes every 5 s) until the other triggerer takes over; 30 by default
ALIVE = {"job_type": "TriggererJob", "job_state": "running", "is_alive": True}


@pytest.mark.by_hand
@pytest.mark.timeout(1200)
def test_lost_and_returning_triggerer_leaves_instance(stack: Stack, begin: Callable[..., TaskRun]) -> None:
    run = begin("plain_deferred")
    instance_id = run.settles()
    deferred = time.monotonic()

    def triggerer() -> int | None:
        job = run.task["triggerer_job"]
        return job["id"] if job else None

    first = triggerer()
    with second_triggerer(stack, LOST_AFTER):
        wait_until(lambda: len(stack.airflow.call("GET", "jobs", params=ALIVE)["jobs"]) == 2)
        time.sleep(max(0, deferred + USUAL_START_LAG + 1 - time.monotonic()))  # earlier it would not look like a loss
        with suspended(own_triggerer(stack)):
            wait_until(lambda: triggerer() not in (first, None))
            wait_until(lambda: "Another triggerer" in run.log())
        # Airflow has the returning triggerer kill what it no longer has: apache/airflow#73454.
        wait_until(lambda: "is still deferred" in run.log())
    wait_until(lambda: triggerer() == first)

    assert not run.saagie.stops(instance_id)
    assert run.saagie.status(instance_id) == "RUNNING"
    run.succeeds(instance_id)
