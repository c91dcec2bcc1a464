"""Failures, skips, deadlines, retries, kills and clears: what becomes of the task, and of its instance."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil
import pytest
import requests

from tests.system.stack.saagie_side import wait_until
from tests.system.stack.versions.conftest import AIRFLOW, HEARD, PATIENCE, Run

if TYPE_CHECKING:
    from tests.system.stack.saagie_side import SaagieSide

BOTH = pytest.mark.parametrize("way", ["deferred", "running"])
LONG = "import time\nprint('started', flush=True)\ntime.sleep(300)"
FAILS = f"import sys, time\ntime.sleep({HEARD})\nprint('what went wrong', file=sys.stderr)\nsys.exit(3)"
QUICK = f"import time\ntime.sleep({HEARD})\nprint('done')"
LIMIT = 15.0  # seconds within which a kill stops an instance, or is taken not to

# What Airflow itself came to do, and when: docs/versions.md tells users what that means for them.
HEARS_OF_A_KILL = {"running": AIRFLOW >= (3, 0, 4), "deferred": AIRFLOW >= (3, 3, 0)}
RETRIES_A_DEAD_WORKER = AIRFLOW >= (3, 1, 0)
RESTARTS_WHAT_RUNS = AIRFLOW >= (3, 1, 0)
REMEMBERS_ACROSS_TRIES = AIRFLOW >= (3, 3, 0)

Begin = Callable[..., Run]


@BOTH
def test_a_failed_job_fails_the_task_with_its_last_words(way: str, begin: Begin) -> None:
    run = begin(f"oldest_plain_{way}", FAILS)
    assert run.ends() == "failed"
    assert run.xcom("instance_status") == "FAILED"
    shown = str(run.airflow.log(run.dag_id, run.run_id, "run"))
    for part in ("SaagieJobFailed", "exit code 3", "what went wrong", "/instances/"):
        assert part in shown
    assert str(run.link()).endswith(run.instances()[0].id)


@BOTH
def test_a_failed_job_is_retried(way: str, begin: Begin) -> None:
    run = begin(f"oldest_retried_{way}", FAILS)
    assert run.ends() == "failed"
    assert (run.task["try_number"], len(run.instances())) == (2, 2)


@BOTH
def test_what_is_listed_in_skip_on_skips(way: str, begin: Begin) -> None:
    assert begin(f"oldest_skipped_{way}", FAILS).ends() == "skipped"


@BOTH
def test_a_job_that_somebody_stopped_is_not_retried(way: str, begin: Begin, saagie: SaagieSide) -> None:
    run = begin(f"oldest_retried_{way}", LONG)
    saagie.stop(run.waits_for())
    assert run.ends() == "failed"
    assert run.task["try_number"] == 1
    assert "KILLED" in str(run.airflow.log(run.dag_id, run.run_id, "run"))


@BOTH
@pytest.mark.parametrize("limit", ["timeout", "execution_timeout"])
def test_at_a_deadline_the_instance_is_stopped(limit: str, way: str, begin: Begin, saagie: SaagieSide) -> None:
    run = begin(f"oldest_{limit}_{way}", LONG)
    assert run.ends() == "failed"
    (instance,) = run.instances()
    wait_until(lambda: saagie.status(instance.id) == "KILLED", LIMIT, "the instance was stopped")


@BOTH
def test_a_lost_answer_starts_no_second_run_within_a_try(way: str, begin: Begin, saagie: SaagieSide) -> None:
    wish = {"what": "drop", "operation": "runJob"}
    requests.post(f"{saagie.url}/emulator/faults", json=wish, timeout=10).raise_for_status()
    run = begin(f"oldest_plain_{way}", QUICK)
    state = run.ends()
    requests.delete(f"{saagie.url}/emulator/faults", timeout=10)
    assert state == "success"
    assert len(run.instances()) == 1
    assert "adopted it" in run.log()


@BOTH
@pytest.mark.parametrize("state", ["failed", "success"])
def test_marking_a_task_stops_its_instance_where_airflow_tells_us(
    state: str, way: str, begin: Begin, saagie: SaagieSide
) -> None:
    run = begin(f"oldest_plain_{way}", LONG)
    instance_id = run.waits_for()
    run.airflow.set_task_state(run.dag_id, run.run_id, "run", state)
    if HEARS_OF_A_KILL[way]:
        wait_until(lambda: saagie.status(instance_id) == "KILLED", LIMIT, "the instance was stopped")
    else:
        time.sleep(LIMIT)
        assert (saagie.status(instance_id), saagie.stops(instance_id)) == ("RUNNING", [])


@BOTH
def test_clearing_a_task_runs_its_job_again(way: str, begin: Begin, saagie: SaagieSide) -> None:
    run = begin(f"oldest_plain_{way}", LONG)
    before = run.waits_for()
    run.airflow.clear(run.dag_id, run.run_id, "run")
    if way == "running" and not RESTARTS_WHAT_RUNS:
        time.sleep(LIMIT)
        assert (run.task["state"], len(run.instances())) == ("restarting", 1)
    else:
        assert run.waits_for(number=2) != before
    expected = "KILLED" if HEARS_OF_A_KILL[way] else "RUNNING"
    wait_until(lambda: saagie.status(before) == expected, LIMIT, f"the first instance is {expected}")


def test_a_worker_that_died_is_followed_by_a_retry(begin: Begin, saagie: SaagieSide) -> None:
    run = begin("oldest_retried_running", LONG)
    before = run.waits_for()
    psutil.Process(run.task["pid"]).kill()
    if RETRIES_A_DEAD_WORKER:
        wait_until(lambda: (run.task["try_number"], run.task["state"]) == (2, "running"), PATIENCE, "it is retried")
        wait_until(lambda: "/instances/" in run.log(2) or "[job] started" in run.log(2), PATIENCE, "the retry waits")
    else:
        assert run.ends() == "failed"
    is_started_again = RETRIES_A_DEAD_WORKER and not REMEMBERS_ACROSS_TRIES
    assert [one.status for one in run.instances()] == ["RUNNING"] * (2 if is_started_again else 1)
    assert saagie.stops(before) == []
