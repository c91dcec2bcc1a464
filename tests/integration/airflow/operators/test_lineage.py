"""What OpenLineage receives about a run: asked at the end of a task, in its process, and through its real listener."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator
from tests.support.dag_runs import RunTasks

pytest.importorskip("airflow.providers.openlineage", reason="the OpenLineage provider (extra `openlineage`) is missing")

ROOT = Path(__file__).resolve().parents[4]
SOURCE = "https://git.example.com/team/jobs/-/commit/4f2a91c"
DAG_FILE = '''
"""A DAG whose process OpenLineage's listener sees."""
import sys
from airflow.sdk import DAG
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator

with DAG("lineage", schedule=None) as dag:
    good, bad = (
        SaagieRunJobOperator(task_id=task_id, job_id=job_id, deferrable=True, poll_interval=1)
        for task_id, job_id in zip(("good", "bad"), sys.argv[1:3])
    )

if __name__ == "__main__":
    dag.test()
'''


@pytest.fixture
def facets(run_tasks: RunTasks) -> Callable[..., dict[str, Any]]:
    """A function that runs a task for each of the given parameters, and returns what OpenLineage gets at its end."""

    def run(**given: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def ask(context: Any) -> None:
            ti = context["ti"]
            state = "failure" if "exception" in context else "complete"
            found[ti.task_id] = getattr(ti.task, f"get_openlineage_facets_on_{state}")(ti)

        callbacks: Any = {"on_success_callback": ask, "on_failure_callback": ask}
        run_tasks(
            *(
                SaagieRunJobOperator(task_id=task_id, poll_interval=0.2, **callbacks, **more)
                for task_id, more in given.items()
            )
        )
        return found

    return run


def test_lineage_names_job_version_instance_and_source(
    facets: Callable[..., dict[str, Any]], make_job: Callable[..., str], client: SaagieClient, emulator: Emulator
) -> None:
    ends = {
        (status, deferrable): make_job(code, job_name=f"{status} {deferrable}", source_url=SOURCE)
        for code, status in (("print(1)", "SUCCEEDED"), ("raise SystemExit(3)", "FAILED"))
        for deferrable in (True, False)
    }
    tasks = {f"{status}_{way}": {"job_id": job_id, "deferrable": way} for (status, way), job_id in ends.items()}
    found = facets(**tasks, no_job={"job_name": "No such job", "project_name": "{{ 'Demo' }}"})

    jobs = emulator.jobs()
    for (status, deferrable), job_id in ends.items():
        lineage, name = found[f"{status}_{deferrable}"], f"{status} {deferrable}"
        (instance,) = jobs[name].instances
        facet = lineage.run_facets["saagie_run"]
        assert (facet.jobId, facet.jobName, facet.versionNumber) == (job_id, name, 1)
        assert (facet.projectId, facet.projectName) == (client.get_project_id("Demo"), "Demo")
        assert (facet.instanceId, facet.instanceNumber, facet.status) == (instance.id, 1, status)
        assert facet.instanceUrl == instance.url
        query = lineage.run_facets["externalQuery"]
        assert (query.externalQueryId, query.source) == (instance.id, client.settings.base_url)
        source = lineage.job_facets["sourceCodeLocation"]
        assert (source.type, source.url) == ("git", SOURCE)

    facet = found["no_job"].run_facets["saagie_run"]
    assert (facet.jobName, facet.projectName, facet.instanceId) == ("No such job", "Demo", None)
    assert "externalQuery" not in found["no_job"].run_facets


def test_lineage_has_ids_if_saagie_does_not_respond(
    facets: Callable[..., dict[str, Any]], make_job: Callable[..., str], emulator: Emulator
) -> None:
    job_id = make_job("print(1)")
    emulator.fault("status", "runLineage", status=503, times=5)
    facet = facets(run={"job_id": job_id})["run"].run_facets["saagie_run"]
    assert facet.jobId == job_id
    assert facet.instanceUrl.endswith(f"/job/{job_id}/instances/{facet.instanceId}")
    assert (facet.jobName, facet.versionNumber, facet.status) == (None, None, None)


@pytest.mark.long
def test_real_listener_emits_lineage(
    airflow_db: None, make_job: Callable[..., str], emulator: Emulator, tmp_path: Path
) -> None:
    file, events = tmp_path / "lineage_dag.py", tmp_path / "events.jsonl"
    file.write_text(DAG_FILE)
    jobs = {"good": make_job("print(1)"), "bad": make_job("raise SystemExit(3)")}
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path),
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": str(events), "append": True}),
        "AIRFLOW_CONN_SAAGIE_DEFAULT": emulator.connection(),
    }
    done = subprocess.run(
        [sys.executable, str(file), *jobs.values()], env=environment, capture_output=True, text=True, check=False
    )
    emitted = [json.loads(line) for line in events.read_text().splitlines()]

    assert emulator.password not in done.stdout + done.stderr + events.read_text()
    for task_id, end in (("good", "COMPLETE"), ("bad", "FAIL")):
        facets = {
            event["eventType"]: event["run"]["facets"]["saagie_run"]
            for event in emitted
            if event["job"]["name"] == f"lineage.{task_id}"
        }
        assert facets["START"]["jobId"] == facets[end]["jobId"] == jobs[task_id]
        assert facets[end]["versionNumber"] == facets[end]["instanceNumber"] == 1
        assert facets[end]["instanceUrl"].endswith(f"/instances/{facets[end]['instanceId']}")
