"""What one waiter takes in the watcher, beside the trigger object that Airflow makes: every allocation is traced.

Run as ``python -m benchmarks.polling.memory URL AUTHORITY`` against a server that has a plan. Its last line is JSON:
the bytes of the trigger object, of what the watcher's modules and what they call hold, and of all, with its task.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tracemalloc

from benchmarks.polling import ours
from benchmarks.polling.contender import be_quiet
from benchmarks.polling.plan import Address, between_ticks

__all__ = ["WAITERS"]

WAITERS = 1_000
FRAMES = 10
LOOKS = 3.0
"""Seconds in which each has been looked at once, and its record is kept."""
POLL_INTERVAL = 5.0
MODULES = ("watcher", "poller", "waiter", "schedule", "rounds")
OF_THE_WATCHER = [
    *(tracemalloc.Filter(True, f"*/airflow_provider_saagie/triggers/{name}.py", all_frames=True) for name in MODULES),
    tracemalloc.Filter(False, "*/asyncio/sslproto.py", all_frames=True),  # the connections' buffers, however many wait
]


async def run(trigger: object) -> None:
    """Run a trigger as the triggerer does."""
    async for _ in trigger.run():  # type: ignore[attr-defined]  # Airflow's
        pass


async def weigh(address: Address) -> None:
    """Make triggers, start them, and print what both took, in bytes for each."""
    ours.prepare(address)
    first = asyncio.create_task(run(ours.make_trigger(WAITERS, POLL_INTERVAL)))
    await asyncio.sleep(LOOKS)  # all is loaded, and the one connection is open
    tracemalloc.start(FRAMES)
    base = traced()
    triggers = [ours.make_trigger(n, POLL_INTERVAL) for n in range(WAITERS)]
    made = traced()
    tasks = [asyncio.create_task(run(trigger)) for trigger in triggers]
    loop = asyncio.get_running_loop()
    await asyncio.sleep(between_ticks(loop.time() + LOOKS) - loop.time())  # no answer is being read then
    gc.collect()
    waiting = tracemalloc.take_snapshot()
    everything = (traced() - base) / WAITERS
    watcher = sum(one.size for one in waiting.filter_traces(OF_THE_WATCHER).traces) / WAITERS
    print(json.dumps({"trigger": (made - base) / WAITERS, "watcher": watcher, "everything": everything}), flush=True)
    os._exit(0 if tasks and first else 1)  # they still wait


def traced() -> int:
    """Give the bytes that are traced and in use."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


if __name__ == "__main__":
    be_quiet()
    asyncio.run(weigh(Address(*sys.argv[1:])))
