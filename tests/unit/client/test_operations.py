"""All operations of the client over damaged data: only our own errors come out, and nothing is sent again."""

from __future__ import annotations

import importlib
import inspect
import itertools
import json
import os
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast

import pytest
from graphql import (
    GraphQLNonNull,
    GraphQLSchema,
    get_named_type,
    is_enum_type,
    is_leaf_type,
    is_list_type,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_saagie import client
from airflow_provider_saagie import exceptions as errors
from airflow_provider_saagie.client import deployment, instances, running
from airflow_provider_saagie.client.calls import Call, Pause, Steps
from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.client.documents import document, operation_names
from airflow_provider_saagie.exceptions import SaagieError, SaagieOutcomeUnknown
from tests.support import schemas as published
from tests.support.clients import drive

EXAMPLES = int(os.environ.get("SAAGIE_TEST_EXAMPLES", "5"))  # for a long run: SAAGIE_TEST_EXAMPLES=500
ID = "5f5fce22-2152-4a01-8c6a-4c2eb4808b6d"
CHANGE = JobChange(job_name="a", runtime_version="3.11", resources={"cpu": {"limit": 1}}, emails=["a@b.c"])
# An operation gets its arguments by the names of its parameters, so that a new one is tested without being listed.
ARGUMENTS: dict[str, Any] = {
    "allowed": {"Processing": [ID]}, "catalog": "Saagie", "category": "Processing", "change": CHANGE,
    "date_before": "2026-01-01T00:00:00Z", "exclude_instances_id": None, "ids": [ID], "include_instances_id": None,
    "instances_limit": None, "job_alias": "a", "job_id": ID, "job_instance_id": ID, "job_instances_id": [ID],
    "job_name": "a", "limit": 3, "most": 3, "number": 1, "project_id": ID, "project_name": "a",
    "runtime_version": "3.11", "selector": "ALL", "target_platform_id": 1, "target_project_id": ID,
    "technology": "Python", "technology_id": "a", "version_number": 1, "versions": [1], "versions_limit": None,
    "versions_only_current": False,
}  # fmt: skip
# Operations that pause between two reads have tests of their own.
ELSEWHERE = {
    "instances.read_twice", "removal.remove", "run_once.clear_away_lost", "run_once.run_once",
    "running.run_with_callback", "stopping.ask_to_stop", "stopping.wait_for_ends",
}  # fmt: skip
# These read what a lost change has come to, and so may send it again: the operators that use them have tests of that.
READ_BACK = {"versions.make_current", "importing.make_job", "running.run"}
TECHNOLOGY = {"__typename": "JobTechnology", "id": ID, "label": "Python", "available": True}
# What the operations read before they change something.
SOUND: dict[str, dict[str, Any]] = {
    "projectTechnologies": {
        "project": {"id": ID, "technologiesByCategory": [{"jobCategory": "Processing", "technologies": [{"id": ID}]}]}
    },
    "repositories": {"repositories": [{"id": ID, "name": "Saagie", "technologies": [TECHNOLOGY]}]},
    "technologyContexts": {"technology": {**TECHNOLOGY, "contexts": [{"id": "3.11", "available": True}]}},
    "jobSettings": {"job": {"id": ID, "name": "a", "technology": {"id": ID}, "versions": [{"number": 1}]}},
    "projects": {"projects": [{"id": ID, "name": "a"}]},
    "jobNames": {"jobs": [{"id": ID, "name": "a"}]},
    "deletableInstances": {"job": {"instances": []}},
}


def operations() -> Iterator[tuple[str, Callable[..., Steps[Any]]]]:
    """Find the public functions of the client that return `Steps`."""
    for info in pkgutil.iter_modules(client.__path__):
        module = importlib.import_module(f"{client.__name__}.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            is_operation = str(function.__annotations__.get("return")).startswith("Steps[")
            if is_operation and function.__module__ == module.__name__ and not name.startswith("_"):
                yield f"{info.name}.{name}", function


OPERATIONS = {name: function for name, function in operations() if name not in ELSEWHERE}


def start(name: str) -> Steps[Any]:
    parameters = inspect.signature(OPERATIONS[name]).parameters.values()
    needed = {each.name: ARGUMENTS[each.name] for each in parameters if each.default is each.empty}
    return OPERATIONS[name](**needed)


@pytest.mark.parametrize("kind", [errors.SaagieOutcomeUnknown, errors.SaagieApiError, errors.SaagieConnectionError])
def test_error_of_a_call_ends_the_operation(kind: type[SaagieError]) -> None:
    assert len(OPERATIONS) > 40
    changed = set()
    for name, place in itertools.product(OPERATIONS.keys() - READ_BACK, range(6)):
        sent: list[str] = []
        failed: list[str] = []

        def answer(step: Any, place: int = place, sent: list[str] = sent, failed: list[str] = failed) -> Any:
            sent.append(step.operation)
            if len(sent) > place or sent[-1] not in SOUND:
                failed.append(sent[-1])
                raise kind("broken")
            return SOUND[sent[-1]]

        try:
            drive(start(name), answer)
        except kind:
            assert failed == sent[-1:], (name, sent)
            changed |= {sent[-1]} - SOUND.keys()
        else:
            assert not failed, (name, sent)
    assert {operation for operation in operation_names() if document(operation).is_mutation} <= changed


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.just(ID),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


class Platform:
    """Answers by the schema; the data chooses which nullable fields are null, and which fields are of another kind."""

    def __init__(self, data: st.DataObject, others: int) -> None:
        self.schemas, self.data, self.others = published.schemas(), data, others

    def __call__(self, call: Call) -> dict[str, Any]:
        doc = document(call.operation)
        self.schema: GraphQLSchema = self.schemas[doc.at_gateway]
        operation, *fragments = cast("Any", doc.node.definitions)
        self.fragments = {fragment.name.value: fragment for fragment in fragments}
        root = self.schema.mutation_type if doc.is_mutation else self.schema.query_type
        return self.object(root, operation.selection_set)

    def object(self, kind: Any, selection: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for node in selection.selections:
            if node.kind == "fragment_spread":
                found |= self.object(kind, self.fragments[node.name.value].selection_set)
            elif node.kind == "inline_fragment":
                found |= self.object(self.schema.type_map[node.type_condition.name.value], node.selection_set)
            elif (name := node.name.value) == "__typename":
                found["__typename"] = getattr(kind, "name", "X")
            else:
                found[name] = self.value(kind.fields[name].type, node.selection_set)
        return found

    def value(self, kind: Any, selection: Any) -> Any:
        if self.others and self.data.draw(st.integers(0, self.others)) == 0:
            return self.data.draw(anything)
        if isinstance(kind, GraphQLNonNull):
            kind = kind.of_type
        elif self.data.draw(st.integers(0, 4)) == 0:
            return None
        if is_list_type(kind):
            return [self.value(kind.of_type, selection) for _ in range(self.data.draw(st.integers(0, 2)))]
        if is_enum_type(kind):
            return self.data.draw(st.sampled_from(sorted(kind.values)))
        if is_leaf_type(kind):
            samples = {"Int": 3, "Float": 1.5, "Boolean": True, "DateTime": "2026-01-01T00:00:00.000Z"}
            return samples.get(get_named_type(kind).name, self.data.draw(st.sampled_from([ID, "a", "Saagie", "3.11"])))
        return self.object(kind, selection)


class EnoughCalls(Exception):
    """An operation that reads page after page has read enough."""


def check(steps: Steps[Any], answer: Callable[[Call], Any]) -> None:
    """Run an operation, and let no error out but our own."""
    sent: list[Call] = []

    def answer_call(step: Call | Pause) -> Any:
        assert isinstance(step, Call)
        sent.append(step)
        json.dumps(dict(step.variables))
        if len(sent) > 12:
            raise EnoughCalls
        return answer(step)

    with suppress(EnoughCalls, SaagieError):
        drive(steps, answer_call)


@pytest.mark.parametrize(
    ("others", "examples"), [(None, EXAMPLES), (0, EXAMPLES), (11, 2 * EXAMPLES)], ids=["any data", "nulls", "kinds"]
)
def test_damaged_data_is_own_error(others: int | None, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def check_example(name: str, data: st.DataObject) -> None:
        if others is None:
            objects = st.dictionaries(st.text(max_size=8), anything, max_size=3)
            check(start(name), lambda call: data.draw(objects | st.fixed_dictionaries({call.operation: anything})))
        else:
            check(start(name), Platform(data, others))

    for name in OPERATIONS:
        if others is None or "generate_description" not in name:  # the published schema doesn't have it
            check_example(name)


@settings(max_examples=10 * EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(answers=st.lists(anything, min_size=1, max_size=6))
def test_wait_survives_any_answer(answers: list[Any]) -> None:
    now, supply = 0.0, iter(answers)

    def answer(step: Call | Pause) -> dict[str, Any]:
        nonlocal now
        if isinstance(step, Pause):
            now += step.seconds
            return {}
        if step.operation == "runJob":
            return {"runJob": {"id": ID, "history": {"currentStatus": {"status": "REQUESTED"}}}}
        return {"jobInstance": next(supply, None)}

    with suppress(SaagieError):
        assert drive(running.run_with_callback(ID, 1, 30, now=lambda: now), answer)[1] == ID


def test_change_with_unusable_answer_may_have_happened() -> None:
    """It is neither repeated nor followed by the next change."""
    shapes = [5, [], {}, {"id": 5}, {"id": float("nan")}, {"id": ID, "history": [1]}, {"id": ID, "history": "x"}]
    rows = [("runJob", lambda: running.run(ID), shape) for shape in shapes]
    added = [{"number": None}, {"number": "2"}, {}, 2, [], None]
    upgrade = JobChange(job_name="a")
    rows += [("addJobVersion", lambda: deployment.create_or_upgrade(ID, upgrade), shape) for shape in added]
    for operation, steps, shape in rows:
        sent = []

        def answer(step: Any, name: str = operation, sent: list[Any] = sent, shape: object = shape) -> Any:
            sent.append(step.operation)
            return SOUND.get(sent[-1], {name: shape})

        with pytest.raises(SaagieOutcomeUnknown, match=rf"{operation}.*may have happened: look at"):
            drive(steps(), answer)
        assert [name for name in sent if document(name).is_mutation] == [operation], shape


def test_list_newer_counts_moved_instances_once() -> None:
    pages = [range(200, 100, -1), range(101, 1, -1), range(1, 0, -1)]
    supply = iter([[{"id": f"instance {number}", "number": number} for number in page] for page in pages])
    found = drive(instances.list_newer(ID, 0), lambda _: {"job": {"instances": next(supply)}})
    assert sorted(one.number or 0 for one in found) == list(range(1, 201))
