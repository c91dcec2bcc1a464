"""A DAG that runs when a job ends, on a real Airflow of the environment's version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.system.stack.saagie_side import wait_until
from tests.system.stack.test_job_events import payloads, watch
from tests.system.stack.versions.conftest import AIRFLOW, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.airflow_api import AirflowApi
    from scripts.stack import Stack
    from tests.system.stack.saagie_side import SaagieSide


def test_a_dag_runs_when_a_job_has_ended_well(
    old_stack: Stack, airflow: AirflowApi, saagie: SaagieSide, make_job: Callable[[str], str]
) -> None:
    job_id = make_job("import time; time.sleep(1)")
    before = saagie.client.jobs.run(job_id)["runJob"]["id"]
    wait_until(lambda: saagie.status(before) == "SUCCEEDED", PATIENCE, "an instance has ended before anybody watches")

    watch(old_stack, job_id)
    started: list[str] = []

    def told() -> list[dict[str, str]]:
        # Before Airflow 3.3 nothing tells from outside that the trigger has begun: some ends may be too early.
        started.append(saagie.client.jobs.run(job_id)["runJob"]["id"])
        wait_until(lambda: saagie.status(started[-1]) == "SUCCEEDED", PATIENCE, "the instance has ended")
        return payloads(airflow)

    first, *_ = wait_until(told, PATIENCE, "the DAG has run")
    assert before != first["instance_id"]
    assert first["instance_id"] in started
    assert first["status"] == "SUCCEEDED"
    assert first["url"].endswith(f"/job/{job_id}/instances/{first['instance_id']}")
    log = (old_stack.wishes.folder / "logs" / "airflow-triggerer.log").read_text(errors="replace")
    assert ("This Airflow keeps no state for asset watchers" in log) is (AIRFLOW < (3, 3))
