"""A triggerer is lost, and returns: the instance that a deferred task waits for continues."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from airflow_provider_saagie.triggers.saagie import USUAL_START_LAG
from tests.system.stack.saagie_side import wait_until
from tests.system.stack.triggerers import own_triggerer, second_triggerer, suspended

if TYPE_CHECKING:
    from scripts.airflow_api import AirflowApi
    from scripts.stack import Stack
    from tests.system.stack.saagie_side import SaagieSide

DAG, TASK = "hand_over", "run"
LOST_AFTER = 8  # seconds without a heartbeat (one comes every 5 s) until the other triggerer takes over; 30 by default


def triggerers(airflow: AirflowApi) -> int:
    """Count the triggerers that are alive."""
    found = airflow.call("GET", "jobs", params={"job_type": "TriggererJob", "job_state": "running", "is_alive": True})
    return len(found["jobs"])


def waits_in(airflow: AirflowApi, run_id: str) -> int | None:
    """Return which triggerer the task waits in."""
    job = airflow.task(DAG, run_id, TASK)["triggerer_job"]
    return job["id"] if job else None


@pytest.mark.by_hand
@pytest.mark.timeout(1200)
def test_lost_and_returning_triggerer_leaves_instance(stack: Stack, airflow: AirflowApi, saagie: SaagieSide):
    airflow.wait_for_dag(DAG)
    run_id = airflow.trigger(DAG)
    airflow.wait_for_state(DAG, run_id, TASK, "deferred")
    deferred = time.monotonic()
    instance_id = airflow.xcom(DAG, run_id, TASK, "instance_url").rpartition("/")[2]

    def log_says(text: str) -> bool:
        return text in airflow.log_text(DAG, run_id, TASK)

    wait_until(lambda: log_says("[job] Going to sleep"))
    first = waits_in(airflow, run_id)
    with second_triggerer(stack, LOST_AFTER):
        wait_until(lambda: triggerers(airflow) == 2)
        time.sleep(max(0, deferred + USUAL_START_LAG + 1 - time.monotonic()))  # earlier it would not look like a loss
        with suspended(own_triggerer(stack)):
            wait_until(lambda: waits_in(airflow, run_id) not in (first, None))
            wait_until(lambda: log_says("Another triggerer"))
        # Airflow has the returning triggerer kill what it no longer has: apache/airflow#73454.
        wait_until(lambda: log_says("is still deferred"))
    wait_until(lambda: waits_in(airflow, run_id) == first)

    assert not saagie.stops(instance_id)
    assert saagie.status(instance_id) == "RUNNING"
    saagie.end(instance_id, "SUCCEEDED")
    assert airflow.wait_for_run(DAG, run_id) == "success"
