"""How soon ends are seen, what thousands of waiters cost, and that nothing blocks the event loop of all triggers.

`benchmarks/` measures the same in real time.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import threading
import tracemalloc
from typing import Any

import pytest
from aiohttp import web

from airflow_provider_saagie import job_log
from airflow_provider_saagie.client import async_session, tls
from airflow_provider_saagie.client.logs import LogLine
from airflow_provider_saagie.triggers import watcher
from airflow_provider_saagie.triggers.outage import AT_A_TIME
from airflow_provider_saagie.triggers.poller import ENDS_AT_A_TIME
from airflow_provider_saagie.triggers.waiter import StillOnItsWay, Waiter
from tests.support.fake_saagie import FakeSaagie, ItemError, ends_at, fails, instance, row
from tests.support.recording_logger import BlockedLogger, RecordingLogger
from tests.support.watcher_scenario import HOUR, Scenario, Waiting, all_end, cancel_all

MANY = [1_000, pytest.param(10_000, marks=pytest.mark.long)]


@pytest.mark.parametrize("many", MANY)
async def test_ends_are_seen_within_the_interval(scenario: Scenario, saagie: FakeSaagie, many: int) -> None:
    chance = random.Random(8)
    ends = {instance(number): chance.uniform(20, 50) for number in range(1, many // 5 + 1)}
    saagie.latency = 0.02
    saagie.get_instance = lambda id_, at: row("SUCCEEDED" if ends.get(id_, HOUR) <= at else "RUNNING", age=HOUR)

    async def delay(one: Waiting) -> float:
        assert await one.status() == "SUCCEEDED"
        return saagie.now() - ends[one.waiter.instance_id]

    await asyncio.sleep(0.37)
    waiting = scenario.wait_many(1, many, poll_interval=5)
    delays = await asyncio.gather(*(delay(one) for one in waiting[: len(ends)]))
    await cancel_all(waiting[len(ends) :])
    assert min(delays) >= 0
    assert statistics.median(delays) < 5 / 2 + 0.2
    assert statistics.quantiles(delays, n=100)[98] < 5 + 0.5


async def test_end_of_a_short_job_is_seen_in_two_seconds(scenario: Scenario, saagie: FakeSaagie) -> None:
    """Though a round of all others takes three."""
    starts = {instance(number): 10 + 1.7 * number for number in range(1, 13)}

    def get_instance(id_: str, at: float) -> dict[str, Any]:
        age = at - starts.get(id_, -HOUR)
        return row("SUCCEEDED" if 5 <= age < HOUR else "RUNNING", age=age)

    saagie.latency = 0.3
    saagie.get_instance = get_instance
    others = scenario.wait_many(100, 4_100)

    async def delay(number: int, start: float) -> float:
        await asyncio.sleep(start - saagie.now())
        assert await scenario.wait(number).status() == "SUCCEEDED"
        return saagie.now() - start - 5

    delays = await asyncio.gather(*(delay(number, start) for number, start in enumerate(starts.values(), start=1)))
    await cancel_all(others)
    assert 0 <= min(delays) <= max(delays) < 2


async def test_overload_starves_no_waiter(scenario: Scenario, saagie: FakeSaagie) -> None:
    """Old instances have their turn though the young ones alone would fill the time."""
    saagie.latency = 1.0  # 400 polls a second
    saagie.get_instance = lambda id_, at: row("RUNNING", age=HOUR if id_ > instance(1_000) else at)
    waiting = scenario.wait_many(1, 2_000, poll_interval=5)
    await asyncio.sleep(60)
    last = {one.waiter.instance_id: 0.0 for one in waiting}
    for poll in saagie.polls:
        for id_ in poll.ids:
            assert poll.at - last[id_] < 12
            last[id_] = poll.at
    assert min(last.values()) > 48
    await cancel_all(waiting)


@pytest.mark.parametrize(("others", "largest"), [(4_000, 100), (400, 9)])
async def test_deadline_is_kept_in_a_long_round(
    scenario: Scenario, saagie: FakeSaagie, others: int, largest: int
) -> None:
    saagie.latency = 1.0  # a round takes ten seconds and more
    saagie.intercept = lambda request: web.Response(status=413) if len(request.ids) > largest else None
    waiting = scenario.wait_many(100, 99 + others)
    assert await scenario.wait(1, deadline=35).verdict() == StillOnItsWay(was_read=True)
    assert saagie.now() < 35 + watcher.LAST_LOOK
    await cancel_all(waiting)


async def test_logs_and_deadlines_cost_neither_tasks_nor_requests(scenario: Scenario, saagie: FakeSaagie) -> None:
    saagie.get_log = lambda _, at: [("STDOUT", "a line")] * int(at)
    counts = []
    for more in ({}, {"deadline": HOUR, "log_limit": 1_000_000}):
        waiting = [scenario.wait(n, stream_logs=bool(more) and n <= 60, **more) for n in range(1, 1_001)]
        await asyncio.sleep(20)
        # Two tasks of the watcher, those of the server, and Airflow's task for each trigger.
        assert len(asyncio.all_tasks()) - len(waiting) < 15
        saagie.requests.clear()
        await asyncio.sleep(120)
        assert {id_ for poll in saagie.log_polls for id_ in poll.ids} == {instance(n + 1) for n in range(60) if more}
        counts += [len(saagie.polls), len(saagie.log_polls)]
        await cancel_all(waiting)
        await asyncio.sleep(0.1)
    plain, none, polls, log_polls = counts
    assert (none, 115 <= plain <= 130) == (0, True)  # ten each ten seconds
    assert abs(polls - plain) <= 10
    assert log_polls <= 2 * 13  # fifty logs a request


@pytest.mark.parametrize("many", MANY)
async def test_waiter_takes_less_than_three_kib(scenario: Scenario, saagie: FakeSaagie, many: int) -> None:
    first = scenario.wait(10**6, poll_interval=600)
    await asyncio.sleep(5)
    ids = [instance(number) for number in range(1, many + 1)]  # the trigger has them anyway
    saagie.requests.clear()

    def start(id_: str) -> asyncio.Task[Any]:
        waiter = Waiter(instance_id=id_, log=first.log, poll_interval=600, stream_logs=True)
        return asyncio.create_task(watcher.wait(scenario.conn_id, waiter, deadline=2e9))

    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tasks = [start(id_) for id_ in ids]
        await asyncio.sleep(10)
        assert sum(len(poll.ids) for poll in saagie.polls) >= many
        saagie.requests.clear()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = (after - before) / many / 1024  # with its task, which Airflow needs anyway
    print(f"{many} waiters: {size:.2f} KiB each")  # noqa: T201 - docs/operations.md quotes it
    assert size < 3
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await first.leave()


# What could block the loop of all triggers


class TurnCounter:
    """Counts calls in each turn of the event loop."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.turns = 0

    def __call__(self, *_: object) -> None:
        if len(self.counts) == self.turns:
            self.counts.append(0)
            asyncio.get_running_loop().call_soon(self.end_turn)
        self.counts[-1] += 1

    def end_turn(self) -> None:
        self.turns += 1


async def test_ends_and_failures_are_spread_over_turns(scenario: Scenario, saagie: FakeSaagie) -> None:
    """Airflow does much with each event: four responses with a hundred ends each would block its loop."""
    for is_refused, at_most in ((False, ENDS_AT_A_TIME), (True, AT_A_TIME)):
        if is_refused:
            saagie.change_password()
        saagie.get_instance = ends_at(0)
        turns = TurnCounter()
        waiting = scenario.wait_many(1, 400)
        for one in waiting:
            one.waiter.verdict.add_done_callback(turns)
        assert await all_end(waiting) != is_refused
        assert (sum(turns.counts), max(turns.counts)) == (400, at_most)


async def test_log_pages_are_spread_over_turns(
    scenario: Scenario, saagie: FakeSaagie, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, formatted = TurnCounter(), job_log.formatted

    def spy(line: LogLine) -> str:
        turns()
        return formatted(line)

    monkeypatch.setattr(job_log, "formatted", spy)
    saagie.get_log = lambda *_: [("STDOUT", f"line {n}") for n in range(20)]
    waiting = scenario.wait_many(1, 20, stream_logs=True)
    await asyncio.sleep(5)
    assert turns.counts == [20] * 20
    await cancel_all(waiting)


async def test_threads_write_lines_and_read_the_ca_bundle(
    scenario: Scenario, saagie: FakeSaagie, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The triggerer's log is a socket, which blocks while its other end is busy. A bundle takes 0.1 s and more."""
    readers, trusting = [], tls.trusting

    def spy(bundle: str) -> Any:
        readers.append(threading.get_ident())
        return trusting(bundle)

    def get_instance(id_: str, at: float) -> dict[str, Any]:
        if id_ == instance(1) and at < 20:
            raise ItemError("out of order")
        return row("RUNNING" if at < 300 else "STRANGE" if at < 330 else "SUCCEEDED", age=HOUR)

    monkeypatch.setattr(async_session, "trusting", spy)
    saagie.intercept = lambda request: fails(502 if request.at < 60 else 504, 30, 130)(request)
    saagie.get_instance = get_instance
    saagie.get_log = lambda *_: [("STDOUT", "line")]
    doubted, healthy = scenario.wait(1), scenario.wait(2, stream_logs=True)
    await asyncio.sleep(90)
    late, stopper = scenario.wait(3), RecordingLogger()
    assert await all_end([doubted, healthy, late])
    await scenario.stop(4, log=stopper)
    away = ["Saagie is away", "Saagie answers again", "not known to this provider"]
    for log, expected in (
        (doubted.log, ["can't say", *away]),
        (healthy.log, ["[job] line", *away]),
        (late.log, away),
        (stopper, ["why", "nothing to stop"]),
    ):
        assert [part in line for line, part in zip(log.lines, expected, strict=True)] == [True] * len(expected)
        assert threading.get_ident() not in log.threads + readers
    assert "504" in late.log.lines[0]  # the last error
    assert readers


async def test_blocked_log_delays_only_its_end_briefly(scenario: Scenario, saagie: FakeSaagie) -> None:
    """And by three and a half seconds at most, as long as the last lines and a line of the watcher may take."""
    over: set[str] = set()
    saagie.get_instance = lambda id_, _: row(
        "SUCCEEDED" if id_ in over else "STRANGE" if id_ == instance(3) else "RUNNING"
    )
    saagie.get_log = lambda *_: [("STDOUT", "a line")]
    logs = [BlockedLogger() for _ in range(3)]
    blocked = [
        scenario.wait(1, stream_logs=True, poll_interval=1, log=logs[0]),
        scenario.wait(2, stream_logs=True, poll_interval=1, log=logs[1], log_limit=1),
        scenario.wait(3, poll_interval=1, log=logs[2]),
    ]
    other, stays = scenario.wait(4, poll_interval=1), scenario.wait(5, poll_interval=1)
    try:
        assert await logs[2].is_reached()  # by the line about its status, which comes before those of the jobs
        over.add(instance(4))
        assert await all_end([other])
        over |= {instance(1), instance(2), instance(3)}
        ended = saagie.now()
        assert await all_end(blocked)
        assert saagie.now() - ended < 8
        assert [log.lines for log in logs] == [[], [], []]
    finally:
        for log in logs:
            log.go_on.set()
    await asyncio.sleep(5)
    over.add(instance(5))
    assert await all_end([stays])


async def test_shutdown_does_not_wait_for_a_blocked_log(scenario: Scenario, saagie: FakeSaagie) -> None:
    saagie.get_instance = lambda *_: row("STRANGE", age=HOUR)
    before, log = asyncio.all_tasks(), BlockedLogger()
    for number in range(1, 20):
        scenario.wait(number, log=log)
    try:
        assert await log.is_reached()
        # As asyncio.run does: it cancels each task, in any order.
        tasks = {task for task in asyncio.all_tasks() - before if "aiohttp.web" not in repr(task)}
        assert len(tasks) > 19 + 2
        for task in tasks:
            task.cancel()
        _, pending = await asyncio.wait(tasks, timeout=5)
        assert (pending, log.lines) == (set(), [])
    finally:
        log.go_on.set()
