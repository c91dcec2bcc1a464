"""Whatever a platform answers, only our own errors come out."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from graphql import GraphQLNonNull, get_named_type, is_enum_type, is_leaf_type, is_list_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_saagie.client import (
    core,
    definitions,
    deployment,
    importing,
    instances,
    lineage,
    logs,
    projects,
    purge,
    stopping,
    technologies,
    versions,
)
from airflow_provider_saagie.client.calls import Call
from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.client.documents import document, operation_names
from airflow_provider_saagie.exceptions import SaagieError
from tests.support import schemas as published

if TYPE_CHECKING:
    from graphql import GraphQLSchema, SelectionSetNode

EXAMPLES = int(os.environ.get("SAAGIE_TEST_EXAMPLES", "5"))  # a long run by hand: SAAGIE_TEST_EXAMPLES=500
ID = "5f5fce22-2152-4a01-8c6a-4c2eb4808b6d"
CHANGE = JobChange(job_name="a", runtime_version="3.11", resources={"cpu": {"limit": 1}}, emails=["a@b.c"])
EVERY_CALL: dict[str, Callable[[], Any]] = {
    "read_platform": projects.read_platform,
    "get_project_id": lambda: projects.get_project_id("a"),
    "get_project_technologies": lambda: projects.get_project_technologies(ID),
    "list_for_project": lambda: definitions.list_for_project(ID, None, None, False),
    "list_for_project_minimal": lambda: definitions.list_for_project_minimal(ID),
    "find_by_name": lambda: definitions.find_by_name("a", ID),
    "get_id": lambda: definitions.get_id("a", "a"),
    "get_info": lambda: definitions.get_info(ID, None, None, False),
    "get_info_by_alias": lambda: definitions.get_info_by_alias(ID, "a", None, None, False),
    "read_summary": lambda: definitions.read_summary(ID),
    "delete": lambda: definitions.delete(ID),
    "duplicate": lambda: definitions.duplicate(ID),
    "move_job": lambda: definitions.move_job(ID, 1, ID),
    "create": lambda: deployment.create(ID, CHANGE),
    "upgrade": lambda: deployment.upgrade(ID, CHANGE),
    "edit": lambda: deployment.edit(ID, CHANGE),
    "create_or_upgrade": lambda: deployment.create_or_upgrade(ID, CHANGE),
    "get_instance": lambda: instances.get_instance(ID),
    "read_instance": lambda: instances.read_instance(ID),
    "list_instances": lambda: instances.list_instances(ID, limit=3),
    "run": lambda: instances.run(ID),
    "stop": lambda: instances.stop(ID),
    "count_by_selector": lambda: instances.count_by_selector(ID),
    "count_by_date": lambda: instances.count_by_date(ID, "2026-01-01T00:00:00Z"),
    "delete_instances": lambda: instances.delete_instances(ID, [ID]),
    "delete_by_selector": lambda: instances.delete_instances_by_selector(ID, "ALL", None, None),
    "delete_by_date": lambda: instances.delete_instances_by_date(ID, "2026-01-01T00:00:00Z", None, None),
    "list_deletable": lambda: purge.list_deletable(ID),
    "delete_chosen": lambda: purge.delete_chosen(ID, [ID]),
    "rollback": lambda: versions.rollback(ID, 1),
    "delete_versions": lambda: versions.delete_versions(ID, [1]),
    "read_log": lambda: logs.read_log(ID),
    "read_last_lines": lambda: logs.read_last_lines(ID, 3),
    "count_log_lines": lambda: logs.count_log_lines(ID),
    "upgrade_by_name": lambda: deployment.upgrade_by_name("a", "a", CHANGE),
    "read_settings_of": lambda: deployment.read_settings_of(ID),
    "list_newer": lambda: instances.list_newer(ID, 1),
    "describe_run": lambda: lineage.describe_run(ID, ID),
    "make_job": lambda: importing.make_job(ID, CHANGE),
    "find_technology": lambda: technologies.find_technology("a", "Saagie", {"Processing": [ID]}, "Processing"),
    "check_runtime": lambda: technologies.check_runtime("a", "3.11"),
    "read_versions": lambda: versions.read_versions(ID),
    "make_current": lambda: versions.make_current(ID, 1),
    "list_on_their_way": lambda: stopping.list_on_their_way(ID),
}
# Steps that pause between two looks, and have tests of their own; and one whose operation no published schema has.
ELSEWHERE = {
    "instances.read_twice", "removal.remove", "run_once.clear_away_lost", "run_once.run_once", "running.run",
    "running.run_with_callback", "stopping.ask_to_stop", "stopping.wait_for_ends",
    "definitions.generate_description_by_ai",
}  # fmt: skip
CLIENT = Path(core.__file__).parent


def steps_of_the_client() -> dict[str, str]:
    """Give all public functions that are steps, by ``module.function``, with their source."""
    return {
        f"{path.stem}.{node.name}": ast.unparse(node)
        for path in sorted(CLIENT.glob("*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and node.returns is not None
        and ast.unparse(node.returns).startswith("Steps[")
    }


def test_every_call_is_among_them() -> None:
    tried = set(re.findall(r"\w+\.\w+", Path(__file__).read_text().partition("EVERY_CALL")[2].partition("\n}\n")[0]))
    assert steps_of_the_client().keys() - tried == ELSEWHERE


def test_every_document_is_of_use() -> None:
    named = {
        node.value
        for folder in (CLIENT, CLIENT.parent / "triggers")
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
    }
    assert set(operation_names()) <= named


def drive(steps: Any, answer: Callable[[Call], dict[str, Any]], most: int = 12) -> Any:
    """Run steps as a session does, without one."""
    try:
        step = next(steps)
        for _ in range(most):
            assert isinstance(step, Call)
            json.dumps(dict(step.variables))
            step = core.advance(steps, answer(step), after=step)
    except StopIteration as end:
        return end.value
    finally:
        steps.close()
    return None


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.just(ID),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def schemas() -> dict[bool, GraphQLSchema]:
    return published.schemas()


class Platform:
    """Answers by the schema, and breaks it where the data says so: a field null, or of another type."""

    def __init__(self, schemas: dict[bool, GraphQLSchema], data: st.DataObject, breakage: str) -> None:
        self.schemas, self.data, self.breakage = schemas, data, breakage

    def __call__(self, call: Call) -> dict[str, Any]:
        doc = document(call.operation)
        schema = self.schemas[doc.at_gateway]
        self.schema = schema
        operation, *fragments = doc.node.definitions
        self.fragments = {fragment.name.value: fragment for fragment in fragments}  # type: ignore[union-attr]
        root = schema.mutation_type if doc.is_mutation else schema.query_type
        return self.object(root, operation.selection_set)  # type: ignore[union-attr]

    def object(self, kind: Any, selection: SelectionSetNode) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for node in selection.selections:
            if node.kind == "fragment_spread":
                found |= self.object(kind, self.fragments[node.name.value].selection_set)  # type: ignore[union-attr]
            elif node.kind == "inline_fragment":
                found |= self.object(self.schema.type_map[node.type_condition.name.value], node.selection_set)  # type: ignore[union-attr]
            elif node.name.value == "__typename":  # type: ignore[union-attr]
                found["__typename"] = getattr(kind, "name", "X")
            else:
                name = node.name.value  # type: ignore[union-attr]
                found[name] = self.value(kind.fields[name].type, node.selection_set)  # type: ignore[union-attr]
        return found

    def value(self, kind: Any, selection: SelectionSetNode | None) -> Any:
        if isinstance(kind, GraphQLNonNull):
            if self.breakage == "types" and self.data.draw(st.integers(0, 15)) == 0:
                return self.data.draw(anything)
            return self.value_of(kind.of_type, selection)
        if self.data.draw(st.integers(0, 4)) == 0:
            return None
        return self.value_of(kind, selection)

    def value_of(self, kind: Any, selection: SelectionSetNode | None) -> Any:
        if is_list_type(kind):
            return [self.value(kind.of_type, selection) for _ in range(self.data.draw(st.integers(0, 2)))]
        if is_enum_type(kind):
            return self.data.draw(st.sampled_from(sorted(kind.values)))
        if is_leaf_type(kind):
            samples = {"Int": 3, "Float": 1.5, "Boolean": True, "DateTime": "2026-01-01T00:00:00.000Z"}
            return samples.get(get_named_type(kind).name, self.data.draw(st.sampled_from([ID, "a", "Saagie", "3.11"])))
        assert selection is not None
        return self.object(kind, selection)


@pytest.mark.parametrize("breakage", ["nulls", "types"])
@pytest.mark.parametrize("name", EVERY_CALL)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_nulls_and_wrong_types_end_in_our_own_errors(
    schemas: dict[bool, GraphQLSchema], name: str, breakage: str, data: st.DataObject
) -> None:
    try:
        drive(EVERY_CALL[name](), Platform(schemas, data, breakage))
    except SaagieError as error:
        assert str(error)  # noqa: PT017 - that none but ours comes out is the test


@pytest.mark.parametrize("name", EVERY_CALL)
@settings(max_examples=EXAMPLES, deadline=None)
@given(answers=st.lists(st.dictionaries(st.text(max_size=8), anything, max_size=3), min_size=12, max_size=12))
def test_data_of_any_shape_ends_in_our_own_errors(name: str, answers: list[dict[str, Any]]) -> None:
    supply = iter(answers)
    try:
        drive(EVERY_CALL[name](), lambda _: next(supply))
    except SaagieError as error:
        assert str(error)  # noqa: PT017 - that none but ours comes out is the test
