"""Our trigger, with its connection in Airflow, as the triggerer runs it."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.polling.plan import CONN_ID, Address, instance_id

__all__ = ["make_trigger", "prepare"]


def make_trigger(n: int, poll_interval: float) -> Any:
    """Give the trigger that waits for a run."""
    from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger

    return SaagieJobInstanceTrigger(
        saagie_conn_id=CONN_ID,
        instance_id=instance_id(n),
        job_id=instance_id(1),
        project_id=instance_id(2),
        poll_interval=poll_interval,
        owned=True,
    )


def prepare(address: Address) -> Callable[[int, float], Awaitable[None]]:
    """Give the way to wait."""
    fields = {
        "conn_type": "saagie",
        "host": address.url,
        "login": "airflow",
        "password": "secret",
        "extra": {"realm": "acme", "platform_id": 1, "verify": address.authority},
    }
    os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(fields)
    import airflow_provider_saagie.triggers.saagie  # noqa: F401 - before anything is measured

    async def wait(n: int, poll_interval: float) -> None:
        async for event in make_trigger(n, poll_interval).run():
            if event.payload["status"] != "success":
                raise RuntimeError(event.payload["message"])

    return wait
