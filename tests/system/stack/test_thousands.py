"""Thousands of tasks wait in one triggerer of a real Airflow; Saagie is unreachable for minutes, or is not."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.emulator.testing import Emulator
from scripts import stack as stacks
from scripts.airflow_api import AirflowApi
from scripts.processes import ROOT
from scripts.stack import Stack
from tests.support.clients import client_for

pytestmark = [pytest.mark.by_hand, pytest.mark.timeout(7200)]

MANY = int(os.environ.get("SAAGIE_TEST_TASKS", "2000"))
DAG = "many_at_once"
STATES = ("scheduled", "queued", "running", "deferred", "success", "failed", "up_for_retry")
FOLDER = ROOT / "tests" / "system" / "stack"
OPTIONS = {
    "core": {
        "max_map_length": str(2 * MANY),
        "max_active_tasks_per_dag": str(2 * MANY),
        "plugins_folder": str(FOLDER / "preloaded"),
    },
    "triggerer": {"capacity": str(2 * MANY)},
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An Airflow of its own whose one triggerer has room for all."""
    folder = tmp_path_factory.mktemp("thousands")
    shutil.copytree(FOLDER / "dags", folder / "dags")
    with stacks.temporary(folder / "run", folder / "dags", parallelism=8, more_options=OPTIONS) as running:
        yield running


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
        run_id = airflow.trigger(DAG, {"job_id": job_id, "tasks": MANY})
        wait(airflow, run_id, "all wait", lambda: count(airflow, run_id, "deferred") == MANY)
        if course.away:
            saagie.fault("outage", seconds=course.away)
            back = time.monotonic() + course.away
            wait(airflow, run_id, "Saagie is back", lambda: time.monotonic() > back)
        found = client.session.run(instances.list_newer(job_id, 0))
    assert len(found) == MANY
    for instance in random.sample(found, MANY) if course.at_once else ():
        saagie.set_instance(instance.id, "SUCCEEDED")
    wait(airflow, run_id, "all end", lambda: airflow.run_state(DAG, run_id) in ("success", "failed"))
    with log.open() as lines:
        lines.seek(seen_before)
        logged = lines.readlines()
    blocked = [line for line in logged if "blocked" in line]
    say("".join(line for line in logged if "Saagie watcher of" in line or line in blocked))
    assert states(airflow, run_id) == {"success": MANY}
    # When thousands end within seconds, lines that Airflow itself logs of them stop its loop (docs/operations.md).
    assert blocked == [] or course.at_once


def count(airflow: AirflowApi, run_id: str, state: str) -> int:
    """Count the run tasks in a state: one request, which is cheaper than to list thousands."""
    path = f"dags/{DAG}/dagRuns/{run_id}/taskInstances/run/listMapped"
    return int(airflow.call("GET", path, params={"limit": 1, "state": state})["total_entries"])


def states(airflow: AirflowApi, run_id: str) -> dict[str, int]:
    counted = {state: count(airflow, run_id, state) for state in STATES}
    return {state: number for state, number in counted.items() if number}


def say(text: str) -> None:
    """Write to the terminal: it is a long test (`pytest -s`)."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def wait(airflow: AirflowApi, run_id: str, what: str, reached: Callable[[], Any], seconds: float = 5400) -> None:
    """Wait for something, report the states each minute, and check that the triggerer stays healthy.

    A busy API server or scheduler, with thousands of task starts on a small machine, is not what this is about.
    """
    began = reported = time.monotonic()
    while not reached():
        assert "triggerer" not in airflow.unhealthy()
        if time.monotonic() - reported > 60:
            reported = time.monotonic()
            say(f"{reported - began:.0f} s, until {what}: {states(airflow, run_id)}")
        assert time.monotonic() - began < seconds, f"Not in time: {what}"
        time.sleep(5)
    say(f"{time.monotonic() - began:.0f} s: {what}")
