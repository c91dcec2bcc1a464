"""Databricks' trigger with its own hook: a session for each run, kept while it waits."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable

from benchmarks.polling.plan import CONN_ID, Address

__all__ = ["prepare"]


def prepare(address: Address) -> Callable[[int, float], Awaitable[None]]:
    """Give the way to wait."""
    os.environ["SSL_CERT_FILE"] = address.authority
    host, port = address.host.split(":")
    fields = {"conn_type": "databricks", "host": host, "port": int(port), "extra": {"token": "secret"}}
    os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(fields)
    from airflow.providers.databricks.triggers.databricks import DatabricksExecutionTrigger

    async def wait(n: int, poll_interval: float) -> None:
        trigger = DatabricksExecutionTrigger(
            run_id=n, databricks_conn_id=CONN_ID, polling_period_seconds=poll_interval, run_page_url="https://a.page"
        )
        async for event in trigger.run():
            if json.loads(event.payload["run_state"])["result_state"] != "SUCCESS":
                raise RuntimeError(event.payload["run_state"])

    return wait
