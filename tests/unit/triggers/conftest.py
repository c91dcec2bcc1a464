"""Fixtures for tests of the watcher."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from airflow_provider_saagie.client import documents
from airflow_provider_saagie.triggers import saagie
from tests.unit.triggers.scene import perform

if TYPE_CHECKING:
    from collections.abc import Callable


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
