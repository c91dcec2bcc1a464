"""Fixtures: both transports, a server with scripted answers, and an emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.clients import settings_for
from tests.support.raw_server import RawServer, raw_server
from tests.support.transports import TRANSPORTS, Transport

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_saagie.client.settings import Settings
    from airflow_provider_saagie.emulator.testing import Emulator

Run = Callable[..., Any]


@pytest.fixture(params=list(TRANSPORTS))
def transport(request: pytest.FixtureRequest) -> Transport:
    """A function that runs operations in one session, waiting for nothing between attempts."""
    return TRANSPORTS[request.param]


@pytest.fixture(scope="session")
def _raw_server() -> Iterator[RawServer]:
    with raw_server() as server:
        yield server


@pytest.fixture
def server(_raw_server: RawServer) -> RawServer:
    """A server whose answers the test scripts; it starts as a healthy platform."""
    _raw_server.reset()
    return _raw_server


@pytest.fixture
def run(transport: Transport, settings: Settings) -> Run:
    """A function that runs one operation against the emulator."""
    return lambda steps: transport(settings, steps)[0]


@pytest.fixture
def settings(emulator: Emulator) -> Settings:
    """The emulator's settings."""
    return settings_for(emulator)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A job's file, quick to run."""
    path = tmp_path / "job.py"
    path.write_text("import sys\nprint('out')\nprint('err', file=sys.stderr)\n")
    return path
