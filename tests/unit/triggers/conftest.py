"""Fixtures for tests of the watcher."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from airflow_provider_saagie.client import documents
from airflow_provider_saagie.triggers import saagie
from tests.support.watcher_scenario import perform

if TYPE_CHECKING:
    from collections.abc import Callable

# These import what Airflow has from 3.3 on; only `make test-bounds` runs the others on an older one.
SINCE_3_3 = ["test_job_event.py", "test_metrics.py", "test_serialized_forms.py"]
collect_ignore = SINCE_3_3 if Version(version("apache-airflow-core")) < Version("3.3") else []


@pytest.fixture(scope="session")
def loaded() -> None:
    """Load what the first round needs: on a busy machine that takes seconds, and a test's times would be wrong."""
    saagie._load()
    documents.watch_text(1)
    documents.watch_logs_text(1)


@pytest.fixture
def play(loaded: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that runs a scene; at its end the watcher has to be gone, its session closed."""
    return partial(perform, monkeypatch=monkeypatch)
