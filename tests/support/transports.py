"""Both transports, behind one function each: it runs operations in one session that never waits between attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.client.async_session import AsyncSession
from airflow_provider_saagie.client.session import Session

if TYPE_CHECKING:
    from airflow_provider_saagie.client.calls import Steps
    from airflow_provider_saagie.client.settings import Settings

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
