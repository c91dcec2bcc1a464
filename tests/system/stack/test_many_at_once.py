"""Many tasks at once on a real Airflow: each log holds its own job's lines; a pool bounds what is on its way."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie import job_log
from airflow_provider_saagie.client import instances
from tests.system.stack.saagie_side import SaagieSide, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from airflow_provider_saagie.client.instances import JobInstance
    from scripts.airflow_api import AirflowApi

pytestmark = pytest.mark.slow

MANY, LINES, SLOTS = 50, 20, 2
UNREAD = job_log.not_all_read("")
# Prints half of its lines, waits until the test has seen all instances run at once, and prints the rest.
SAYS_WHO_IT_IS = """
say() {{ for number in $(seq $1 $2); do echo "$SAAGIE_JOB_INSTANCE_ID says $number"; done; }}
say 1 {half}
while [ ! -e {go} ]; do sleep 2; done
say {next} {all}
"""


def mapped(airflow: AirflowApi, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
    """Give a run's mapped tasks, more of them than a page has."""
    path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/listMapped"
    found = airflow.call("GET", path, params={"limit": 2 * MANY})["task_instances"]
    return sorted(found, key=lambda task: task["map_index"])


@pytest.mark.by_hand
@pytest.mark.timeout(600)
def test_fifty_tasks_at_once_each_have_their_own_jobs_lines_in_order(
    airflow: AirflowApi, saagie: SaagieSide, tmp_path: Path
) -> None:
    go, file = tmp_path / "go", tmp_path / "says.sh"
    file.write_text(SAYS_WHO_IT_IS.format(go=go, half=LINES // 2, next=LINES // 2 + 1, all=LINES))
    made = saagie.client.jobs.create(
        "Says who it is", saagie.client.get_project_id("Demo"), file=str(file), technology="bash",
        runtime_version="debian12-bookworm", command_line="bash {file}",
    )  # fmt: skip
    job_id = made["data"]["createJob"]["id"]
    airflow.wait_for_dag("many_at_once")
    run_id = airflow.trigger("many_at_once", {"job_id": job_id, "tasks": MANY})

    def all_wait() -> bool:
        tasks = mapped(airflow, "many_at_once", run_id, "run")
        return len([task for task in tasks if task["state"] == "deferred"]) == MANY

    def all_run() -> list[JobInstance]:
        found = saagie.client.session.run(instances.list_instances(job_id, limit=2 * MANY))
        return found if [one.status for one in found] == ["RUNNING"] * MANY else []

    try:
        wait_until(all_wait, 300, "all of them wait at once")
        begun = wait_until(all_run, 60, "all of their instances run at once")
        time.sleep(5)  # Airflow fails a task whose trigger fires before the scheduler has heard of its deferral
    finally:
        go.touch()
    assert airflow.wait_for_run("many_at_once", run_id, seconds=200) == "success"

    seen = set()
    for index in range(MANY):
        instance_id = airflow.xcom("many_at_once", run_id, "run", map_index=index)
        log = airflow.log_text("many_at_once", run_id, "run", map_index=index)
        said = [f"{instance_id} says {number}" for number in range(1, LINES + 1)]
        lines = re.findall(r"\[job\] (.*)", log)
        if UNREAD in log:  # after three seconds a task ends without the last lines, and says so
            said = said[: len(lines)]
        assert lines == said, log
        seen.add(instance_id)
    assert seen == {one.id for one in begun}


@pytest.mark.by_hand
@pytest.mark.timeout(600)
def test_jobs_that_end_at_once_end_their_tasks_in_the_first_try(
    airflow: AirflowApi, saagie: SaagieSide, tmp_path: Path
) -> None:
    file = tmp_path / "quick.sh"
    file.write_text("true")
    made = saagie.client.jobs.create(
        "Ends at once", saagie.client.get_project_id("Demo"), file=str(file), technology="bash",
        runtime_version="debian12-bookworm", command_line="bash {file}",
    )  # fmt: skip
    airflow.wait_for_dag("many_at_once")
    conf = {"job_id": made["data"]["createJob"]["id"], "tasks": MANY}
    run_id = airflow.trigger("many_at_once", conf)
    airflow.wait_for_run("many_at_once", run_id, seconds=500)
    assert Counter(task["state"] for task in mapped(airflow, "many_at_once", run_id, "run")) == {"success": MANY}


def most_at_once(spans: Iterable[tuple[str | None, str | None]]) -> int:
    """Say how many were under way at the same time, by when each began and ended."""
    changes = []
    for begin, end in spans:
        changes += [(datetime.fromisoformat(str(begin)), 1), (datetime.fromisoformat(str(end)), -1)]
    now = most = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_pool_that_counts_deferred_tasks_bounds_the_instances_on_their_way(
    airflow: AirflowApi, saagie: SaagieSide
) -> None:
    pool = {"name": "saagie", "slots": SLOTS, "include_deferred": True}
    airflow.call("POST", "pools", json=pool)
    airflow.wait_for_dag("saagie_many_jobs")
    run_id = airflow.trigger("saagie_many_jobs")

    assert airflow.wait_for_run("saagie_many_jobs", run_id, seconds=240) == "success"

    job_ids = [airflow.xcom("saagie_many_jobs", run_id, "deploy", map_index=index) for index in range(6)]
    found = [one for job_id in job_ids for one in saagie.client.session.run(instances.list_newer(job_id, 0))]
    assert len(found) == 6
    assert {one.status for one in found} == {"SUCCEEDED"}
    # The jobs are short: where the machine is busy, one may have ended before the other task has begun its own.
    assert most_at_once((one.created_at, one.end_time) for one in found) <= SLOTS
    tasks = mapped(airflow, "saagie_many_jobs", run_id, "run")
    assert most_at_once((one["start_date"], one["end_date"]) for one in tasks) == SLOTS
    described = saagie.client.jobs.get_info(job_ids[-1])["job"]["description"]
    assert described == "29% of all visitors"
