"""How soon an end is seen, and what thousands of waiters cost, in a loop where only waiting takes time.

So the figures are the schedule's own, the same on any machine; what the work costs in real time is measured in
benchmarks/.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.triggers import watcher
from airflow_provider_saagie.triggers.waiter import Ended, StillOnItsWay
from tests.support.fake_saagie import instance, row
from tests.support.virtual_time import TimelessLoop
from tests.support.watcher_scenario import HOUR, Scene, Waiting, all_leave

if TYPE_CHECKING:
    from collections.abc import Callable

MANY = [1_000, pytest.param(10_000, marks=pytest.mark.long)]
KIB = 1024


def number_of(instance_id: str) -> int:
    return int(instance_id.replace("-", ""), 16)


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("many", MANY)
def test_an_end_is_told_within_the_interval_also_where_many_wait(play: Callable[..., None], many: int) -> None:
    interval, told = 5.0, many // 5
    chance = random.Random(8)
    ends = {number: chance.uniform(20, 50) for number in range(1, told + 1)}

    async def scene(s: Scene) -> None:
        s.saagie.latency = 0.02
        s.saagie.tell = lambda id_, at: row(
            "SUCCEEDED" if ends.get(number_of(id_), HOUR) <= at else "RUNNING", age=HOUR
        )
        delays: list[float] = []

        async def hears(number: int) -> None:
            one = s.wait_for(number, poll_interval=interval)
            assert isinstance(await one.verdict(), Ended)
            delays.append(s.saagie.now() - ends[number])

        await asyncio.sleep(0.37)
        others = [s.wait_for(number, poll_interval=interval) for number in range(told + 1, many + 1)]
        await asyncio.gather(*(hears(number) for number in ends))
        await all_leave(others)
        assert min(delays) >= 0
        assert statistics.median(delays) < interval / 2 + 0.2
        assert statistics.quantiles(delays, n=100)[98] < interval + 0.5

    play(scene, debug=False, loop=TimelessLoop)


@pytest.mark.parametrize(("many", "latency"), [(0, 0.02), (4_000, 0.3)])
def test_a_short_job_is_seen_to_end_within_two_seconds(play: Callable[..., None], many: int, latency: float) -> None:
    """Also where a round of all others takes three."""
    starts = {number: 10 + 1.7 * number for number in range(1, 13)}

    def tell(instance_id: str, at: float) -> dict[str, Any]:
        age = at - starts.get(number_of(instance_id), -HOUR)
        return row("SUCCEEDED" if 5 <= age < HOUR else "RUNNING", age=age)

    async def scene(s: Scene) -> None:
        s.saagie.latency = latency
        s.saagie.tell = tell
        others = [s.wait_for(100 + number) for number in range(many)]
        delays: list[float] = []

        async def hears(number: int) -> None:
            await asyncio.sleep(starts[number] - s.saagie.now())
            assert isinstance(await s.wait_for(number).verdict(), Ended)
            delays.append(s.saagie.now() - starts[number] - 5)

        await asyncio.gather(*(hears(number) for number in starts))
        if others:
            await all_leave(others)
        assert 0 <= min(delays) <= max(delays) < 2

    play(scene, debug=False, loop=TimelessLoop)


def test_where_there_is_more_to_ask_than_time_nobody_is_forgotten(play: Callable[..., None]) -> None:
    """Old waiters get their turn though young ones alone would fill the time."""

    async def scene(s: Scene) -> None:
        s.saagie.latency = 1.0  # 400 looks a second
        s.saagie.tell = lambda id_, at: row("RUNNING", age=HOUR if number_of(id_) > 1_000 else at)
        waiting = [s.wait_for(number, poll_interval=5) for number in range(1, 2_001)]
        await asyncio.sleep(60)
        last: dict[str, float] = {}
        gaps: list[float] = []
        for asked in s.saagie.looks:
            for one in asked.ids:
                gaps.append(asked.at - last.get(one, 0.0))
                last[one] = asked.at
        assert len(last) == 2_000
        assert max(gaps) < 12
        await all_leave(waiting)

    play(scene, debug=False, loop=TimelessLoop)


def test_a_deadline_does_not_wait_for_the_end_of_a_long_round(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.latency = 1.0  # a round takes ten seconds
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        others = [s.wait_for(100 + number) for number in range(4_000)]
        one = s.wait_for(1, deadline=35)
        assert await one.verdict() == StillOnItsWay(was_read=True)
        assert s.saagie.now() < 35 + watcher.LAST_LOOK
        await all_leave(others)

    play(scene, debug=False, loop=TimelessLoop)


def test_logs_and_deadlines_of_many_take_no_task_and_no_request_of_their_own(play: Callable[..., None]) -> None:
    streaming, many = 60, 1_000

    async def requests(s: Scene, *, waiting: list[Waiting]) -> tuple[int, int]:
        """Count the requests of two minutes, about statuses and about logs."""
        await asyncio.sleep(20)
        # Two tasks of the watcher, those of the server, and Airflow's own one per trigger.
        assert len(asyncio.all_tasks()) - len(waiting) < 15
        s.saagie.asked.clear()
        await asyncio.sleep(120)
        looks = len(s.saagie.looks)
        logs = [asked for asked in s.saagie.asked if asked.operation == "watchLogs"]
        assert {one for asked in logs for one in asked.ids} == {
            one.waiter.instance_id for one in waiting if one.waiter.stream_logs
        }
        await all_leave(waiting)
        await asyncio.sleep(0.1)
        return looks, len(logs)

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        s.saagie.log_of = lambda _, at: [("STDOUT", "a line")] * int(at)
        plain, none = await requests(s, waiting=[s.wait_for(n) for n in range(1, many + 1)])
        assert (none, 115 <= plain <= 130) == (0, True)  # ten each ten seconds
        dressed = [
            s.wait_for(n, deadline=HOUR, stream_logs=n <= streaming, log_limit=1_000_000) for n in range(1, many + 1)
        ]
        looks, logs = await requests(s, waiting=dressed)
        assert abs(looks - plain) <= 10
        assert logs <= 2 * 13  # fifty logs a request

    play(scene, debug=False, loop=TimelessLoop)


@pytest.mark.parametrize("many", MANY)
def test_a_waiter_takes_less_than_three_kib(play: Callable[..., None], many: int) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        first = s.wait_for(10**6, poll_interval=600)
        await asyncio.sleep(5)
        ids = [instance(number) for number in range(1, many + 1)]  # as the trigger has them
        s.saagie.asked.clear()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            ours = [
                asyncio.create_task(
                    watcher.wait(
                        s.conn_id,
                        watcher.Waiter(instance_id=one, log=first.log, poll_interval=600, stream_logs=True),
                        deadline=2e9,
                    )
                )
                for one in ids
            ]
            await asyncio.sleep(10)
            assert sum(len(asked.ids) for asked in s.saagie.looks) >= many
            s.saagie.asked.clear()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        each = (after - before) / many  # with its task, which Airflow needs anyway
        print(f"{many} that wait: {each / KIB:.2f} KiB each")  # noqa: T201 - docs/operations.md quotes it
        assert each < 3 * KIB
        for task in ours:
            task.cancel()
        await asyncio.wait(set(ours))
        await first.leave()

    play(scene, debug=False, loop=TimelessLoop)
