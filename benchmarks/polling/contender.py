"""A process that waits for many runs in one way, and says what that cost.

Run as ``python -m benchmarks.polling.contender NAME URL AUTHORITY``: it prints a line when it is ready, is told a plan
on its stdin, and prints what it measured as JSON. Any environment's Python will do that has what the way needs.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from benchmarks.polling.plan import Address, Plan

__all__ = ["READY"]

READY = "ready"
TICK = 0.01
Wait = Callable[[int, float], Awaitable[None] | None]
"""Waits for a run, by its number, with an interval in seconds; as a coroutine, or in a thread of its own."""


def resident() -> int:
    """Give the bytes of memory that this process holds (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def waited(wait: Wait, n: int, poll_interval: float) -> None:
    """Wait for a run, in the way's own manner."""
    if inspect.iscoroutinefunction(wait):
        await wait(n, poll_interval)
        return
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def work() -> None:
        try:
            wait(n, poll_interval)
        except Exception as error:  # noqa: BLE001 - whoever awaits it is told
            loop.call_soon_threadsafe(done.set_exception, error)
        else:
            loop.call_soon_threadsafe(done.set_result, None)

    threading.Thread(target=work, daemon=True).start()
    await done


class Measurement:
    """What is measured while a plan is carried out."""

    def __init__(self, plan: Plan, wait: Wait) -> None:
        self.plan = plan
        self.wait = wait
        self.events: dict[int, float] = {}
        self.errors: list[str] = []
        self.lags: list[float] = []
        self.cpu = 0.0
        self.memory = 0

    async def run(self) -> dict[str, Any]:
        """Carry it out."""
        gc.collect()
        before = resident()
        sampling = threading.Thread(target=self._sample, daemon=True)
        sampling.start()  # a thread, so that a loop that stands still does not move the time that is measured
        waiting: list[asyncio.Task[None]] = []
        for n in range(self.plan.count):
            if (late := self.plan.start_of(n) - time.monotonic()) > 0:
                await asyncio.sleep(late)
            waiting.append(asyncio.create_task(self._one(n)))
        await asyncio.sleep(self.plan.cpu_until - time.monotonic())
        while time.monotonic() < self.plan.give_up and len(self.events) < len(self.plan.ends):
            began = time.monotonic()
            await asyncio.sleep(TICK)
            self.lags.append(time.monotonic() - began - TICK)
        sampling.join()
        return {
            "cpu": self.cpu,
            "bytes_a_run": (self.memory - before) / self.plan.count,
            "lags": sorted(self.lags),
            "events": self.events,
            "errors": self.errors[:5],
            "failed": len(self.errors),
        }

    async def _one(self, n: int) -> None:
        try:
            await waited(self.wait, n, self.plan.poll_interval)
        except Exception as error:  # noqa: BLE001 - a run that was given up is a figure, too
            self.errors.append(f"{type(error).__name__}: {error}"[:200])
        else:
            self.events[n] = time.monotonic()

    def _sample(self) -> None:
        time.sleep(max(0.0, self.plan.cpu_from - time.monotonic()))
        self.memory, busy = resident(), time.process_time()
        time.sleep(max(0.0, self.plan.cpu_until - time.monotonic()))
        self.cpu = time.process_time() - busy


def be_quiet() -> None:
    """Log nothing below a warning: the line for each look that most providers write is not compared."""
    logging.disable(logging.INFO)
    try:
        import structlog
    except ImportError:
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def main() -> None:
    """Wait and measure."""
    name, url, authority = sys.argv[1:]
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints
    be_quiet()
    wait = import_module(f"benchmarks.polling.{name}").prepare(Address(url, authority))
    asyncio.run(wait_and_measure(wait, answers))


async def wait_and_measure(wait: Wait, answers: TextIO) -> None:
    """Wait once, for a run that is over, so that all is loaded; then carry out the plan."""
    await waited(wait, 0, 1)
    be_quiet()  # once more: Airflow sets up logs of its own
    print(READY, file=answers, flush=True)
    plan = Plan.from_text(await asyncio.to_thread(sys.stdin.readline))
    result = await Measurement(plan, wait).run()
    print(json.dumps(result), file=answers, flush=True)
    os._exit(0)  # thousands still wait, and would take their time to be cancelled


if __name__ == "__main__":
    main()
