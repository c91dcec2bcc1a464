"""Airbyte's trigger with its own hook, whose client sends while the event loop stands still.

The connection has no client id, as where Airbyte asks for no login: no request is spent on tokens then.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable

from benchmarks.polling.plan import CONN_ID, Address

__all__ = ["prepare"]

A_WEEK = 7 * 24 * 3600


def prepare(address: Address) -> Callable[[int, float], Awaitable[None]]:
    """Give the way to wait."""
    os.environ["SSL_CERT_FILE"] = address.authority
    os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps({"conn_type": "airbyte", "host": address.url})
    from airflow.providers.airbyte.triggers.airbyte import AirbyteSyncTrigger

    async def wait(n: int, poll_interval: float) -> None:
        trigger = AirbyteSyncTrigger(
            job_id=n, conn_id=CONN_ID, end_time=time.time() + A_WEEK, poll_interval=poll_interval
        )
        async for event in trigger.run():
            if event.payload["status"] != "success":
                raise RuntimeError(event.payload["message"])

    return wait
