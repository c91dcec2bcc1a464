"""Both transports, behind one function: each test that takes `run` runs over requests and over aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client.async_session import AsyncSession
from airflow_provider_saagie.client.session import Session
from tests.support.clients import settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_saagie.client.calls import Steps
    from airflow_provider_saagie.client.settings import Settings
    from airflow_provider_saagie.emulator.testing import Emulator

Run = Callable[..., Any]


async def _no_wait(_: float) -> None:
    await asyncio.sleep(0)


def run_sync(settings: Settings, *several: Steps[Any]) -> list[Any]:
    with Session(settings, sleep=lambda _: None) as session:
        return [session.run(steps) for steps in several]


def run_async(settings: Settings, *several: Steps[Any]) -> list[Any]:
    async def main() -> list[Any]:
        async with AsyncSession(settings, sleep=_no_wait) as session:
            return [await session.run(steps) for steps in several]

    return asyncio.run(main())


TRANSPORTS = {"requests": run_sync, "aiohttp": run_async}


@pytest.fixture(params=list(TRANSPORTS))
def transport(request: pytest.FixtureRequest) -> Callable[..., list[Any]]:
    """A function that runs steps in one session, waiting for nothing between tries."""
    return TRANSPORTS[request.param]


@pytest.fixture
def run(transport: Callable[..., list[Any]], settings: Settings) -> Run:
    """A function that runs one client method against the emulator."""
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
