"""Properties of all operators and the sensor: mapping, templates, and their examples in the docs."""

from __future__ import annotations

import ast
import re
from typing import Any

from airflow.sdk import DAG

from airflow_provider_saagie.operators import saagie
from airflow_provider_saagie.operators.saagie import (
    SaagieCreateOrUpgradeJobOperator,
    SaagieExportJobOperator,
    SaagieImportJobOperator,
)
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor
from tests.support.pages import DOCS, ROOT, blocks

OPERATORS = [getattr(saagie, name) for name in saagie.__all__]
TASKS = [*OPERATORS, SaagieJobInstanceSensor]
REQUIRED = {
    SaagieCreateOrUpgradeJobOperator: {"job_name": "{{ ds }}"},
    SaagieExportJobOperator: {"folder": "{{ ds }}"},
    SaagieImportJobOperator: {"folder": "{{ ds }}"},
}
NAMES = {"job_id", "job_name", "project_name", "job_alias", "project_id", "instance_id", "folder", "file"}


def test_each_template_field_can_be_templated_or_mapped() -> None:
    """The constructor checks nothing: each field may come from a template or a mapping, without the others."""
    for kind in TASKS:
        given = REQUIRED.get(kind, {})
        with DAG(kind.__name__, schedule=None):
            kind(task_id="alone", **given)
            for field in kind.template_fields:
                kind(task_id=f"template_{field}", **{**given, field: "{{ ds }}"})
                partial = kind.partial(task_id=f"map_{field}", **{k: v for k, v in given.items() if k != field})
                partial.expand(**{field: ["one", "two"]})


def test_template_fields_are_those_of_the_docs() -> None:
    for kind in TASKS:
        params = dict(re.findall(r":param (\w+):(.*?)(?=:param|:raises)", str(kind.__doc__), re.DOTALL))
        assert {name for name, text in params.items() if "(templated)" in text} == set(kind.template_fields), kind
        assert (params.keys() & NAMES) <= set(kind.template_fields), kind


def test_resources_of_job_are_kept_apart_from_airflows() -> None:
    resources = {"cpu": {"request": 0.5}}
    with DAG("resources", schedule=None) as dag:
        SaagieCreateOrUpgradeJobOperator(task_id="one", job_name="a", resources=resources)
        SaagieCreateOrUpgradeJobOperator.partial(task_id="many", resources=resources).expand(job_name=["a", "b"])
    assert dag.get_task("one").job_resources == resources


def test_each_operator_has_an_example_dag() -> None:
    texts = [file.read_text() for file in (ROOT / "example_dags").glob("*.py")]
    assert [kind for kind in OPERATORS if not any(f" = {kind.__name__}" in text for text in texts)] == []


def test_docs_show_example_as_it_is() -> None:
    shown = {name: call for code in blocks(DOCS / "operators.md", "python") for name, call in find_tasks(code).items()}
    assert set(shown) >= {"stop_trial", "roll_back", "delete_trial", "export", "make_trial"}
    example = find_tasks((ROOT / "example_dags" / "saagie_job_care.py").read_text())
    assert {name: example[name] for name in shown if name in example} == {
        name: call for name, call in shown.items() if name in example
    }


def find_tasks(code: str) -> dict[str, Any]:
    """Return the normalised assignments of operators, by the name of the variable."""
    statements = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Assign)]
    return {ast.unparse(node.targets[0]): ast.unparse(node) for node in statements if "task_id" in ast.unparse(node)}
