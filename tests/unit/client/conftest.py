"""Fixtures: both transports, and a server with scripted answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_saagie.client.async_session import AsyncSession
from airflow_provider_saagie.client.calls import Steps
from airflow_provider_saagie.client.session import Session
from airflow_provider_saagie.client.settings import Settings
from tests.support.clients import settings_for  # noqa: F401 - tests/integration/airflow/conftest.py gets it from here
from tests.support.raw_server import RawServer, raw_server

Transport = Callable[..., list[Any]]


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


TRANSPORTS: dict[str, Transport] = {"requests": run_sync, "aiohttp": run_async}


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
