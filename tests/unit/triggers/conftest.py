"""Fixtures for tests of the watcher: an ``async def`` test with a scenario runs in virtual time."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from inspect import iscoroutinefunction, signature

import pytest
from packaging.version import Version

from tests.support.fake_saagie import FakeSaagie
from tests.support.watcher_scenario import Scenario

# These import what Airflow has from 3.3 on; only `make test-bounds` runs the others on an older one.
SINCE_3_3 = ["test_job_event.py", "test_ledger.py", "test_metrics.py", "test_serialized_forms.py"]
collect_ignore = SINCE_3_3 if Version(version("apache-airflow-core")) < Version("3.3") else []


@pytest.fixture
def scenario(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Scenario:
    """A fake Saagie and a connection to it; a parameter is the loop's first time."""
    return Scenario(monkeypatch, start=getattr(request, "param", 0.0))


@pytest.fixture
def saagie(scenario: Scenario) -> FakeSaagie:
    """The scenario's server."""
    return scenario.saagie


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    scenario = next((value for value in pyfuncitem.funcargs.values() if isinstance(value, Scenario)), None)
    if not scenario or not iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in signature(pyfuncitem.obj).parameters}
    scenario.run(partial(pyfuncitem.obj, **arguments))
    return True
