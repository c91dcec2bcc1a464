"""What OpenLineage is told of a run: asked where a task ends, in the task's process, and by its real listener."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator
from tests.integration.airflow.operators.conftest import connection

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient
    from airflow_provider_saagie.emulator.testing import Emulator

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
def told(run_dag: Any, new_dag: Callable[[], DAG]) -> Callable[..., Any]:
    """A function that runs a task, and gives what OpenLineage would be told of it at its end."""

    def run(**given: Any) -> Any:
        answers: list[Any] = []

        def ask(context: Any) -> None:
            ti = context["ti"]
            state = "failure" if "exception" in context else "complete"
            answers.append(getattr(ti.task, f"get_openlineage_facets_on_{state}")(ti))

        dag = new_dag()
        with dag:
            SaagieRunJobOperator(
                task_id="run", poll_interval=1, on_success_callback=ask, on_failure_callback=ask, **given
            )
        run_dag(dag)
        (answer,) = answers
        return answer

    return run


@pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "in the worker"])
@pytest.mark.parametrize(("code", "status"), [("print(1)", "SUCCEEDED"), ("raise SystemExit(3)", "FAILED")])
def test_job_version_instance_and_link_are_told(
    told: Callable[..., Any], make_job: Any, client: SaagieClient, code: str, status: str, deferrable: bool
) -> None:
    job_id = make_job(code, job_name=f"{status} {deferrable}", source_url=SOURCE)

    lineage = told(job_id=job_id, deferrable=deferrable)

    (instance,) = client.session.run(instances.list_instances(job_id, limit=5))
    facet = lineage.run_facets["saagie_run"]
    assert (facet.jobId, facet.jobName, facet.versionNumber) == (job_id, f"{status} {deferrable}", 1)
    assert (facet.projectId, facet.projectName) == (client.get_project_id("Demo"), "Demo")
    assert (facet.instanceId, facet.instanceNumber, facet.status) == (instance.id, 1, status)
    assert facet.instanceUrl.endswith(f"/project/{facet.projectId}/job/{job_id}/instances/{instance.id}")
    query = lineage.run_facets["externalQuery"]
    assert (query.externalQueryId, query.source) == (instance.id, client.settings.base_url)
    source = lineage.job_facets["sourceCodeLocation"]
    assert (source.type, source.url) == ("git", SOURCE)


def test_a_platform_that_does_not_answer_leaves_the_ids_and_the_link(
    told: Callable[..., Any], make_job: Any, emulator: Emulator
) -> None:
    job_id = make_job("print(1)")
    emulator.fault("status", "runLineage", status=503, times=5)

    facet = told(job_id=job_id).run_facets["saagie_run"]

    assert facet.jobId == job_id
    assert facet.instanceUrl.endswith(f"/job/{job_id}/instances/{facet.instanceId}")
    assert (facet.jobName, facet.versionNumber, facet.status) == (None, None, None)


def test_without_an_instance_the_job_is_named_as_the_task_names_it(told: Callable[..., Any]) -> None:
    lineage = told(job_name="No such job", project_name="{{ 'Demo' }}")

    facet = lineage.run_facets["saagie_run"]
    assert (facet.jobName, facet.projectName, facet.instanceId) == ("No such job", "Demo", None)
    assert "externalQuery" not in lineage.run_facets


@pytest.mark.long
def test_the_real_listener_emits_it(airflow_db: None, make_job: Any, emulator: Emulator, tmp_path: Path) -> None:
    file, events = tmp_path / "lineage_dag.py", tmp_path / "events.jsonl"
    file.write_text(DAG_FILE)
    jobs = {"good": make_job("print(1)"), "bad": make_job("raise SystemExit(3)")}
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path),
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": str(events), "append": True}),
        "AIRFLOW_CONN_SAAGIE_DEFAULT": connection(emulator),
    }
    done = subprocess.run(
        [sys.executable, str(file), *jobs.values()], env=environment, capture_output=True, text=True, check=False
    )
    emitted = [json.loads(line) for line in events.read_text().splitlines()]

    assert emulator.password not in done.stdout + done.stderr + events.read_text()
    for task_id, ended in (("good", "COMPLETE"), ("bad", "FAIL")):
        told = {
            event["eventType"]: event["run"]["facets"]["saagie_run"]
            for event in emitted
            if event["job"]["name"] == f"lineage.{task_id}"
        }
        assert told["START"]["jobId"] == told[ended]["jobId"] == jobs[task_id]
        assert told[ended]["versionNumber"] == told[ended]["instanceNumber"] == 1
        assert told[ended]["instanceUrl"].endswith(f"/instances/{told[ended]['instanceId']}")
