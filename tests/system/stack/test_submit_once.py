"""Submit once on a real Airflow: lost answers, dead workers, clears and retries; instances are counted in Saagie."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from scripts.stack import Stack
from tests.system.stack.saagie_side import SaagieSide, wait_until
from tests.system.stack.task_run import TaskRun, parse_again

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

DEFERRED, RUNNING, EDITED = "once_deferred", "once_running", "edited_deferred"
REQUEST_TIMEOUT = 20  # seconds: a test has to kill a worker before it gives a request up
DELAY = 10  # seconds: before that, and surely after the kill, Saagie does what was requested


@pytest.fixture(scope="module", autouse=True)
def lost(stack: Stack, saagie: SaagieSide, begin: Callable[[str], TaskRun]) -> dict[str, TaskRun]:
    """Runs whose first `runJob` had no answer: begun first, since it takes half a minute until they continue."""
    extra = json.loads(stack.connection["extra"]) | {"timeout": REQUEST_TIMEOUT}
    stack.airflow.put_connection(stack.connection | {"connection_id": "saagie_short", "extra": json.dumps(extra)})
    dropped = saagie.fault("drop", "runJob", times=2)
    runs = {"dropped, deferred": begin(DEFERRED), "dropped, running": begin(RUNNING)}
    wait_until(dropped)
    is_sent = saagie.fault("delay", "runJob", seconds=DELAY, when="before")
    runs["died after sending"] = begin(RUNNING)
    wait_until(is_sent)
    runs["died after sending"].kill_worker()
    is_read = saagie.fault("delay", "jobSummary", seconds=DELAY, when="before")
    runs["died before sending"] = begin(RUNNING)
    wait_until(is_read)
    runs["died before sending"].kill_worker()
    return runs


def test_clear_runs_job_again(begin: Callable[[str], TaskRun]) -> None:
    """The task had succeeded, was marked failed, or waits; it is cleared alone or with the whole run."""
    ways = {"deferred": DEFERRED, "running": RUNNING}
    cases = {
        (case, way): begin(dag_id) for case in ("succeeded", "failed", "task", "run") for way, dag_id in ways.items()
    }
    first = {}
    for (case, way), run in cases.items():
        first[case, way] = run.settles(1)
        if case == "succeeded":
            run.succeeds(first[case, way])
        elif case == "failed":
            run.airflow.set_task_state(run.dag_id, run.run_id, "run", "failed")
            wait_until(lambda run=run: not run.unfinished())
        run.airflow.clear(run.dag_id, run.run_id, *(["run", "sibling"] if case == "run" else ["run"]))
    for (case, way), run in cases.items():
        second = run.waits_for(2)
        assert run.saagie.status(first[case, way]) == ("SUCCEEDED" if case == "succeeded" else "KILLED"), (case, way)
        assert run.unfinished() == [second], (case, way)
        run.succeeds(second)
        assert len(run.instances()) == 2, (case, way)


def test_clear_differs_from_retry_after_retries_were_edited(begin: Callable[[str], TaskRun], stack: Stack) -> None:
    runs = {retries: begin(EDITED) for retries in (5, 0)}
    first = {retries: run.waits_for(1) for retries, run in runs.items()}
    for retries, run in runs.items():
        (stack.wishes.dags / "edited_retries.txt").write_text(str(retries))
        parse_again(stack.airflow, EDITED)
        wait_until(lambda retries=retries: stack.airflow.call("GET", f"dags/{EDITED}/tasks/run")["retries"] == retries)
        run.airflow.clear(EDITED, run.run_id, "run")
        second = run.waits_for(2)
        assert run.saagie.status(first[retries]) == "KILLED", retries
        assert run.unfinished() == [second], retries
        run.succeeds(second)


def test_lost_answer_or_dead_worker_starts_no_second_run(
    lost: dict[str, TaskRun], begin: Callable[[str], TaskRun], saagie: SaagieSide
) -> None:
    runs = dict(lost)
    for name in ("died while waiting", "succeeded without worker", "died, sibling was cleared"):
        runs[name] = begin(RUNNING)

    first = {name: run.waits_for(1) for name, run in runs.items()}

    sibling = runs["died, sibling was cleared"]
    sibling.airflow.wait_for_state(RUNNING, sibling.run_id, "sibling", "success")
    sibling.airflow.clear(RUNNING, sibling.run_id, "sibling")
    for name in ("died while waiting", "succeeded without worker", "died, sibling was cleared"):
        runs[name].kill_worker()
    saagie.end(first["succeeded without worker"], "SUCCEEDED")
    for name in ("died while waiting", "died, sibling was cleared"):
        runs[name].is_followed_by_retry(first[name])
    for name, run in runs.items():
        if name != "succeeded without worker":
            run.succeeds(first[name])
        assert run.ends()["state"] == "success", name
        assert [one.id for one in run.instances()] == [first[name]], name
        assert run.task["try_number"] == (1 if name.startswith("dropped") else 2), name
        assert ("adopted it" in run.log()) is (name.startswith("dropped") or name == "died after sending"), name
