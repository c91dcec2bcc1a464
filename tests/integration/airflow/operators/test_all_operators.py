"""What holds for all eight operators and the sensor: mapping, templates; the button; the example of job care."""

from __future__ import annotations

import ast
import importlib.util
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.operators import saagie
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

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient

ROOT = Path(__file__).resolve().parents[4]
ALL = [getattr(saagie, name) for name in saagie.__all__]
TASKS = [*ALL, SaagieJobInstanceSensor]
REQUIRED = {
    SaagieCreateOrUpgradeJobOperator: {"job_name": "{{ ds }}"},
    SaagieExportJobOperator: {"folder": "{{ ds }}"},
    SaagieImportJobOperator: {"folder": "{{ ds }}"},
}


def test_there_are_eight() -> None:
    assert len(ALL) == 8


@pytest.mark.parametrize("kind", TASKS)
def test_whatever_can_be_a_template_can_be_mapped(kind: Any, new_dag: Callable[[], DAG]) -> None:
    """Making a task checks nothing: each field may come from a template or a mapping, with the others left out."""
    given = REQUIRED.get(kind, {})
    with new_dag():
        kind(task_id="alone", **given)
        for field in kind.template_fields:
            kind(task_id=f"of_{field}", **{**given, field: "{{ ds }}"})
            partial = kind.partial(task_id=f"by_{field}", **{k: v for k, v in given.items() if k != field})
            partial.expand(**{field: ["one", "two"]})


@pytest.mark.parametrize("kind", TASKS)
def test_ids_names_and_paths_are_templates(kind: Any) -> None:
    described = dict(re.findall(r":param (\w+):(.*?)(?=:param|:raises)", str(kind.__doc__), re.DOTALL))
    assert {name for name, text in described.items() if "(templated)" in text} == set(kind.template_fields)
    ids = {"job_id", "job_name", "project_name", "job_alias", "project_id", "instance_id", "folder", "file"}
    assert (described.keys() & ids) <= set(kind.template_fields)


@pytest.mark.parametrize("kind", ALL)
def test_an_example_dag_shows_it(kind: Any) -> None:
    """The examples are run by tests: so each operator does its work in a DAG, on a local Saagie."""
    texts = [file.read_text() for file in (ROOT / "example_dags").glob("*.py")]
    assert any(f" = {kind.__name__}" in text for text in texts)


def xcoms_by_index(dag_id: str) -> dict[tuple[str, int], dict[str, Any]]:
    """Read what the tasks of a DAG pushed, by task and map index."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    found: dict[tuple[str, int], dict[str, Any]] = {}
    with create_session() as session:
        for row in session.query(XComModel).filter(XComModel.dag_id == dag_id):
            found.setdefault((row.task_id, row.map_index), {})[row.key] = XComModel.deserialize_value(row)
    return found


@pytest.mark.long  # ten seconds, of which Airflow takes the most
def test_mapped_tasks_do_their_work_and_each_has_its_button(
    run_dag: Any, new_dag: Callable[[], DAG], make_job: Any, client: SaagieClient, tmp_path: Path
) -> None:
    originals = [make_job("import time\ntime.sleep(120)") for _ in range(2)]
    for job_id in originals:
        client.jobs.upgrade(job_id, release_note="two")
    running = [client.jobs.run(job_id)["runJob"]["id"] for job_id in originals]
    name = uuid.uuid4()
    dag = new_dag()
    with dag:
        export = SaagieExportJobOperator.partial(task_id="export", folder=str(tmp_path / "out")).expand(
            job_id=originals
        )
        copy = SaagieImportJobOperator.partial(
            task_id="copy", project_name="Demo", job_name=f"{name} {{{{ ti.map_index }}}}"
        ).expand(folder=export.output)
        quiet = {"do_xcom_push": False}
        stop = SaagieStopInstanceOperator.partial(task_id="stop", **quiet).expand(instance_id=running)
        back = SaagieRollbackJobOperator.partial(task_id="back", version_number="1", **quiet).expand(job_id=originals)
        purge = SaagiePurgeInstancesOperator.partial(task_id="purge", selector="ALL", **quiet).expand(job_id=originals)
        delete = SaagieDeleteJobOperator.partial(task_id="delete", **quiet).expand(job_id=copy.output)
        run = SaagieRunJobOperator.partial(task_id="run", wait_for_completion=False, **quiet).expand(job_id=originals)
        export >> copy >> stop >> back >> purge >> delete >> run
    ended = run_dag(dag)
    for job_id in originals:
        started = client.jobs.get_info(job_id)["job"]["instances"]
        assert len(started) == 1  # the stopped one is purged, the new one runs
        client.jobs.stop(started[0]["id"])
    assert {task: result.state for task, result in ended.items()} == dict.fromkeys(
        ["export", "copy", "stop", "back", "purge", "delete", "run"], "success"
    )
    pushed = xcoms_by_index(dag.dag_id)
    links = {key: values["_link_SaagieLink"] for key, values in pushed.items()}
    project = f"/project/{client.get_project_id('Demo')}"
    for index, job_id in enumerate(originals):
        assert pushed["export", index]["return_value"] == f"{tmp_path}/out/{job_id}"
        assert links["stop", index].endswith(f"/job/{job_id}/instances/{running[index]}")
        assert [links[task, index].rpartition("/")[2] for task in ("export", "back", "purge")] == [job_id] * 3
        assert links["copy", index].endswith(f"/job/{pushed['copy', index]['return_value']}")
        assert links["delete", index].endswith(project)
    for task in ("stop", "back", "purge", "delete", "run"):
        assert "return_value" not in pushed[task, 0]
    names = [job["name"] for job in client.jobs.list_for_project_minimal(client.get_project_id("Demo"))["jobs"]]
    assert not [one for one in names if one.startswith(str(name))]


EXAMPLE = ROOT / "example_dags" / "saagie_job_care.py"


@pytest.mark.long  # it waits for real jobs
def test_the_example_of_job_care_runs(run_dag: Any, client: SaagieClient, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("saagie_job_care", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    dag = example.deploy.dag
    dag.relative_fileloc = EXAMPLE.name
    example.export.params["folder"] = f"file://{tmp_path}/exports"
    ended = run_dag(dag)
    assert {result.state for result in ended.values()} == {"success"}
    job_id = ended["deploy"].xcoms["return_value"]
    assert ended["export"].xcoms["return_value"] == f"file://{tmp_path}/exports/{job_id}"
    assert set(ended["stop_trial"].xcoms["return_value"].values()) <= {"KILLED", "SUCCEEDED"}
    assert ended["roll_back"].xcoms["return_value"] == 1
    names = [job["name"] for job in client.jobs.list_for_project_minimal(client.get_project_id("Demo"))["jobs"]]
    assert "Airflow job care" in names
    assert not [name for name in names if name.startswith("Trial of")]


def calls_in(code: str) -> dict[str, str]:
    """Give the assignments of operators in some code, by the name of the task, as normalised text."""
    statements = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Assign)]
    return {ast.unparse(node.targets[0]): ast.unparse(node) for node in statements if "task_id" in ast.unparse(node)}


def test_the_docs_show_the_example_as_it_stands() -> None:
    shown: dict[str, str] = {}
    for code in re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "operators.md").read_text(), re.M | re.S):
        shown |= calls_in(code)
    assert set(shown) >= {"stop_trial", "roll_back", "delete_trial", "export", "make_trial"}
    example = calls_in(EXAMPLE.read_text())
    assert {name: example.get(name) for name in shown if name in example} == {
        name: text for name, text in shown.items() if name in example
    }
