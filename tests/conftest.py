"""Fixtures for all tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_saagie.emulator import testing
from airflow_provider_saagie.emulator.testing import Emulator
from tests.support import airflow_home
from tests.support.held_jobs import Hold

AIRFLOW_HOME = airflow_home.settle()
pytest_plugins = ("tests.support.xdist_scheduler", "tests.support.airflow_stack")


@pytest.fixture(autouse=True)
def _small_secrets_masker() -> None:
    """Empty Airflow's secrets masker, which each login's token makes larger and slower for the rest of the process."""
    if masker := sys.modules.get("airflow.sdk._shared.secrets_masker"):
        masker.reset_secrets_masker()


@pytest.fixture
def emulator(saagie_emulator: Emulator) -> Emulator:
    """The emulator of the shipped plugin: one process for the session; each test finds an empty project `Demo`."""
    return saagie_emulator


@pytest.fixture
def start_emulator(tmp_path: Path) -> Iterator[Callable[..., Emulator]]:
    """A function that starts an emulator of the test's own, with more options of `saagie-emulator`.

    A second start with the same name continues with the first one's data.
    """
    started: list[Emulator] = []

    def start(*options: str, name: str = "emulator") -> Emulator:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        started.append(testing.start(folder, options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Hold]:
    """Holds jobs of the emulator until the test, or its end, releases them."""
    held = Hold(tmp_path / "released")
    yield held
    held.release()
