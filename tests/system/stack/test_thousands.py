"""Thousands of tasks wait in one triggerer of a real Airflow; Saagie is unreachable for minutes, or is not."""

from __future__ import annotations

import os
import random
import shutil
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client import instances
from scripts import stack as stacks
from scripts.airflow_api import AirflowApi
from scripts.processes import ROOT
from tests.support.clients import client_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_saagie.emulator.testing import Emulator
    from scripts.stack import Stack

pytestmark = [pytest.mark.by_hand, pytest.mark.timeout(7200)]

MANY = int(os.environ.get("SAAGIE_TEST_TASKS", "2000"))
DAG = "many_at_once"
STATES = ("scheduled", "queued", "running", "deferred", "success", "failed", "up_for_retry")
OPTIONS = {
    "core": {
        "max_map_length": str(2 * MANY),
        "max_active_tasks_per_dag": str(2 * MANY),
        "plugins_folder": str(ROOT / "tests" / "system" / "stack" / "preloaded"),
    },
    "triggerer": {"capacity": str(2 * MANY)},
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An Airflow of its own whose one triggerer has room for all."""
    folder = tmp_path_factory.mktemp("thousands")
    shutil.copytree(ROOT / "tests" / "system" / "stack" / "dags", folder / "dags")
    with stacks.temporary(folder / "run", folder / "dags", parallelism=8, more_options=OPTIONS) as running:
        yield running


class Health:
    """Polls Airflow's health every five seconds, and keeps what was not healthy.

    An API server or a scheduler that is busy with thousands of task starts on a small machine says nothing about the
    triggerer, whose health this is about.
    """

    def __init__(self, url: str) -> None:
        self.bad: list[object] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(AirflowApi(url, "", ""),), daemon=True)
        self._thread.start()

    def _run(self, airflow: AirflowApi) -> None:
        while not self._over.wait(5):
            if "triggerer" in (ill := airflow.unhealthy()):
                self.bad.append((time.strftime("%H:%M:%S"), ill))

    def end(self) -> list[object]:
        self._over.set()
        self._thread.join()
        return self.bad


@dataclass(frozen=True)
class Course:
    """What happens while the tasks wait.

    :param away: seconds for which Saagie refuses every request once all wait.
    :param lasts: seconds after which an instance ends by itself.
    :param at_once: whether all instances are ended in the same seconds.
    """

    away: float = 0.0
    lasts: float = float(os.environ.get("SAAGIE_TEST_SECONDS", "1200"))  # the starts of 2,000 took 570 to 920 s
    at_once: bool = False


COURSES = {
    "undisturbed": Course(),
    "saagie is away": Course(away=180),
    "all end at once": Course(lasts=86_400, at_once=True),
}


@pytest.mark.parametrize("course", COURSES.values(), ids=COURSES)
def test_thousands_wait_in_one_triggerer_and_succeed(
    stack: Stack, start_emulator: Callable[..., Emulator], course: Course
) -> None:
    airflow, log = stack.airflow, stack.wishes.folder / "logs" / "airflow-triggerer.log"
    seen_before = log.stat().st_size
    saagie = start_emulator("--simulate", "--simulate-seconds", str(course.lasts))
    saagie.begin(["Demo"])
    airflow.put_connection(stacks.saagie_connection(saagie.url, saagie.password))
    with client_for(saagie) as client:
        job_id = client.jobs.create(
            "Thousands", client.get_project_id("Demo"), technology="bash", runtime_version="debian12-bookworm",
            command_line="true",
        )["data"]["createJob"]["id"]  # fmt: skip
        airflow.wait_for_dag(DAG)
        health = Health(stack.settings.url)
        run_id = airflow.trigger(DAG, {"job_id": job_id, "tasks": MANY})
        until(lambda: count(airflow, run_id, "deferred") == MANY, "all wait", lambda: states(airflow, run_id))
        if course.away:
            saagie.fault("outage", seconds=course.away)
            time.sleep(course.away)
        found = client.session.run(instances.list_newer(job_id, 0))
    assert len(found) == MANY
    for instance in random.sample(found, MANY) if course.at_once else ():
        saagie.set_instance(instance.id, "SUCCEEDED")
    until(lambda: airflow.run_state(DAG, run_id) in ("success", "failed"), "all end", lambda: states(airflow, run_id))
    with log.open() as lines:
        lines.seek(seen_before)
        told = lines.readlines()
    blocked = [line for line in told if "blocked" in line]
    say("".join(line for line in told if "Saagie watcher of" in line or line in blocked))
    assert states(airflow, run_id) == {"success": MANY}
    assert health.end() == []
    # When thousands end within seconds, lines that Airflow itself logs of them stop its loop (docs/operations.md).
    assert blocked == [] or course.at_once


def count(airflow: AirflowApi, run_id: str, state: str) -> int:
    """Count the run tasks in a state: one request, which is cheaper than to list thousands."""
    path = f"dags/{DAG}/dagRuns/{run_id}/taskInstances/run/listMapped"
    return int(airflow.call("GET", path, params={"limit": 1, "state": state})["total_entries"])


def states(airflow: AirflowApi, run_id: str) -> dict[str, int]:
    """Count the run tasks by state."""
    counted = {state: count(airflow, run_id, state) for state in STATES}
    return {state: number for state, number in counted.items() if number}


def say(text: str) -> None:
    """Write to the terminal: it is a long test (`pytest -s`)."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def until(reached: Callable[[], bool], what: str, shown: Callable[[], Any], seconds: float = 5400) -> None:
    """Wait for something, and report its state each minute."""
    began = told = time.monotonic()
    while not reached():
        if time.monotonic() - told > 60:
            told = time.monotonic()
            say(f"{told - began:.0f} s, until {what}: {shown()}")
        assert time.monotonic() - began < seconds, f"Not in time: {what}"
        time.sleep(5)
    say(f"{time.monotonic() - began:.0f} s: {what}")
