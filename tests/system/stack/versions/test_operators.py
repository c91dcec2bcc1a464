"""Every operator, the sensor, deferral, logs and links, on a real Airflow of the environment's version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.airflow_api import AirflowApi
from scripts.stack import Stack
from tests.support.held_jobs import Hold
from tests.system.stack.saagie_side import SaagieSide, wait_until
from tests.system.stack.task_run import TaskRun, scheduler_knows_of_deferral
from tests.system.stack.versions.conftest import AIRFLOW

pytestmark = pytest.mark.timeout(900)

SHOWS_LINKS_OF_MAPPED_TASKS = AIRFLOW >= (3, 0, 6)  # 3.0.0 answers 500; those between were not tried
WAYS = ("deferred", "running")
OUTPUTS = "import os\nopen(os.environ['SAAGIE_OUTPUT_VARS_PATH'], 'w').write('rows=42\\n')"


def ended(airflow: AirflowApi, dag_id: str, conf: dict[str, Any] | None = None) -> tuple[str, dict[str, str]]:
    """Run a DAG to its end; return the run's id, and the state of each task."""
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id, conf)
    airflow.wait_for_run(dag_id, run_id, seconds=300)
    return run_id, {task["task_id"]: task["state"] for task in airflow.tasks(dag_id, run_id)}


def test_examples_run_every_operator(airflow: AirflowApi, saagie: SaagieSide, tmp_path: Path) -> None:
    run_id, states = ended(airflow, "saagie_quickstart")
    assert states == dict.fromkeys(["deploy", "run", "wait", "purge"], "success")
    for task_id in states:
        link = airflow.links("saagie_quickstart", run_id, task_id)["Open in Saagie"]
        assert str(link).startswith(f"{saagie.url}/projects/platform/1/project/"), task_id
    assert "[job] Hello from Saagie!" in airflow.log_text("saagie_quickstart", run_id, "run")

    run_id, states = ended(airflow, "saagie_job_care", {"folder": f"file://{tmp_path}/exports"})
    assert len(states) == 7
    assert set(states.values()) == {"success"}, states
    assert airflow.xcom("saagie_job_care", run_id, "export").startswith("file://")
    assert airflow.xcom("saagie_job_care", run_id, "roll_back") == 1


def test_run_has_same_xcoms_log_and_link_in_both_ways(begin: Callable[..., TaskRun], hold: Hold) -> None:
    runs = {way: begin(f"plain_{way}", hold.code(OUTPUTS)) for way in WAYS}
    for run in runs.values():
        run.settles()
    hold.release()
    for way, run in runs.items():
        assert run.ends()["state"] == "success"
        (instance,) = run.instances()
        assert run.xcom() == instance.id
        assert (run.xcom("job_id"), run.xcom("instance_status")) == (run.job_id, "SUCCEEDED")
        assert run.xcom("outputs") == {"rows": "42"}
        assert run.link() == run.xcom("instance_url")
        assert run.link().endswith(f"/job/{run.job_id}/instances/{instance.id}")
        assert "[job] started" in run.log()
        assert ("Waiting in the triggerer" in run.log()) is (way == "deferred")


def test_sensor_waits_for_later_instance(begin: Callable[..., TaskRun], saagie: SaagieSide, hold: Hold) -> None:
    runs = {way: begin(f"oldest_sensor_{way}", hold.code(), "wait") for way in WAYS}
    instances = {}
    for way, run in runs.items():
        run.airflow.wait_for_state(run.dag_id, run.run_id, "wait", way)
        instances[way] = saagie.run(run.job_id)
    hold.release()
    for way, run in runs.items():
        assert run.ends()["state"] == "success", way
        assert run.xcom() == instances[way]
        assert run.link().endswith(instances[way])


def test_mapped_tasks_have_their_own_lines_and_links(
    stack: Stack, airflow: AirflowApi, make_job: Callable[[str], str], hold: Hold
) -> None:
    jobs = [make_job(hold.code(f"for _ in range(3): print('line of', {n})")) for n in range(5)]
    dag_id = "oldest_mapped"
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id, {"job_ids": jobs})
    for index in range(5):
        wait_until(lambda index=index: scheduler_knows_of_deferral(stack, run_id, "run", map_index=index))
    hold.release()
    assert airflow.wait_for_run(dag_id, run_id, seconds=300) == "success"
    for index, job_id in enumerate(jobs):
        log = airflow.log_text(dag_id, run_id, "run", map_index=index)
        lines = [line for line in log.splitlines() if line.startswith("[job] line of")]
        assert lines == [f"[job] line of {index}"] * 3
        assert f"/job/{job_id}/" in airflow.xcom(dag_id, run_id, "run", "_link_SaagieLink", index)
        if SHOWS_LINKS_OF_MAPPED_TASKS:
            assert f"/job/{job_id}/" in str(airflow.links(dag_id, run_id, "run", index)["Open in Saagie"])


def test_hook_works_in_task(begin: Callable[..., TaskRun]) -> None:
    run = begin("oldest_taskflow", "", "count")
    assert run.ends()["state"] == "success"
    assert run.xcom() == 0
