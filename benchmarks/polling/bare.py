"""The least that batched polling costs: one aiohttp session, the same text for 100 runs, json, nothing else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import aiohttp

from airflow_provider_saagie.client.documents import watch_text
from benchmarks.polling.plan import Address, instance_id

__all__ = ["prepare"]

BATCH = 100


def prepare(address: Address) -> Callable[[int, float], Awaitable[None]]:
    """Give the way to wait."""
    endpoint = f"{address.url}/projects/api/platform/1/graphql"
    tls = ssl.create_default_context(cafile=address.authority)
    waiting: dict[str, asyncio.Future[None]] = {}
    polling: list[asyncio.Task[None]] = []
    interval = 0.0

    async def poll() -> None:
        async with aiohttp.ClientSession(headers={"Authorization": "Bearer a-token"}) as session:
            loop = asyncio.get_running_loop()
            due = loop.time()
            while True:
                ids = list(waiting)
                for start in range(0, len(ids), BATCH):
                    batch = ids[start : start + BATCH]
                    body = {
                        "query": watch_text(len(batch)),
                        "operationName": "watchInstances",
                        "variables": {f"i{n}": one for n, one in enumerate(batch)},
                    }
                    async with session.post(endpoint, json=body, ssl=tls) as response:
                        rows = (await response.json())["data"]
                    for row in rows.values():
                        if row["history"]["currentStatus"]["status"] == "SUCCEEDED":
                            waiting.pop(row["id"]).set_result(None)
                due += interval
                await asyncio.sleep(due - loop.time())

    async def wait(n: int, poll_interval: float) -> None:
        nonlocal interval
        interval = poll_interval
        ended = waiting[instance_id(n)] = asyncio.get_running_loop().create_future()
        if not polling:
            polling.append(asyncio.create_task(poll()))
        await ended

    return wait
