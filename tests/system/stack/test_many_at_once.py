"""Many tasks at once on a real Airflow: each log has its own job's lines; a pool bounds the unfinished instances."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_saagie import job_log
from airflow_provider_saagie.client import instances
from scripts.airflow_api import AirflowApi
from scripts.stack import Stack
from tests.support.held_jobs import Hold
from tests.system.stack.saagie_side import LIMIT, SaagieSide, wait_until
from tests.system.stack.task_run import scheduler_knows_of_deferral

pytestmark = pytest.mark.timeout(1200)

DAG = "many_at_once"
MANY, LINES, SLOTS = 50, 20, 2
UNREAD = job_log.not_all_read("")


def mapped(airflow: AirflowApi, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """Return a run's mapped tasks, more of them than a page has."""
    path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/run/listMapped"
    found = airflow.call("GET", path, params={"limit": 2 * MANY})["task_instances"]
    return sorted(found, key=lambda task: task["map_index"])


def begin(airflow: AirflowApi, saagie: SaagieSide, code: str, folder: Path) -> tuple[str, str]:
    """Start as many tasks with one job; return the ids of the job and of the run."""
    job_id = saagie.make_job(code, folder)
    airflow.wait_for_dag(DAG)
    return job_id, airflow.trigger(DAG, {"job_id": job_id, "tasks": MANY})


@pytest.mark.by_hand
def test_fifty_logs_have_their_own_lines_in_order(
    stack: Stack, airflow: AirflowApi, saagie: SaagieSide, tmp_path: Path, hold: Hold
) -> None:
    """Each job prints half of its lines before all instances run at once, and the rest afterwards."""
    says = "import os\nfor n in range({}, {}): print(os.environ['SAAGIE_JOB_INSTANCE_ID'], 'line', n, flush=True)\n"
    code = says.format(0, LINES // 2) + hold.code(says.format(LINES // 2, LINES))
    job_id, run_id = begin(airflow, saagie, code, tmp_path)

    def all_wait() -> bool:
        states = Counter(task["state"] for task in mapped(airflow, DAG, run_id))
        found = saagie.client.session.run(instances.list_instances(job_id, limit=2 * MANY))
        return states == {"deferred": MANY} and [one.status for one in found] == ["RUNNING"] * MANY

    wait_until(all_wait, limit=600)
    for index in range(MANY):
        wait_until(lambda index=index: scheduler_knows_of_deferral(stack, run_id, "run", map_index=index))
    hold.release()
    assert airflow.wait_for_run(DAG, run_id, seconds=500) == "success"

    seen = set()
    for index in range(MANY):
        instance_id = airflow.xcom(DAG, run_id, "run", map_index=index)
        log = airflow.log_text(DAG, run_id, "run", map_index=index)
        lines = re.findall(r"\[job\] (.*line.*)", log)
        expected = [f"{instance_id} line {number}" for number in range(LINES)]
        assert lines == (expected[: len(lines)] if UNREAD in log else expected), (
            log
        )  # after 3 s the last lines are left
        seen.add(instance_id)
    assert len(seen) == MANY


@pytest.mark.by_hand
def test_fifty_quick_jobs_end_tasks_in_first_try(airflow: AirflowApi, saagie: SaagieSide, tmp_path: Path) -> None:
    _, run_id = begin(airflow, saagie, "", tmp_path)
    airflow.wait_for_run(DAG, run_id, seconds=1000)
    assert Counter(task["state"] for task in mapped(airflow, DAG, run_id)) == {"success": MANY}


def most_at_once(spans: Iterable[tuple[str | None, str | None]]) -> int:
    """Return how many were unfinished at the same time, by when each began and ended."""
    changes = []
    for begin, end in spans:
        changes += [(datetime.fromisoformat(str(begin)), 1), (datetime.fromisoformat(str(end)), -1)]
    now = most = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


@pytest.mark.long
def test_pool_bounds_unfinished_instances(airflow: AirflowApi, saagie: SaagieSide) -> None:
    dag_id = "saagie_many_jobs"
    airflow.call("POST", "pools", json={"name": "saagie", "slots": SLOTS, "include_deferred": True})
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id)
    assert airflow.wait_for_run(dag_id, run_id, seconds=2 * LIMIT) == "success"

    job_ids = [airflow.xcom(dag_id, run_id, "deploy", map_index=index) for index in range(6)]
    found = [one for job_id in job_ids for one in saagie.client.session.run(instances.list_newer(job_id, 0))]
    assert [one.status for one in found] == ["SUCCEEDED"] * 6
    # The jobs are short: on a busy machine an instance may have ended before the other task has begun its own.
    assert most_at_once((one.created_at, one.end_time) for one in found) <= SLOTS
    assert most_at_once((one["start_date"], one["end_date"]) for one in mapped(airflow, dag_id, run_id)) == SLOTS
    described = saagie.client.jobs.get_info(job_ids[-1])["job"]["description"]
    assert described == "29% of all visitors"
