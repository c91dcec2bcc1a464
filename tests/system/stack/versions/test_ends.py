"""Failures, skips, deadlines, retries, kills and clears: what happens to the task and to its instance."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest

from tests.support.held_jobs import Hold
from tests.system.stack.saagie_side import SaagieSide, wait_until
from tests.system.stack.task_run import SLEEPS, TaskRun
from tests.system.stack.versions.conftest import AIRFLOW

pytestmark = pytest.mark.timeout(900)

WAYS = ("deferred", "running")
FAILS = "import sys\nprint('what went wrong', file=sys.stderr)\nsys.exit(3)"

# What Airflow itself learned to do, and when: docs/versions.md tells users what that means for them.
HANDLES_KILL = {"running": AIRFLOW >= (3, 0, 4), "deferred": AIRFLOW >= (3, 3, 0)}
RETRIES_A_DEAD_WORKER = AIRFLOW >= (3, 1, 0)
RESTARTS_A_RUNNING_TASK = AIRFLOW >= (3, 1, 0)
REMEMBERS_ACROSS_TRIES = AIRFLOW >= (3, 3, 0)


def test_end_of_instance_decides_task(begin: Callable[..., TaskRun], hold: Hold, saagie: SaagieSide) -> None:
    kinds = ("plain", "retried", "skipped")
    failing = {(kind, way): begin(f"{kind}_{way}", hold.code(FAILS)) for kind in kinds for way in WAYS}
    stopped = {way: begin(f"retried_{way}") for way in WAYS}
    for run in failing.values():
        run.settles()
    hold.release()
    for way, run in stopped.items():
        saagie.stop(run.settles())
        assert (run.ends()["state"], run.task["try_number"]) == ("failed", 1), way
        assert "KILLED" in str(run.airflow.log(run.dag_id, run.run_id, "run")), way
    for (kind, way), run in failing.items():
        run.airflow.wait_for_run(run.dag_id, run.run_id, seconds=300)
        assert run.task["state"] == ("skipped" if kind == "skipped" else "failed"), (kind, way)
        if kind == "retried":
            assert (run.task["try_number"], len(run.instances())) == (2, 2), way
        if kind == "plain":
            assert run.xcom("instance_status") == "FAILED"
            shown = str(run.airflow.log(run.dag_id, run.run_id, "run"))
            for part in ("SaagieJobFailed", "exit code 3", "what went wrong", "/instances/"):
                assert part in shown, way
            assert run.link().endswith(run.instances()[0].id)


def test_deadline_stops_instance(begin: Callable[..., TaskRun], saagie: SaagieSide) -> None:
    for run in [begin(f"{limit}_{way}") for limit in ("timed", "limited") for way in WAYS]:
        assert run.ends()["state"] == "failed", run
        (instance,) = run.instances()
        wait_until(lambda instance=instance: saagie.status(instance.id) == "KILLED")


def test_lost_answer_starts_no_second_run_within_try(
    begin: Callable[..., TaskRun], saagie: SaagieSide, hold: Hold
) -> None:
    saagie.fault("drop", "runJob", times=2)
    runs = [begin(f"plain_{way}", hold.code()) for way in WAYS]
    for run in runs:
        run.settles()
    hold.release()
    for run in runs:
        assert run.ends()["state"] == "success", run
        assert len(run.instances()) == 1, run
        assert "adopted it" in run.log(), run


def test_marking_task_stops_instance_if_airflow_notifies(begin: Callable[..., TaskRun], saagie: SaagieSide) -> None:
    runs = [(state, way, begin(f"plain_{way}")) for state in ("failed", "success") for way in WAYS]
    instances = [run.settles() for *_, run in runs]
    worker = {run.run_id: run.task["pid"] for _, way, run in runs if way == "running"}
    for state, _, run in runs:
        run.airflow.set_task_state(run.dag_id, run.run_id, "run", state)
    for (state, way, run), instance_id in zip(runs, instances, strict=True):
        if HANDLES_KILL[way]:
            wait_until(lambda instance_id=instance_id: saagie.status(instance_id) == "KILLED")
            continue
        if way == "running":
            wait_until(lambda pid=worker[run.run_id]: not psutil.pid_exists(pid))
        else:  # a later task of the same triggerer has come to its end: the trigger of this one has been handled before
            later = begin("plain_deferred", "print('started')")
            later.airflow.wait_for_run(later.dag_id, later.run_id, seconds=300)
        assert (saagie.status(instance_id), saagie.stops(instance_id)) == ("RUNNING", []), (state, way)


def test_clearing_task_runs_job_again(begin: Callable[..., TaskRun], saagie: SaagieSide) -> None:
    runs = {way: begin(f"plain_{way}") for way in WAYS}
    before = {way: run.settles() for way, run in runs.items()}
    for way, run in runs.items():
        run.airflow.clear(run.dag_id, run.run_id, "run")
        if way == "running" and not RESTARTS_A_RUNNING_TASK:
            run.airflow.wait_for_state(run.dag_id, run.run_id, "run", "restarting")
            assert len(run.instances()) == 1
        else:
            assert run.waits_for(2) != before[way]
        expected = "KILLED" if HANDLES_KILL[way] else "RUNNING"
        wait_until(lambda way=way, expected=expected: saagie.status(before[way]) == expected)


def test_dead_worker_is_followed_by_retry(begin: Callable[..., TaskRun], saagie: SaagieSide) -> None:
    run = begin("retried_running", SLEEPS)
    before = run.settles()
    run.kill_worker()
    if RETRIES_A_DEAD_WORKER:
        wait_until(lambda: (run.task["try_number"], run.task["state"]) == (2, "running"))
        wait_until(lambda: "/instances/" in run.log(2) or "[job] started" in run.log(2))
    else:
        assert run.ends()["state"] == "failed"
    is_started_again = RETRIES_A_DEAD_WORKER and not REMEMBERS_ACROSS_TRIES
    assert [one.status for one in run.instances()] == ["RUNNING"] * (2 if is_started_again else 1)
    assert saagie.stops(before) == []
