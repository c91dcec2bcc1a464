"""A DAG that runs when a job ends: a real triggerer, a real scheduler, no task that waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.airflow_api import AirflowApi
from scripts.stack import Stack
from tests.support.held_jobs import Hold
from tests.system.stack.saagie_side import SaagieSide, wait_until
from tests.system.stack.task_run import parse_again

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

DAG, ASSET = "after_a_job", "event_job"


def watch(stack: Stack, job_id: str) -> None:
    """Have Airflow parse the DAG file again, which watches the job from then on."""
    (stack.settings.dags / "event_job_id").write_text(job_id, encoding="utf-8")
    parse_again(stack.airflow, DAG)


def stored(airflow: AirflowApi) -> str:
    """Return what the trigger has stored, empty before it has begun."""
    (asset,) = airflow.call("GET", "assets", params={"name_pattern": ASSET})["assets"]
    state = airflow.call("GET", f"assets/{asset['id']}/state-store")["asset_state_store"]
    return str(state or "")


def payloads(airflow: AirflowApi) -> list[dict[str, Any]]:
    """Return the events of the DAG's runs that have ended."""
    runs = airflow.call("GET", f"dags/{DAG}/dagRuns")["dag_runs"]
    ended = [run["dag_run_id"] for run in runs if run["state"] == "success"]
    return [event for run_id in ended for event in airflow.xcom(DAG, run_id, "payloads")]


def test_dag_runs_when_watched_job_succeeds(
    stack: Stack, airflow: AirflowApi, saagie: SaagieSide, tmp_path: Path, hold: Hold
) -> None:
    job_id = saagie.make_job(hold.code(), tmp_path, "Watched by an asset")
    saagie.end(saagie.run(job_id), "SUCCEEDED")  # before the trigger begins

    watch(stack, job_id)
    wait_until(lambda: stored(airflow))
    bad, good = saagie.run(job_id), saagie.run(job_id)
    saagie.end(bad, "FAILED")
    hold.release()
    (event,) = wait_until(lambda: payloads(airflow))

    assert (event["instance_id"], event["status"]) == (good, "SUCCEEDED")
    assert event["url"].endswith(f"/job/{job_id}/instances/{good}")
    wait_until(lambda: "listed" in stored(airflow) and good not in stored(airflow))
