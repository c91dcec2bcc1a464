"""Job logs in tasks' logs: which are read, in what portions, and what happens to waiters when that fails."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from airflow_provider_saagie.triggers.waiter import Ended, StillOnItsWay
from tests.support.fake_saagie import FakeSaagie, ItemError, Request, ends_at, fails, instance, refusal, row
from tests.support.recording_logger import BrokenLogger
from tests.support.watcher_scenario import HOUR, Scenario, all_end, cancel_all

LINE = [("STDOUT", "line")]


def only_logs(respond: Callable[[Request], web.Response | None]) -> Callable[[Request], web.Response | None]:
    return lambda request: respond(request) if request.operation == "watchLogs" else None


def numbered(count: int) -> list[tuple[str, str]]:
    return [("STDOUT", str(n)) for n in range(count)]


async def test_logs_come_in_one_request_each_to_its_waiter(scenario: Scenario, saagie: FakeSaagie) -> None:
    """Though the log of one accepts no line, and the platform is away in between."""
    saagie.get_instance = ends_at(100)
    saagie.get_log = lambda id_, at: [("STDOUT", f"{id_} {n}") for n in range(int(at))]
    saagie.intercept = fails(503, 30, 60)
    silent, *waiting = [scenario.wait(n, stream_logs=n > 0) for n in range(41)]
    waiting.append(scenario.wait(41, stream_logs=True, log=BrokenLogger()))
    assert await all_end([silent, *waiting])
    for one in waiting[:-1]:
        lines = [line for line in one.log.lines if line.startswith("[job]")]
        assert lines == [f"[job] {one.waiter.instance_id} {n}" for n in range(one.waiter.lines_seen)]
        assert one.waiter.lines_seen >= 100
    assert {tuple(sorted(poll.ids)) for poll in saagie.log_polls} == {tuple(instance(n) for n in range(1, 42))}
    assert len(silent.log.lines) == 2  # Saagie is away, and back


@pytest.mark.parametrize("jumps", [False, True])
async def test_log_limit_ends_the_reading(scenario: Scenario, saagie: FakeSaagie, jumps: bool) -> None:
    saagie.get_instance = ends_at(60)
    saagie.get_log = lambda _, at: numbered(int(at) if not jumps else 3 if at < 25 else 20)
    one = scenario.wait(1, stream_logs=True, log_limit=5)
    assert await all_end([one])
    assert saagie.now() - saagie.polls[-1].at < 1
    assert all(poll.variables["s0"] < 5 for poll in saagie.log_polls)
    assert one.log.lines[:-1] == [f"[job] {n}" for n in range(5)]
    assert "5 lines of the job's log are shown" in one.log.lines[-1]


@pytest.mark.parametrize(
    ("waiters", "lines", "limit", "page"), [(1, 2_500, 1_000, 10_000), (10, 1_200, 500, 10_000), (1, 20, 1_000, 3)]
)
async def test_long_logs_are_read_in_portions(
    scenario: Scenario, saagie: FakeSaagie, waiters: int, lines: int, limit: int, page: int
) -> None:
    """While pages are full, or, if these are shorter than requested, up to the number of lines."""
    saagie.longest_page, saagie.counts_lines = page, page == 3
    saagie.get_instance = ends_at(5)
    saagie.get_log = lambda _, at: numbered(lines if at >= 5 or lines > 20 else 10)
    waiting = scenario.wait_many(1, waiters, stream_logs=True)
    assert await all_end(waiting)
    assert {poll.variables["limit"] for poll in saagie.log_polls if len(poll.ids) == waiters} == {limit}
    for one in waiting:
        assert one.log.lines == [f"[job] {n}" for n in range(lines)]


async def test_odd_content_is_shown_and_not_read_again(scenario: Scenario, saagie: FakeSaagie) -> None:
    """Lines beside an error are shown without it. Lines that can't be read count, since the offset is their number."""
    line = {"value": "a line", "stream": "STDERR"}
    contents: dict[str, list[Any]] = {instance(1): [line, line], instance(2): ["junk", None, line]}

    def respond(request: Request) -> web.Response:
        data, errors = {}, []
        for n, id_ in enumerate(request.ids):
            content = contents[id_][: 1 if request.at < 30 else 3][request.variables[f"s{n}"] :]
            data[f"l{n}"] = {"content": content}
            errors += [{"message": "out of order", "path": [f"l{n}", "count"]}] if content else []
        return web.json_response({"data": data, "errors": errors})

    saagie.get_instance = ends_at(60)
    saagie.intercept = only_logs(respond)
    waiting = scenario.wait_many(1, 2, stream_logs=True)
    assert await all_end(waiting)
    shown = "[job stderr] a line"
    assert [one.log.lines for one in waiting] == [[shown, shown], ["[job] ", "[job] ", shown]]


async def test_waiter_that_leaves_before_its_log_is_read(scenario: Scenario, saagie: FakeSaagie) -> None:
    def get_instance(id_: str, at: float) -> dict[str, Any]:
        if id_ == instance(1):
            asyncio.get_running_loop().call_later(0.02, leaves.task.cancel)  # logs are gathered for 0.05 s
        return row("RUNNING" if at < 30 else "SUCCEEDED", age=HOUR)

    saagie.get_instance = get_instance
    leaves, stays = scenario.wait(1, stream_logs=True), scenario.wait(2)
    assert await all_end([stays])
    assert leaves.task.cancelled()
    assert leaves.waiter.instance
    assert saagie.log_polls == []


# Failures


@pytest.mark.parametrize(("seconds", "pause", "interval"), [(45, 45, 5), (3600, 600, 60), (0, 0.5, 1)])
async def test_retry_after_is_respected(
    scenario: Scenario, saagie: FakeSaagie, seconds: int, pause: float, interval: float
) -> None:
    """Up to ten minutes."""
    busy = [web.Response(status=429, headers={"Retry-After": str(seconds)})]
    saagie.intercept = only_logs(lambda _: busy.pop() if busy else None)
    saagie.get_log = lambda *_: LINE
    waiting = scenario.wait_many(1, 2, stream_logs=True, poll_interval=interval)
    await asyncio.sleep(pause + 3 * interval)
    refused, following, *_ = saagie.log_polls
    assert pause <= following.at - refused.at < pause + interval + 0.5
    assert [one.log.lines for one in waiting] == [["[job] line"]] * 2
    await cancel_all(waiting)


UNUSABLE: list[Any] = [
    {"data": {"l0": {"count": 7, "content": []}}},
    {"data": None, "errors": [{"message": "no logs"}]},
    {"data": {"l0": "junk"}},
    {"data": {"l0": {"count": "many", "content": "junk"}}},
    {"data": {"l0": {"count": None, "content": None}}},
    {"data": ["junk"]},
]


@pytest.mark.parametrize(("failures", "waiters"), [([503], 10), ([400], 1), (UNUSABLE, 1)])
async def test_failing_logs_are_read_once_a_poll(
    scenario: Scenario, saagie: FakeSaagie, failures: list[Any], waiters: int
) -> None:
    bodies = itertools.cycle(failures)

    def respond(request: Request) -> web.Response | None:
        if request.at >= 150:
            return None
        failure = next(bodies)
        return web.Response(status=failure) if isinstance(failure, int) else web.json_response(failure)

    saagie.get_instance = ends_at(200)
    saagie.intercept = only_logs(respond)
    saagie.get_log = lambda *_: LINE
    waiting = scenario.wait_many(1, waiters, stream_logs=True)
    assert await all_end(waiting)
    assert {len(poll.ids) for poll in saagie.log_polls} == {waiters}
    assert len(failures) < len(saagie.log_polls) <= len(saagie.polls)
    assert all(one.log.lines == ["[job] line"] for one in waiting)


@pytest.mark.parametrize("status", [400, 413, 414, 422, 200])
async def test_refused_batch_is_made_smaller(scenario: Scenario, saagie: FakeSaagie, status: int) -> None:
    def respond(request: Request) -> web.Response | None:
        refused = refusal("too complex") if status == 200 else web.Response(status=status)
        return refused if len(request.ids) > 3 else None

    saagie.get_instance = ends_at(60)
    saagie.intercept = only_logs(respond)
    saagie.get_log = lambda _, at: LINE if at < 60 else [*LINE, ("STDERR", "last")]
    waiting = scenario.wait_many(1, 10, stream_logs=True)
    await asyncio.sleep(25)
    assert [one.log.lines for one in waiting] == [["[job] line"]] * 10
    first, second, *others = saagie.log_polls
    assert second.at - first.at < 1  # before the next poll
    assert [len(poll.ids) for poll in others if len(poll.ids) > 3] == []  # the size that worked is remembered
    assert await all_end(waiting)
    assert [one.log.lines for one in waiting] == [["[job] line", "[job stderr] last"]] * 10


async def test_log_with_an_error_is_logged_once_and_delays_no_end(scenario: Scenario, saagie: FakeSaagie) -> None:
    def get_log(id_: str, at: float) -> list[tuple[str, str]]:
        if id_ == instance(1) and not 45 < at < 80:
            raise ItemError("out of order")
        return LINE

    saagie.get_instance = ends_at(80)
    saagie.get_log = get_log
    one, healthy = scenario.wait_many(1, 2, stream_logs=True)
    assert await all_end([one, healthy])
    assert saagie.now() - saagie.polls[-1].at < 1
    expected = ("The job's log can't be read for now. .*out of order", r"\[job\] line$", ".*could not be read in time")
    assert all(re.match(pattern, line) for pattern, line in zip(expected, one.log.lines, strict=True))
    assert healthy.log.lines == ["[job] line"]


# The last lines


@pytest.mark.parametrize("failures", [0, 2, 99])
async def test_last_lines_are_retried_for_three_seconds(scenario: Scenario, saagie: FakeSaagie, failures: int) -> None:
    saagie.get_instance = ends_at(60)
    saagie.get_log = lambda _, at: [("STDOUT", "the last")] if at > 60 else []
    busy = [web.Response(status=503) for _ in range(failures)]
    saagie.intercept = only_logs(lambda request: busy.pop() if request.at > 60 and busy else None)
    one = scenario.wait(1, stream_logs=True)
    assert await all_end([one])
    assert saagie.now() - saagie.polls[-1].at < 3.2
    (line,) = one.log.lines
    assert ("could not be read in time" in line) if busy else (line == "[job] the last")
    assert not busy or len([poll for poll in saagie.log_polls if poll.at > 60]) in (6, 7)  # twice a second


async def test_deadline_shows_the_last_lines(scenario: Scenario, saagie: FakeSaagie) -> None:
    saagie.get_log = lambda _, at: [("STDOUT", "at the end")] if at > 39 else []
    one = scenario.wait(1, deadline=40, poll_interval=600, stream_logs=True)
    assert await one.verdict() == StillOnItsWay(was_read=True)
    assert one.log.lines == ["[job] at the end"]


@pytest.mark.parametrize("why", ["away", "refused", "gone"])
async def test_last_lines_are_skipped_if_status_is_unreadable(scenario: Scenario, saagie: FakeSaagie, why: str) -> None:
    saagie.get_log = lambda *_: LINE
    one = scenario.wait(1, stream_logs=True, deadline=100 if why == "away" else None)
    await asyncio.sleep(20)
    if why == "away":
        saagie.intercept = fails(503)
    elif why == "refused":
        saagie.change_password()
    else:
        saagie.get_instance = lambda *_: None
    assert not isinstance(await one.verdict(), Ended)
    assert not any("could not be read" in line for line in one.log.lines)
    assert [poll for poll in saagie.log_polls if poll.at > 25] == []
