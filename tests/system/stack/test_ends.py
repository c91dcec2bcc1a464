"""How tasks of a real Airflow end with an instance's end, a worker's end or a deadline; stops are counted in Saagie."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import psutil
import pytest

from scripts.stack import Stack
from tests.system.stack.saagie_side import processes_of, wait_until
from tests.system.stack.task_run import TaskRun
from tests.system.stack.triggerers import own_triggerer, suspended

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

TIMEOUT = 25.0  # seconds, as in dags/run_dags.py
WAYS = ("deferred", "running")
DEADLINE_ERRORS = {"limited": "AirflowTaskTimeout", "timed": "SaagieWaitTimeout"}


@pytest.fixture(scope="module", autouse=True)
def deadline_runs(begin: Callable[[str], TaskRun]) -> list[tuple[TaskRun, str]]:
    """Runs with a deadline and their errors: begun first, so that the deadlines pass during another test."""
    return [(begin(f"{kind}_{way}"), error) for kind, error in DEADLINE_ERRORS.items() for way in WAYS]


def test_end_of_instance_decides_state_and_retry(begin: Callable[[str], TaskRun]) -> None:
    """A user stops one in Saagie, Saagie evicts one and skips one, a worker is drained."""
    runs = {(how, way): begin(f"retried_{way}") for way in WAYS for how in ("stopped", "evicted", "skipped")}
    drained = begin("retried_running")
    first = {key: run.settles() for key, run in runs.items()}
    first_drained = drained.settles()

    # A worker that gets SIGTERM passes it on to its task's process; here the worker continues, for the other tests.
    psutil.Process(drained.task["pid"]).terminate()
    for (how, way), run in runs.items():
        match how:
            case "stopped":
                run.saagie.stop(first[how, way])
            case "evicted":
                run.saagie.end(first[how, way], "FAILED", "EVICTED")
            case _:
                run.saagie.end(first[how, way], "SKIPPED")

    for (how, way), run in runs.items():
        if how == "evicted":
            second = run.waits_for(2)
            assert "SaagieInfrastructureError" in run.errors(), way
            run.succeeds(second)
            assert (run.task["try_number"], run.saagie.stops(second)) == (2, []), way
        else:
            task = run.ends()
            assert (task["state"], task["try_number"]) == ("failed" if how == "stopped" else "skipped", 1), (how, way)
            assert len(run.instances()) == 1, (how, way)
        if how == "stopped":
            assert "ended as KILLED, stopped by airflow, after" in run.errors(), way
        assert len(run.saagie.stops(first[how, way])) == (how == "stopped"), (how, way)  # the user's

    second = drained.waits_for(2)
    assert drained.task["try_number"] == 2
    assert "SaagieInstanceKilled" in drained.errors()
    assert len(drained.saagie.stops(first_drained)) == 1
    assert not processes_of(first_drained)
    one, two = drained.instances()
    assert one.status == "KILLED"
    assert datetime.fromisoformat(str(one.end_time)) <= datetime.fromisoformat(str(two.start_time))
    drained.succeeds(second)


def check_deadline(run: TaskRun, *messages: str) -> None:
    """Check that the deadline has failed the task and stopped the instance."""
    task = run.ends()
    assert task["state"] == "failed", run
    (instance,) = run.instances()
    wait_until(lambda: run.saagie.status(instance.id) == "KILLED")
    wait_until(lambda: not processes_of(instance.id))
    # Airflow's alarm may interrupt the first request, which is then repeated.
    assert len(run.saagie.stops(instance.id)) in ((1, 2) if run.dag_id == "limited_running" else (1,)), run
    lines = run.airflow.log(run.dag_id, run.run_id, "run")
    events = ("Trigger fired event", "Task failed with exception")  # by whichever comes first, the deadline was noticed
    noticed = next(line["timestamp"] for line in lines if line["event"] in events)
    passed = datetime.fromisoformat(noticed) - datetime.fromisoformat(task["start_date"])
    assert passed.total_seconds() >= TIMEOUT, run
    for message in (*messages, "The instance was asked to stop", instance.id):
        assert message in run.errors(), (run, message)


def test_deadline_fails_task_and_stops_instance(deadline_runs: list[tuple[TaskRun, str]]) -> None:
    for run, error in deadline_runs:
        check_deadline(run, error, f"timeout of {TIMEOUT:.0f} s passed: the try began ")


def test_deadline_holds_while_triggerer_is_suspended(begin: Callable[[str], TaskRun], stack: Stack) -> None:
    with suspended(own_triggerer(stack)):
        run = begin("timed_deferred")
        check_deadline(run, "SaagieWaitTimeout", "No triggerer has told")
