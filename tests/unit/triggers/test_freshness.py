"""How soon ends are seen and what thousands of waiters cost; `benchmarks/` measures the same in real time."""

from __future__ import annotations

import asyncio
import random
import statistics
import tracemalloc
from typing import Any

import pytest
from aiohttp import web

from airflow_provider_saagie.triggers import watcher
from airflow_provider_saagie.triggers.waiter import Ended, StillOnItsWay
from tests.support.fake_saagie import FakeSaagie, instance, row
from tests.support.watcher_scenario import HOUR, Scenario, Waiting, cancel_all

MANY = [1_000, pytest.param(10_000, marks=pytest.mark.long)]
KIB = 1024


def number_from(instance_id: str) -> int:
    return int(instance_id.replace("-", ""), 16)


@pytest.mark.parametrize("many", MANY)
async def test_ends_are_seen_within_the_interval(scenario: Scenario, saagie: FakeSaagie, many: int) -> None:
    interval = 5.0
    chance = random.Random(8)
    ends = {number: chance.uniform(20, 50) for number in range(1, many // 5 + 1)}
    saagie.latency = 0.02
    saagie.get_instance = lambda id_, at: row(
        "SUCCEEDED" if ends.get(number_from(id_), HOUR) <= at else "RUNNING", age=HOUR
    )

    async def delay(number: int) -> float:
        assert isinstance(await scenario.wait(number, poll_interval=interval).verdict(), Ended)
        return saagie.now() - ends[number]

    await asyncio.sleep(0.37)
    others = scenario.wait_many(len(ends) + 1, many, poll_interval=interval)
    delays = await asyncio.gather(*(delay(number) for number in ends))
    await cancel_all(others)
    assert min(delays) >= 0
    assert statistics.median(delays) < interval / 2 + 0.2
    assert statistics.quantiles(delays, n=100)[98] < interval + 0.5


@pytest.mark.parametrize(("others", "latency"), [(1, 0.02), (4_000, 0.3)])
async def test_end_of_a_short_job_is_seen_in_two_seconds(
    scenario: Scenario, saagie: FakeSaagie, others: int, latency: float
) -> None:
    """Even if a round of all others takes three."""
    starts = {number: 10 + 1.7 * number for number in range(1, 13)}

    def get_instance(instance_id: str, at: float) -> dict[str, Any]:
        age = at - starts.get(number_from(instance_id), -HOUR)
        return row("SUCCEEDED" if 5 <= age < HOUR else "RUNNING", age=age)

    saagie.latency = latency
    saagie.get_instance = get_instance
    waiting = scenario.wait_many(100, 100 + others)

    async def delay(number: int) -> float:
        await asyncio.sleep(starts[number] - saagie.now())
        assert isinstance(await scenario.wait(number).verdict(), Ended)
        return saagie.now() - starts[number] - 5

    delays = await asyncio.gather(*(delay(number) for number in starts))
    await cancel_all(waiting)
    assert 0 <= min(delays) <= max(delays) < 2


async def test_overload_starves_no_waiter(scenario: Scenario, saagie: FakeSaagie) -> None:
    """Old instances have their turn though the young ones alone would fill the time."""
    saagie.latency = 1.0  # 400 polls a second
    saagie.get_instance = lambda id_, at: row("RUNNING", age=HOUR if number_from(id_) > 1_000 else at)
    waiting = scenario.wait_many(1, 2_000, poll_interval=5)
    await asyncio.sleep(60)
    last: dict[str, float] = {}
    gaps: list[float] = []
    for poll in saagie.polls:
        for id_ in poll.ids:
            gaps.append(poll.at - last.get(id_, 0.0))
            last[id_] = poll.at
    assert (len(last), max(gaps) < 12) == (2_000, True)
    await cancel_all(waiting)


@pytest.mark.parametrize(("others", "largest_batch"), [(4_000, 100), (400, 9)])
async def test_deadline_is_kept_during_a_long_round(
    scenario: Scenario, saagie: FakeSaagie, others: int, largest_batch: int
) -> None:
    saagie.latency = 1.0  # a round takes ten seconds and more
    saagie.intercept = lambda request: web.Response(status=413) if len(request.ids) > largest_batch else None
    waiting = scenario.wait_many(100, 99 + others)
    assert await scenario.wait(1, deadline=35).verdict() == StillOnItsWay(was_read=True)
    assert saagie.now() < 35 + watcher.LAST_LOOK
    await cancel_all(waiting)


async def test_logs_and_deadlines_cost_neither_tasks_nor_requests(scenario: Scenario, saagie: FakeSaagie) -> None:
    many = 1_000
    saagie.get_log = lambda _, at: [("STDOUT", "a line")] * int(at)

    async def count_polls(waiting: list[Waiting]) -> tuple[int, int]:
        """Return the requests of two minutes, for statuses and for logs."""
        await asyncio.sleep(20)
        # Two tasks of the watcher, those of the server, and Airflow's task for each trigger.
        assert len(asyncio.all_tasks()) - len(waiting) < 15
        saagie.requests.clear()
        await asyncio.sleep(120)
        streaming = {one.waiter.instance_id for one in waiting if one.waiter.stream_logs}
        assert {id_ for poll in saagie.log_polls for id_ in poll.ids} == streaming
        counts = len(saagie.polls), len(saagie.log_polls)
        await cancel_all(waiting)
        await asyncio.sleep(0.1)
        return counts

    plain, none = await count_polls(scenario.wait_many(1, many))
    assert (none, 115 <= plain <= 130) == (0, True)  # ten each ten seconds
    polls, log_polls = await count_polls(
        [scenario.wait(n, deadline=HOUR, stream_logs=n <= 60, log_limit=1_000_000) for n in range(1, many + 1)]
    )
    assert abs(polls - plain) <= 10
    assert log_polls <= 2 * 13  # fifty logs a request


@pytest.mark.parametrize("many", MANY)
async def test_waiter_takes_less_than_three_kib(scenario: Scenario, saagie: FakeSaagie, many: int) -> None:
    first = scenario.wait(10**6, poll_interval=600)
    await asyncio.sleep(5)
    ids = [instance(number) for number in range(1, many + 1)]  # the trigger has them anyway
    saagie.requests.clear()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tasks = [
            asyncio.create_task(
                watcher.wait(
                    scenario.conn_id,
                    watcher.Waiter(instance_id=id_, log=first.log, poll_interval=600, stream_logs=True),
                    deadline=2e9,
                )
            )
            for id_ in ids
        ]
        await asyncio.sleep(10)
        assert sum(len(poll.ids) for poll in saagie.polls) >= many
        saagie.requests.clear()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = (after - before) / many  # with its task, which Airflow needs anyway
    print(f"{many} waiters: {size / KIB:.2f} KiB each")  # noqa: T201 - docs/operations.md quotes it
    assert size < 3 * KIB
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await first.leave()
