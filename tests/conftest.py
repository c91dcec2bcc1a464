"""Fixtures for all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import airflow_home
from tests.support.emulator_process import EmulatorProcess, start_emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


AIRFLOW_HOME = airflow_home.settle()
pytest_plugins = ("tests.support.xdist_scheduler", "tests.support.airflow_stack")


@pytest.fixture(scope="session")
def _shared_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    emulator = start_emulator(tmp_path_factory.mktemp("emulator") / "data")
    yield emulator
    emulator.stop()


@pytest.fixture
def emulator(_shared_emulator: EmulatorProcess) -> Iterator[EmulatorProcess]:
    """One emulator for the whole run; each test finds and leaves it without faults."""
    _shared_emulator.clear_faults()
    yield _shared_emulator
    if _shared_emulator.process.poll() is None:
        _shared_emulator.clear_faults()


@pytest.fixture
def fresh_emulator(tmp_path: object) -> Iterator[Callable[..., EmulatorProcess]]:
    """A function that starts an emulator of the test's own, with more arguments of its command line."""
    started: list[EmulatorProcess] = []

    def start(*arguments: str, data: str = "data", port: int = 0) -> EmulatorProcess:
        emulator = start_emulator(tmp_path / data, *arguments, port=port)  # type: ignore[operator]
        started.append(emulator)
        return emulator

    yield start
    for emulator in started:
        emulator.stop()
