"""A job ends in Saagie, and a DAG runs: a real triggerer, a real scheduler, no task that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.system.stack.saagie_side import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.airflow_api import AirflowApi
    from scripts.stack import Stack
    from tests.system.stack.saagie_side import SaagieSide

pytestmark = [pytest.mark.slow, pytest.mark.long]

DAG, ASSET = "after_a_job", "event_job"


def watch(stack: Stack, job_id: str) -> None:
    """Have Airflow read the DAG file anew, which watches the job from then on."""
    airflow = stack.airflow
    (stack.settings.dags / "event_job_id").write_text(job_id, encoding="utf-8")
    airflow.wait_for_dag(DAG)
    token = airflow.call("GET", f"dags/{DAG}/details")["file_token"]
    airflow.call("PUT", f"parseDagFile/{quote(token, safe='')}")


def asset_id(airflow: AirflowApi) -> int:
    (found,) = airflow.call("GET", "assets", params={"name_pattern": ASSET})["assets"]
    return int(found["id"])


def state(airflow: AirflowApi) -> dict[str, Any] | None:
    """What the trigger has written down."""
    answer = airflow.call("GET", f"assets/{asset_id(airflow)}/state-store")
    (stored,) = answer["asset_state_store"] or [None]
    return stored


def payloads(airflow: AirflowApi) -> list[dict[str, Any]]:
    """What the DAG's runs were told, as far as they have ended."""
    runs = airflow.call("GET", f"dags/{DAG}/dagRuns")["dag_runs"]
    ended = [run["dag_run_id"] for run in runs if run["state"] == "success"]
    return [told for run_id in ended for told in airflow.xcom(DAG, run_id, "payloads")]


def test_a_dag_runs_when_a_job_has_ended_well(stack: Stack, airflow: AirflowApi, saagie: SaagieSide, tmp_path: Path):
    script = tmp_path / "job.sh"
    script.write_text("sleep 2; exit ${CODE:-0}")
    created = saagie.client.jobs.create(
        "Watched by an asset",
        saagie.client.get_project_id("Demo"),
        file=str(script),
        technology="bash",
        runtime_version="debian12-bookworm",
        command_line="bash {file}",
    )
    job_id = created["data"]["createJob"]["id"]
    before = saagie.client.jobs.run(job_id)["runJob"]["id"]
    wait_until(lambda: saagie.status(before) == "SUCCEEDED", 30, "an instance has ended before anybody watches")

    watch(stack, job_id)
    wait_until(lambda: state(airflow), 90, "the trigger has begun")
    bad, good = (saagie.client.jobs.run(job_id)["runJob"]["id"] for _ in range(2))
    saagie.end(bad, "FAILED")
    (told,) = wait_until(lambda: payloads(airflow), 90, "the DAG has run")

    assert told["instance_id"] == good
    assert told["status"] == "SUCCEEDED"
    assert told["url"].endswith(f"/job/{job_id}/instances/{good}")
    listed = wait_until(
        lambda: (found := state(airflow)) and good not in str(found) and found, 30, "it is written down"
    )
    assert "listed" in str(listed)
