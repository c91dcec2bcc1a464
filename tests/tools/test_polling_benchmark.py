"""The polling benchmark's own measuring: small, over real https, in processes of their own."""

from __future__ import annotations

import asyncio
import time

import pytest

from benchmarks.polling.contender import waited
from benchmarks.polling.measure import CONTENDERS, measure
from benchmarks.polling.plan import Plan

RUNS, INTERVAL = 120, 1.0


def small_plan() -> Plan:
    began = time.monotonic() + 0.2
    cpu_from, cpu_until = began + 2.5, began + 4.5
    ends = {n: cpu_until + 0.1 * n for n in range(8)}
    return Plan(RUNS, INTERVAL, began, 0.5, cpu_from, cpu_until, cpu_until + 30, ends)


def test_measurement_counts_each_request_and_end() -> None:
    for name in ("ours", "bare"):
        found = measure(CONTENDERS[name], small_plan)
        assert (found.missed, found.failed, found.connections) == (0, 0, 0), name
        assert min(found.delay_p50_ms, found.cpu_ms) > 0, name
        assert 1 < found.requests < RUNS / 10, name


@pytest.mark.asyncio
async def test_failed_wait_in_thread_is_raised() -> None:
    def fails(n: int, poll_interval: float) -> None:
        raise RuntimeError(f"{n} is lost")

    with pytest.raises(RuntimeError, match="7 is lost"):
        await asyncio.wait_for(waited(fails, 7, 1.0), 120)
