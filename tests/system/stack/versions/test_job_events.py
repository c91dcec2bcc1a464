"""A DAG that runs when a job ends, on a real Airflow of the environment's version."""

from __future__ import annotations

from collections.abc import Callable

from scripts.airflow_api import AirflowApi
from scripts.stack import Stack
from tests.system.stack.saagie_side import SaagieSide, wait_until
from tests.system.stack.test_job_events import payloads, watch
from tests.system.stack.versions.conftest import AIRFLOW


def test_dag_runs_when_watched_job_succeeds(
    stack: Stack, airflow: AirflowApi, saagie: SaagieSide, make_job: Callable[[str], str]
) -> None:
    job_id = make_job("")
    started: list[str] = []

    def run_job() -> str:
        started.append(saagie.run(job_id))
        wait_until(lambda: saagie.status(started[-1]) == "SUCCEEDED")
        return started[-1]

    before = run_job()
    watch(stack, job_id)

    def received() -> list[dict[str, str]]:
        # Before Airflow 3.3 nothing shows that the trigger has begun: some instances may end too early.
        run_job()
        return payloads(airflow)

    first, *_ = wait_until(received, pause=2)
    assert before != first["instance_id"]
    assert first["instance_id"] in started
    assert first["status"] == "SUCCEEDED"
    assert first["url"].endswith(f"/job/{job_id}/instances/{first['instance_id']}")
    log = (stack.wishes.folder / "logs" / "airflow-triggerer.log").read_text(errors="replace")
    assert ("This Airflow keeps no state for asset watchers" in log) is (AIRFLOW < (3, 3))
