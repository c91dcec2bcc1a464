"""`make demo`: a real Airflow runs a job on a local Saagie, shown as it happens."""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie import job_log
from scripts import locked, processes, stack
from scripts.airflow_settings import new_password
from scripts.processes import ROOT, StackError
from scripts.show import Show, trail

if TYPE_CHECKING:
    from scripts.stack import Stack

FOLDER = ROOT / ".demo"
DAGS = ROOT / "example_dags"
QUICKSTART = "saagie_quickstart"
FAILURE = "saagie_failure"
RUN_TASK = "run"
FAILING_TASK = "run_failing_job"
POLL = 0.4  # seconds
RUN_LIMIT = 180  # seconds
FINAL = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
AFTER_RUNNING = frozenset({"success", "failed", "deferred"})
NOT_SHOWN = frozenset({None, "scheduled"})
JOB_PREFIXES = (job_log.PREFIX, job_log.PREFIX_OF_ERRORS)
LOG_LINES = 12


def follow(running: Stack, show: Show, dag_id: str) -> tuple[str, dict[str, list[str]]]:
    """Trigger a DAG and show each of its tasks with the states it goes through.

    :return: the run's id, and the states by task, in the order in which the tasks ended.
    :raises StackError: a component of Airflow ended, or the run takes too long.
    """
    airflow = running.airflow
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id)
    trails: dict[str, Trail] = defaultdict(Trail)
    ended: dict[str, list[str]] = {}
    deadline = time.monotonic() + RUN_LIMIT
    with show.waiting(f"{dag_id}: waiting for the scheduler") as status:
        while True:
            tasks = airflow.tasks(dag_id, run_id)
            for task in tasks:
                name, seen = task["task_id"], trails[task["task_id"]]
                seen.note(task)
                if task["state"] in FINAL and name not in ended:
                    ended[name] = seen.states
                    show.task(name, seen.states)
                elif status and name not in ended and seen.states:
                    status.update(trail([name, *seen.states]))
            if tasks and len(ended) == len(tasks):
                return run_id, ended
            if time.monotonic() > deadline:
                raise StackError(f"The run of {dag_id} is not over after {RUN_LIMIT} s; its tasks: {dict(trails)}")
            running.kept.check()
            time.sleep(POLL)


@dataclass
class Trail:
    """The states that a task instance went through.

    :param states: in order, the last one is the present one.
    :param queued_when: when it was last put into the queue.
    """

    states: list[str] = field(default_factory=list)
    queued_when: str | None = None

    def note(self, task: dict[str, Any]) -> None:
        """Add what a task instance's record tells that is new.

        A state can be shorter than the time between two looks. The record still tells that the task was queued, and
        from there the only way to an end or a deferral is to run.
        """
        state = task["state"]
        if task["queued_when"] and task["queued_when"] != self.queued_when:
            self.queued_when = task["queued_when"]
            self.states.append("queued")
        if state in AFTER_RUNNING and self.states[-1:] == ["queued"]:
            self.states.append("running")
        if state not in NOT_SHOWN and self.states[-1:] != [state]:
            self.states.append(state)


def job_lines(log: list[dict[str, Any]]) -> list[str]:
    """Return the lines of a task's log that the job wrote."""
    return [line["event"] for line in log if str(line["event"]).startswith(JOB_PREFIXES)]


def failure_message(log: list[dict[str, Any]]) -> str:
    """Return the error that a task ended with, as its log holds it; empty where it has none."""
    for line in reversed(log):
        if details := line.get("error_detail"):
            return f"{details[0]['exc_type']}: {details[0]['exc_value']}"
    return ""


def expect(running: Stack, dag_id: str, run_id: str, tasks: dict[str, list[str]], task_id: str, state: str) -> None:
    """Make sure that a task ended in `state`; the culprit is the first task that failed, else that task.

    :raises StackError: with the last lines of the culprit's log.
    """
    if tasks.get(task_id, [""])[-1] == state:
        return
    culprit = next((name for name, seen in tasks.items() if seen[-1] == "failed"), task_id)
    lines = running.airflow.log_text(dag_id, run_id, culprit).splitlines()[-LOG_LINES:]
    reason = failure_message(running.airflow.log(dag_id, run_id, culprit))
    raise StackError("\n".join([f"The task {culprit} of {dag_id} did not end as expected.", *lines, reason]))


def perform(running: Stack, show: Show) -> None:
    """Show the two example DAGs on a stack that has just been started."""
    airflow = running.airflow
    show.step("Airflow " + version("apache-airflow"), running.settings.url)
    airflow.put_connection(running.connection)
    checked = airflow.check_connection(running.connection)
    if not checked["status"]:
        raise StackError(f"The connection's test says: {checked['message']}")
    show.step("Connection", checked["message"])

    show.title(f"{QUICKSTART}: deploy a script as a job, run it, wait, clean up")
    run_id, tasks = follow(running, show, QUICKSTART)
    for name in tasks:
        expect(running, QUICKSTART, run_id, tasks, name, "success")
    if "deferred" not in tasks.get(RUN_TASK, []):
        raise StackError(f"The task {RUN_TASK} was never seen deferred: {tasks}")

    show.title(f"The job's own output, in the log of the task {RUN_TASK}")
    lines = job_lines(airflow.log(QUICKSTART, run_id, RUN_TASK))
    if not lines:
        raise StackError("The task's log holds no line of the job:\n" + airflow.log_text(QUICKSTART, run_id, RUN_TASK))
    show.block(lines)

    show.title("Links (while this runs; `make up` keeps them)")
    links = {name: link for name, link in airflow.links(QUICKSTART, run_id, RUN_TASK).items() if link}
    show.pairs(links | {"Saagie (local)": running.saagie_url, "Airflow": airflow.run_url(QUICKSTART, run_id)})

    show.title(f"{FAILURE}: what a job that fails looks like")
    run_id, tasks = follow(running, show, FAILURE)
    expect(running, FAILURE, run_id, tasks, FAILING_TASK, "failed")
    show.block(failure_message(airflow.log(FAILURE, run_id, FAILING_TASK)).splitlines(), style="red")


def demo(show: Show) -> None:
    """Run the whole show, and stop everything however it goes."""
    show.title("A Saagie job, run by Airflow, all on this machine")
    stack.clear(FOLDER)
    wishes = stack.Wishes(FOLDER, DAGS, new_password(), new_password())
    with show.waiting("starting the local Saagie and Airflow"):
        running = stack.start(wishes, saagie_ready=lambda early: show.step("Saagie (local)", early.saagie_url))
    try:
        perform(running, show)
    finally:
        with show.waiting("stopping everything"):
            stack.stop_undisturbed(running)
    show.title("Done")
    show.step("Stopped", "nothing is left running; `make up` keeps both, to click around in")


def main() -> int:
    """Parse the command line, run the demo, return its exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--record", type=Path, metavar="FILE.svg", help="also write what is shown as a picture")
    show = Show(parser.parse_args().record)
    with locked.alone(show, FOLDER) as program:
        try:
            demo(show)
        finally:
            with processes.signals_held():
                processes.sweep(FOLDER)
        stack.clear(FOLDER)
    if program.code == 0:
        show.save("make demo")
    return program.code


if __name__ == "__main__":
    sys.exit(main())
