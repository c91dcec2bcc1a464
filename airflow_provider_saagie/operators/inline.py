"""Runs a trigger in the worker, so that both ways of waiting share one code: the watcher's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

__all__ = ["run_inline"]


def run_inline(trigger: BaseTrigger) -> dict[str, Any]:
    """Run a trigger to its event, in this thread.

    :param trigger: the trigger.
    :return: the event's payload.
    """

    async def first_event() -> dict[str, Any]:
        async for event in trigger.run():
            payload: dict[str, Any] = event.payload
            return payload
        raise RuntimeError(f"{type(trigger).__name__} ended without an event")

    return asyncio.run(first_event())
