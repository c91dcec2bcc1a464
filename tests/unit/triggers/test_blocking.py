"""The event loop of all triggers is blocked neither by hundreds of ends, nor by a log that accepts no line."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie import job_log
from airflow_provider_saagie.client import async_session, tls
from airflow_provider_saagie.triggers.outage import AT_A_TIME
from airflow_provider_saagie.triggers.poller import ENDS_AT_A_TIME
from tests.support.fake_saagie import FakeSaagie, ItemError, ends_at, fails, instance, row
from tests.support.recording_logger import BlockedLogger, RecordingLogger
from tests.support.watcher_scenario import HOUR, Scenario, all_end, cancel_all

if TYPE_CHECKING:
    import pytest

    from airflow_provider_saagie.client.logs import LogLine


class TurnCounter:
    """Counts calls in each turn of the event loop."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self._in_turn = False

    def __call__(self, *_: object) -> None:
        if not self._in_turn:
            self._in_turn = True
            self.counts.append(0)
            asyncio.get_running_loop().call_soon(self._end_turn)
        self.counts[-1] += 1

    def _end_turn(self) -> None:
        self._in_turn = False


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
    readers = []

    def trusting(bundle: str) -> Any:
        readers.append(threading.get_ident())
        return tls.trusting(bundle)

    def get_instance(id_: str, at: float) -> dict[str, Any]:
        if id_ == instance(1) and at < 20:
            raise ItemError("out of order")
        return row("RUNNING" if at < 300 else "STRANGE" if at < 330 else "SUCCEEDED", age=HOUR)

    saagie.intercept = lambda request: fails(502 if request.at < 60 else 504, 30, 130)(request)
    saagie.get_instance = get_instance
    saagie.get_log = lambda *_: [("STDOUT", "line")]
    monkeypatch.setattr(async_session, "trusting", trusting)
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
