"""A pytest plugin: a local Saagie for tests of DAGs. Unused, it costs nothing: all else is imported by its fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_saagie.emulator.testing import Emulator

# What the ini-file may set: what it means, its type for pytest, and what holds where it is not set.
SETTINGS: dict[str, tuple[str, Literal["linelist", "args"], list[str]]] = {
    "saagie_projects": ("projects that a test finds in the local Saagie, empty", "linelist", ["Demo"]),
    "saagie_connections": ("ids of Airflow connections that lead to the local Saagie", "linelist", ["saagie_default"]),
    "saagie_emulator_options": ("more options of saagie-emulator", "args", []),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare what the ini-file may set.

    :param parser: pytest's.
    """
    for name, (meaning, kind, default) in SETTINGS.items():
        parser.addini(name, meaning, type=kind, default=default)


@pytest.fixture(scope="session")
def _saagie_emulator_process(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Emulator]:
    from airflow_provider_saagie.emulator import testing

    options = request.config.getini("saagie_emulator_options")
    emulator = testing.start(tmp_path_factory.mktemp("saagie"), options)
    yield emulator
    emulator.stop()


@pytest.fixture
def saagie_emulator(request: pytest.FixtureRequest, _saagie_emulator_process: Emulator) -> Iterator[Emulator]:
    """Give a test a local Saagie with empty projects; the process is one for the session."""
    emulator = _saagie_emulator_process
    emulator.begin(request.config.getini("saagie_projects"))
    yield emulator
    emulator.begin(())


@pytest.fixture
def saagie_connection(
    request: pytest.FixtureRequest, saagie_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Let Airflow's connection lead to the local Saagie for a test; its value is the connection's id."""
    ids: list[str] = request.config.getini("saagie_connections")
    if not ids:
        raise pytest.UsageError("The setting saagie_connections names no connection")
    for one in ids:
        monkeypatch.setenv(f"AIRFLOW_CONN_{one.upper()}", saagie_emulator.connection())
    return ids[0]
