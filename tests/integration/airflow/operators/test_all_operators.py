"""All operators and the sensor in DAG runs: templates, mapping, XComs, links, states and retries."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, chain

from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.client.versions import read_versions
from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.links.saagie import URL_XCOM_KEY
from airflow_provider_saagie.operators.saagie import (
    SaagieCreateOrUpgradeJobOperator,
    SaagieDeleteJobOperator,
    SaagieExportJobOperator,
    SaagieImportJobOperator,
    SaagiePurgeInstancesOperator,
    SaagieRollbackJobOperator,
    SaagieRunJobOperator,
    SaagieStopInstanceOperator,
)
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor
from tests.support.pages import ROOT


def xcoms_by_index(dag_id: str) -> dict[tuple[str, int], dict[str, Any]]:
    """Read what the tasks of a DAG pushed, by task and map index."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    found: dict[tuple[str, int], dict[str, Any]] = {}
    with create_session() as session:
        for row in session.query(XComModel).filter(XComModel.dag_id == dag_id):
            found.setdefault((row.task_id, row.map_index), {})[row.key] = XComModel.deserialize_value(row)
    return found


def test_mapped_tasks_do_their_work_and_have_links(
    run_dag: Any, new_dag: Callable[[], DAG], tmp_path: Path, emulator: Emulator
) -> None:
    (tmp_path / "job.py").write_text("print(1)")

    def mapped(kind: Any, task_id: str, over: dict[str, Any], **options: Any) -> Any:
        return kind.partial(task_id=task_id, **options).expand(**over)

    new: dict[str, Any] = {"project_name": "{{ 'Demo' }}", "file": "job.py", "runtime_version": "3.11"}
    new |= {"command_line": "python {file}", "resources": {"memory": {"limit": 1.0}}}
    quiet = {"do_xcom_push": False}
    folder = f"{tmp_path}/{{{{ dag.dag_id }}}}"
    with new_dag() as dag:
        deploy = mapped(SaagieCreateOrUpgradeJobOperator, "deploy", {"job_name": ["a", "b"]}, **new)
        job = {"job_id": deploy.output}
        run = mapped(SaagieRunJobOperator, "run", job, deferrable=True, poll_interval=1)
        instance = {"instance_id": run.output}
        export = mapped(SaagieExportJobOperator, "export", job, folder=folder, versions_only_current=True)
        copy_of = {"project_name": "Demo", "job_name": "copy {{ ti.map_index }}"}
        copy = mapped(SaagieImportJobOperator, "copy", {"folder": export.output}, **copy_of)
        chain(
            mapped(SaagieJobInstanceSensor, "wait", instance, deferrable=True),
            export,
            copy,
            mapped(SaagieStopInstanceOperator, "stop", instance, **quiet),
            mapped(SaagieRollbackJobOperator, "back", job, version_number="{{ 3 - 2 }}", **quiet),
            mapped(SaagiePurgeInstancesOperator, "purge", job, selector="{{ 'ALL' }}", **quiet),
            mapped(SaagieDeleteJobOperator, "delete", {"job_id": copy.output}, **quiet),
            mapped(SaagieRunJobOperator, "start", job, wait_for_completion=False, **quiet),
        )
    ended = run_dag(dag)
    assert {result.state for result in ended.values()} == {"success"}
    assert len(ended) == 10
    jobs = emulator.jobs()
    assert {name: len(job.instances) for name, job in jobs.items()} == {"a": 1, "b": 1}
    pushed = xcoms_by_index(dag.dag_id)
    for index, name in enumerate("ab"):
        job = jobs[name]
        links = {task: values[URL_XCOM_KEY] for (task, at), values in pushed.items() if at == index}
        assert pushed["deploy", index]["return_value"] == job.id
        assert pushed["export", index]["return_value"] == f"{tmp_path}/{dag.dag_id}/{job.id}"
        instance = f"/job/{job.id}/instances/{pushed['run', index]['return_value']}"
        assert [links[task].endswith(instance) for task in ("run", "wait", "stop")] == [True] * 3
        assert [links[task].rpartition("/")[2] for task in ("deploy", "export", "back", "purge")] == [job.id] * 4
        assert links["start"].endswith(job.instances[0].id)
        assert links["copy"].endswith(f"/job/{pushed['copy', index]['return_value']}")
        assert links["delete"].endswith(f"/project/{emulator.projects['Demo']}")
        without_result = {task for (task, at), values in pushed.items() if at == index and "return_value" not in values}
        assert without_result == {"stop", "back", "purge", "delete", "start"}, "do_xcom_push=False"


def test_failed_task_has_best_link_or_none(
    run_dag: Any, new_dag: Any, make_job: Any, emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    job_id = make_job("print(1)", job_name="deployed before")
    instance_id = "00000000-0000-4000-8000-000000000000"
    nothing = "{{ ti.xcom_pull(task_ids='nobody') }}"
    wrong = {"project_name": "Demo", "file": "/no/such/file", "runtime_version": "3.11"}
    with new_dag() as dag:
        SaagieRunJobOperator(task_id="run", job_name="No such job", project_name="Demo")
        SaagieCreateOrUpgradeJobOperator(task_id="old", job_name="deployed before", **wrong)
        SaagieCreateOrUpgradeJobOperator(task_id="new", job_name="never deployed", **wrong)
        SaagieJobInstanceSensor(task_id="wait", instance_id=nothing)
        SaagieJobInstanceSensor(task_id="skip", job_id=job_id, timeout=0, soft_fail=True)
        SaagieJobInstanceSensor(task_id="gone", instance_id=instance_id, deferrable=True, retries=1)
        SaagieImportJobOperator(task_id="load", folder="nothing", project_name="Demo")
    ended = run_dag(dag)
    project = f"/project/{emulator.projects['Demo']}"
    links = {task: result.xcoms[URL_XCOM_KEY].partition("/platform/1")[2] for task, result in ended.items()}
    assert links == {
        **dict.fromkeys(["run", "wait", "skip", "gone"], ""),
        "old": f"{project}/job/{job_id}",
        "new": project,
        "load": project,
    }
    assert {task for task, result in ended.items() if result.state != "failed"} == {"skip"}
    assert ended["skip"].state == "skipped"
    shown = "".join(capfd.readouterr())
    assert "XCom not found" not in shown, "Airflow looked for a link before there was one"
    assert "its template found nothing" in shown


def test_retry_continues_previous_try(
    run_dag: Any, new_dag: Any, make_job: Any, client: SaagieClient, emulator: Emulator, tmp_path: Path
) -> None:
    """Each first try loses the answer, and the look for what has come of the request fails."""
    back, old = make_job("print(1)"), make_job("print(1)", job_name="old")
    for note in ("two", "three"):
        client.jobs.upgrade(back, release_note=note)
    client.jobs.export(old, str(tmp_path))
    faults = {
        "back": [("drop", "rollbackJobVersion", {}), ("error", "job", {"occurrence": 3})],
        "delete": [("drop", "deleteJob", {}), ("status", "jobSummary", {"occurrence": 2, "status": 400})],
        "load": [("drop", "createJob", {}), ("status", "jobs", {"occurrence": 2, "status": 400})],
    }

    def begin(context: Any) -> None:
        for kind, operation, options in faults.pop(context["ti"].task_id, []):
            emulator.fault(kind, operation, **options)

    retry = {"retries": 1, "retry_delay": 0, "pre_execute": begin}
    with new_dag() as dag:
        chain(
            SaagieRollbackJobOperator(task_id="back", job_id=back, **retry),
            SaagieDeleteJobOperator(task_id="delete", job_name="old", project_name="Demo", **retry),
            SaagieImportJobOperator(task_id="load", folder=str(tmp_path / old), project_name="Demo", **retry),
        )
    ended = run_dag(dag)
    assert [fault["struck"] for fault in emulator.faults()] == [1] * 6
    assert {task: result.state for task, result in ended.items()} == dict.fromkeys(ended, "success")
    assert (ended["back"].xcoms["return_value"], ended["back"].xcoms["changed"]) == (2, False)
    assert (ended["delete"].xcoms["return_value"], ended["delete"].xcoms["job_id"]) == (True, old)
    assert client.session.run(read_versions(back)).current == 2
    assert [r["operation"] for r in emulator.requests()].count("createJob") == 3, "two jobs of the test, one import"
    assert (ended["load"].xcoms["return_value"], ended["load"].xcoms["created"]) == (emulator.jobs()["old"].id, True)


def test_example_of_job_care_runs(run_dag: Any, emulator: Emulator, tmp_path: Path) -> None:
    example = runpy.run_path(str(ROOT / "example_dags" / "saagie_job_care.py"), run_name="saagie_job_care")
    dag = example["deploy"].dag
    dag.relative_fileloc = "saagie_job_care.py"
    example["export"].params["folder"] = f"file://{tmp_path}/exports"
    ended = run_dag(dag)
    assert {result.state for result in ended.values()} == {"success"}
    job_id = ended["deploy"].xcoms["return_value"]
    assert ended["export"].xcoms["return_value"] == f"file://{tmp_path}/exports/{job_id}"
    assert set(ended["stop_trial"].xcoms["return_value"].values()) <= {"KILLED", "SUCCEEDED"}
    assert ended["roll_back"].xcoms["return_value"] == 1
    assert list(emulator.jobs()) == ["Airflow job care"]
