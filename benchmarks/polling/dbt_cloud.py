"""dbt Cloud's trigger with its own hook: each look on a new session, and so on a new TLS connection."""

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
    fields = {"conn_type": "dbt_cloud", "host": address.host, "login": "1", "password": "secret"}
    os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(fields)
    from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger

    async def wait(n: int, poll_interval: float) -> None:
        trigger = DbtCloudRunJobTrigger(
            conn_id=CONN_ID, run_id=n, end_time=time.time() + A_WEEK, poll_interval=poll_interval, account_id=1
        )
        async for event in trigger.run():
            if event.payload["status"] != "success":
                raise RuntimeError(event.payload["message"])

    return wait
