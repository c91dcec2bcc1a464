"""Every operator, the sensor, deferral, logs and links, on a real Airflow of the environment's version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.system.stack.versions.conftest import AIRFLOW, HEARD, PATIENCE, Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scripts.airflow_api import AirflowApi
    from tests.system.stack.saagie_side import SaagieSide

SHOWS_LINKS_OF_MAPPED_TASKS = AIRFLOW >= (3, 0, 6)  # 3.0.0 answers 500; those between were not tried
BOTH = pytest.mark.parametrize("way", ["deferred", "running"])
QUICK = f"""
import os, time
time.sleep({HEARD})
print('hello from the job')
open(os.environ['SAAGIE_OUTPUT_VARS_PATH'], 'w').write('rows=42\\n')
"""


def ended(airflow: AirflowApi, dag_id: str, conf: dict[str, Any] | None = None) -> tuple[str, dict[str, str]]:
    """Run a DAG to its end; give the run's id, and the state of each task."""
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id, conf)
    airflow.wait_for_run(dag_id, run_id, seconds=PATIENCE * 2)
    return run_id, {task["task_id"]: task["state"] for task in airflow.tasks(dag_id, run_id)}


def test_deploy_run_wait_and_purge(airflow: AirflowApi, saagie: SaagieSide) -> None:
    run_id, states = ended(airflow, "saagie_quickstart")
    assert states == dict.fromkeys(["deploy", "run", "wait", "purge"], "success")
    for task_id in states:
        link = airflow.links("saagie_quickstart", run_id, task_id)["Open in Saagie"]
        assert link
        assert link.startswith(f"{saagie.url}/projects/platform/1/project/")
    assert "[job] Hello from Saagie!" in airflow.log_text("saagie_quickstart", run_id, "run")


def test_export_import_stop_roll_back_and_delete(airflow: AirflowApi, tmp_path: Path) -> None:
    run_id, states = ended(airflow, "saagie_job_care", {"folder": f"file://{tmp_path}/exports"})
    assert len(states) == 7
    assert set(states.values()) == {"success"}, states
    assert airflow.xcom("saagie_job_care", run_id, "export").startswith("file://")
    assert airflow.xcom("saagie_job_care", run_id, "roll_back") == 1


@BOTH
def test_a_run_has_the_same_xcoms_log_and_link_in_both_ways(way: str, begin: Callable[..., Run]) -> None:
    run = begin(f"oldest_plain_{way}", QUICK)
    assert run.ends() == "success"
    (instance,) = run.instances()
    assert run.xcom() == instance.id
    assert (run.xcom("job_id"), run.xcom("instance_status")) == (run.job_id, "SUCCEEDED")
    assert run.xcom("outputs") == {"rows": "42"}
    assert run.link() == run.xcom("instance_url")
    assert str(run.link()).endswith(f"/job/{run.job_id}/instances/{instance.id}")
    assert "[job] hello from the job" in run.log()
    assert ("Waiting in the triggerer" in run.log()) is (way == "deferred")


@BOTH
def test_the_sensor_waits_for_an_instance_that_comes_later(
    way: str, begin: Callable[..., Run], saagie: SaagieSide
) -> None:
    run = begin(f"oldest_sensor_{way}", "import time\ntime.sleep(5)", "wait")
    run.airflow.wait_for_state(run.dag_id, run.run_id, "wait", way)
    instance_id = saagie.client.jobs.run(run.job_id)["runJob"]["id"]
    assert run.ends() == "success"
    assert run.xcom() == instance_id
    assert str(run.link()).endswith(instance_id)


def test_mapped_tasks_wait_together_and_each_log_has_its_own_jobs_lines(
    airflow: AirflowApi, make_job: Callable[[str], str]
) -> None:
    jobs = [make_job(f"import time\nfor _ in range(3): time.sleep({HEARD / 2}); print('mine', {n})") for n in range(5)]
    run_id, states = ended(airflow, "oldest_mapped", {"job_ids": jobs})
    assert set(states.values()) == {"success"}
    for index, job_id in enumerate(jobs):
        log = airflow.log_text("oldest_mapped", run_id, "run", map_index=index)
        said = [line for line in log.splitlines() if line.startswith("[job] mine")]
        assert said == [f"[job] mine {index}"] * 3
        assert f"/job/{job_id}/" in airflow.xcom("oldest_mapped", run_id, "run", "_link_SaagieLink", index)
        if SHOWS_LINKS_OF_MAPPED_TASKS:
            assert f"/job/{job_id}/" in str(airflow.links("oldest_mapped", run_id, "run", index)["Open in Saagie"])


def test_the_hook_works_in_a_task_of_ones_own(begin: Callable[..., Run]) -> None:
    run = begin("oldest_taskflow", "", "count")
    assert run.ends() == "success"
    assert run.xcom() == 0
