"""The class `Jobs` has every method of the published Python API; names are found to the letter, else in any case."""

from __future__ import annotations

import inspect
import re
import warnings
from importlib.util import find_spec
from types import CodeType, SimpleNamespace
from typing import Any, cast

import pytest

from airflow_provider_saagie.client import definitions, projects
from airflow_provider_saagie.client.jobs import Jobs
from airflow_provider_saagie.exceptions import SaagieNotFound
from tests.support.clients import drive
from tests.support.errors import error_message
from tests.support.schemas import SHARED

REFERENCE = SHARED / "reference" / "jobs-api.txt"
ID = "5f5fce22-2152-4a01-8c6a-4c2eb4808b6d"
BEYOND = {"create": ["docker_info"], "upgrade": ["docker_info"], "create_or_upgrade": ["docker_info"]}
SIGNATURE = re.compile(r"^(\w+)\(([^\n]*)\)(?: (?:Dict|str|bool))?#$", re.MULTILINE)
METHODS = {name: method for name, method in inspect.getmembers(Jobs, inspect.isfunction) if not name.startswith("_")}


def test_methods_have_the_parameters_and_defaults_of_the_reference() -> None:
    if not REFERENCE.is_file():
        pytest.skip("the reference is not here: ../shared/reference")
    reference = SIGNATURE.findall(REFERENCE.read_text())
    assert len(reference) == len(re.findall(r"^\w+\(", REFERENCE.read_text(), re.MULTILINE)) == 28
    for name, parameters in reference:
        theirs: dict[str, str | None] = {}
        for parameter in re.split(r", (?=\w+(?:[:=]|$|,))", parameters):
            declared, _, default = parameter.partition("=")
            theirs[declared.split(":")[0].strip()] = default.strip() or None
        _, *declared_here = inspect.signature(METHODS[name]).parameters.values()
        ours = {each.name: None if each.default is each.empty else repr(each.default) for each in declared_here}
        assert list(ours) == [*theirs, *BEYOND.get(name, [])], name
        assert {parameter: ours[parameter] for parameter in theirs} == theirs, name


def test_typed_example_calls_every_method() -> None:
    """`mypy --strict` checks the example, so that each result is used as the type that it declares."""
    loader = cast("Any", find_spec("tests.support.typed_caller")).loader
    functions = [code for code in loader.get_code(loader.name).co_consts if isinstance(code, CodeType)]
    assert METHODS.keys() - {name for function in functions for name in function.co_names} == set()


def test_deprecated_count_warns_once_in_a_loop() -> None:
    counts = [{"selector": "ALL", "count": 1}]
    session: Any = SimpleNamespace(run=lambda steps: drive(steps, lambda call: {call.operation: counts}))
    jobs = Jobs(session)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        counted = [jobs.count_instances_by_status(ID) for _ in range(3)]
        assert counted == [jobs.count_deletable_instances_by_status(ID)] * 3
    (warning,) = caught
    assert warning.category is DeprecationWarning
    assert "use count_deletable_instances_by_status" in str(warning.message)


def test_named_prefers_the_exact_name_to_another_case() -> None:
    rows = [{"id": "1", "name": "Straße"}, {"id": "2", "name": "a job"}, {"id": "3", "name": "A Job"}, {"id": "4"}]
    for name, found in (("a job", "2"), ("A Job", "3"), ("A JOB", "2"), ("STRASSE", "1"), ("none", None), ("a", None)):
        row = projects.named(rows, name)
        assert (row and row["id"]) == found, name


def test_null_list_of_jobs_is_a_missing_project() -> None:
    for steps in (definitions.list_for_project_minimal(ID), definitions.list_for_project(ID, None, None, False)):
        assert "no project" in error_message(SaagieNotFound, drive, steps, lambda _: {"jobs": None})
