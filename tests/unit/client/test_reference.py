"""The face has every method of the reference, with its parameters and defaults."""

from __future__ import annotations

import inspect
import re

import pytest

from airflow_provider_saagie.client.jobs import Jobs
from tests.support.pages import ROOT
from tests.support.schemas import SHARED

REFERENCE = SHARED / "reference" / "jobs-api.txt"
BEYOND = {"create": ["docker_info"], "upgrade": ["docker_info"], "create_or_upgrade": ["docker_info"]}
SIGNATURE = re.compile(r"^(\w+)\(([^\n]*)\)(?: (?:Dict|str|bool))?#$", re.MULTILINE)


def reference() -> dict[str, dict[str, str | None]]:
    """Read the names, parameters and defaults; None stands for "no default"."""
    if not REFERENCE.is_file():
        return {}
    found: dict[str, dict[str, str | None]] = {}
    for name, parameters in SIGNATURE.findall(REFERENCE.read_text()):
        found[name] = {}
        for parameter in re.split(r", (?=\w+(?:[:=]|$|,))", parameters):
            named, _, default = parameter.partition("=")
            found[name][named.split(":")[0].strip()] = default.strip() or None
    return found


@pytest.fixture(autouse=True)
def _needs_the_reference() -> None:
    if not REFERENCE.is_file():
        pytest.skip("the reference is not here: ../shared/reference")


def test_every_method_is_there() -> None:
    assert len(reference()) == len(re.findall(r"^\w+\(", REFERENCE.read_text(), re.MULTILINE)) == 28
    assert set(reference()) <= {name for name, _ in inspect.getmembers(Jobs, inspect.isfunction)}


@pytest.mark.parametrize("name", reference())
def test_parameters_and_defaults_are_the_references(name: str) -> None:
    ours = list(inspect.signature(getattr(Jobs, name)).parameters.values())[1:]
    theirs = reference()[name]
    assert [parameter.name for parameter in ours] == [*theirs, *BEYOND.get(name, [])]
    for parameter in ours:
        if parameter.name not in BEYOND.get(name, []):
            default = None if parameter.default is inspect.Parameter.empty else repr(parameter.default)
            assert default == theirs[parameter.name], parameter.name


def test_the_example_that_mypy_checks_calls_every_method() -> None:
    example = (ROOT / "tests/support/typed_caller.py").read_text()
    methods = [name for name, _ in inspect.getmembers(Jobs, inspect.isfunction) if not name.startswith("_")]
    assert [name for name in methods if f"jobs.{name}(" not in example] == []
