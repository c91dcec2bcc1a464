"""Which logs are read, how much at a time, and what becomes of those who wait where that goes wrong."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from tests.support.fake_saagie import Asked, RowFails, instance, refusal, row
from tests.support.virtual_time import TimelessLoop
from tests.support.watcher_scenario import HOUR, Scene, all_end, all_leave

if TYPE_CHECKING:
    from collections.abc import Callable


def of_logs(s: Scene) -> list[Asked]:
    return [asked for asked in s.saagie.asked if asked.operation == "watchLogs"]


def only_logs(refused: Callable[[Asked], web.Response | None]) -> Callable[[Asked], web.Response | None]:
    return lambda asked: refused(asked) if asked.operation == "watchLogs" else None


def test_only_logs_that_are_shown_are_read(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = lambda *_: [("STDOUT", "line")]
        shown, silent = s.wait_for(1, stream_logs=True), s.wait_for(2)
        assert await all_end([shown, silent])
        assert {one for asked in of_logs(s) for one in asked.ids} == {instance(1)}
        assert silent.log.lines == []

    play(scene)


def test_a_log_that_was_shown_up_to_its_limit_is_read_no_more_and_delays_no_end(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = lambda _, at: [("STDOUT", str(n)) for n in range(int(at))]
        one = s.wait_for(1, stream_logs=True, log_limit=5)
        assert await all_end([one])
        assert s.saagie.now() - s.saagie.looks[-1].at < 1
        assert all(asked.variables["s0"] < 5 for asked in of_logs(s))
        assert one.log.lines[:-1] == [f"[job] {n}" for n in range(5)]
        assert "5 lines of the job's log are shown" in one.log.lines[-1]

    play(scene)


def test_of_a_page_that_goes_beyond_the_limit_only_what_is_left_of_it_is_shown(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = lambda _, at: [("STDOUT", str(n)) for n in range(3 if at < 25 else 20)]
        one = s.wait_for(1, stream_logs=True, log_limit=5)
        assert await all_end([one])
        assert one.log.lines[:-1] == [f"[job] {n}" for n in range(5)]
        assert "5 lines of the job's log are shown" in one.log.lines[-1]

    play(scene)


def test_lines_that_come_with_an_error_are_shown_and_no_word_of_it(play: Callable[..., None]) -> None:
    def partly(asked: Asked) -> web.Response:
        lines = ["first", "last"] if asked.at > 60 else ["first"]
        content = [{"value": line, "stream": "STDOUT"} for line in lines][asked.variables["s0"] :]
        error = {"message": "out of order", "path": ["l0", "count"]} if content else None
        return web.json_response({"data": {"l0": {"content": content}}, "errors": [error] if error else []})

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        s.saagie.refuse = only_logs(partly)
        one = s.wait_for(1, stream_logs=True)
        assert await all_end([one])
        assert one.log.lines == ["[job] first", "[job] last"]

    play(scene)


def test_who_leaves_as_its_log_is_to_be_read_disturbs_nobody(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 30 else "SUCCEEDED", age=HOUR)
        leaves, stays = s.wait_for(1, stream_logs=True), s.wait_for(2)
        for _ in range(100_000):  # turns of the loop
            if leaves.waiter.instance:
                break
            await asyncio.sleep(0)
        await leaves.leave()
        assert await all_end([stays])
        assert of_logs(s) == []

    play(scene)


@pytest.mark.parametrize(("many", "lines", "at_a_time"), [(1, 2_500, 1_000), (10, 1_200, 500)])
def test_long_logs_are_read_in_bites(play: Callable[..., None], many: int, lines: int, at_a_time: int) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 30 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = lambda *_: [("STDOUT", str(n)) for n in range(lines)]
        waiting = [s.wait_for(n, stream_logs=True) for n in range(1, many + 1)]
        assert await all_end(waiting)
        assert {asked.variables["limit"] for asked in of_logs(s) if len(asked.ids) == many} == {at_a_time}
        for one in waiting:
            assert one.log.lines == [f"[job] {n}" for n in range(lines)]

    play(scene, debug=False, loop=TimelessLoop)


def test_a_platform_that_gives_shorter_pages_than_asked_hides_no_line(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.longest_page = 3
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 30 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = lambda _, at: [("STDOUT", str(n)) for n in range(10 if at < 30 else 20)]
        one = s.wait_for(1, stream_logs=True)
        assert await all_end([one])
        assert one.log.lines == [f"[job] {n}" for n in range(20)]

    play(scene)


def test_a_log_whose_length_nobody_says_is_read_on_while_its_pages_are_full(play: Callable[..., None]) -> None:
    def without_count(asked: Asked) -> web.Response:
        skip, limit = asked.variables["s0"], asked.variables["limit"]
        content = [{"value": str(n), "stream": "STDOUT"} for n in range(2_000)][skip : skip + limit]
        return web.json_response({"data": {"l0": {"count": None, "content": content}}})

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 5 else "SUCCEEDED", age=HOUR)
        s.saagie.refuse = only_logs(without_count)
        one = s.wait_for(1, stream_logs=True)
        assert await all_end([one])
        assert one.log.lines == [f"[job] {n}" for n in range(2_000)]
        assert [asked.variables["s0"] for asked in of_logs(s)][:3] == [0, 1_000, 2_000]

    play(scene, debug=False, loop=TimelessLoop)


@pytest.mark.parametrize(("asks", "pause", "interval"), [("45", 45, 5), ("3600", 600, 60), ("0", 0.5, 1)])
def test_logs_are_left_for_as_long_as_saagie_asks_but_ten_minutes_at_most(
    play: Callable[..., None], asks: str, pause: float, interval: float
) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        busy = [web.Response(status=429, headers={"Retry-After": asks})]
        s.saagie.refuse = only_logs(lambda _: busy.pop() if busy else None)
        s.saagie.log_of = lambda *_: [("STDOUT", "line")]
        waiting = [s.wait_for(n, stream_logs=True, poll_interval=interval) for n in (1, 2)]
        await asyncio.sleep(pause + 3 * interval)
        refused, following, *_ = of_logs(s)
        assert pause <= following.at - refused.at < pause + interval + 0.5
        await all_leave(waiting)

    play(scene, debug=False, loop=TimelessLoop)


@pytest.mark.parametrize(
    "answer",
    [
        {"data": None, "errors": [{"message": "no logs"}]},
        {"data": {"l0": "junk", "l1": 7}},
        {"data": {"l0": {"count": "many", "content": "junk"}, "l1": {"count": None, "content": None}}},
        {"data": ["junk"]},
    ],
)
def test_answers_that_tell_of_no_log_end_nobody_and_the_lines_come_later(
    play: Callable[..., None], answer: dict[str, Any]
) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        s.saagie.refuse = only_logs(lambda asked: web.json_response(answer) if asked.at < 35 else None)
        s.saagie.log_of = lambda *_: [("STDOUT", "line")]
        waiting = [s.wait_for(n, stream_logs=True) for n in (1, 2)]
        assert await all_end(waiting)
        assert [one.log.lines for one in waiting] == [["[job] line"]] * 2

    play(scene)


def test_a_connection_that_is_lost_while_logs_are_read_ends_nobody(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        requests = itertools.count()
        s.saagie.hangs_up = lambda at: next(requests) % 2 == 1 and at < 35  # each look has a request for logs after it
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = lambda *_: [("STDOUT", "line")]
        waiting = [s.wait_for(n, stream_logs=True) for n in (1, 2)]
        assert await all_end(waiting)
        assert [one.log.lines for one in waiting] == [["[job] line"]] * 2

    play(scene)


@pytest.mark.parametrize(("status", "many"), [(503, 10), (400, 1)])
def test_logs_that_cannot_be_read_are_asked_for_at_each_look_and_no_more_often(
    play: Callable[..., None], status: int, many: int
) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 200 else "SUCCEEDED", age=HOUR)
        s.saagie.refuse = only_logs(lambda asked: web.Response(status=status) if asked.at < 150 else None)
        s.saagie.log_of = lambda *_: [("STDOUT", "line")]
        waiting = [s.wait_for(n, stream_logs=True) for n in range(1, many + 1)]
        assert await all_end(waiting)
        assert {len(asked.ids) for asked in of_logs(s)} == {many}
        assert len(of_logs(s)) <= len(s.saagie.looks)
        assert all(one.log.lines == ["[job] line"] for one in waiting)

    play(scene)


@pytest.mark.parametrize(
    "refused",
    [*(partial(web.Response, status=status) for status in (400, 413, 414, 422)), partial(refusal, "too complex")],
    ids=["400", "413", "414", "422", "refused document"],
)
def test_two_logs_of_which_a_request_may_not_ask_are_asked_for_apart(
    play: Callable[..., None], refused: Callable[[], web.Response]
) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        s.saagie.refuse = only_logs(lambda asked: refused() if len(asked.ids) > 1 else None)
        s.saagie.log_of = lambda _, at: [("STDOUT", "line")] if at < 60 else [("STDOUT", "line"), ("STDERR", "last")]
        waiting = [s.wait_for(n, stream_logs=True) for n in (1, 2)]
        await asyncio.sleep(25)
        assert [one.log.lines for one in waiting] == [["[job] line"]] * 2
        together, apart, *_ = of_logs(s)
        assert apart.at - together.at < 1  # not only at the next look
        assert len([asked for asked in of_logs(s) if len(asked.ids) > 1]) == 1  # the size that worked is remembered
        assert await all_end(waiting)
        assert [one.log.lines for one in waiting] == [["[job] line", "[job stderr] last"]] * 2

    play(scene, loop=TimelessLoop)


def test_the_last_lines_are_tried_again_where_saagie_is_busy_for_a_moment(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = lambda _, at: [("STDOUT", "the last")] if at > 60 else []
        busy = [web.Response(status=503), web.Response(status=503)]
        s.saagie.refuse = only_logs(lambda asked: busy.pop() if asked.at > 60 and busy else None)
        one = s.wait_for(1, stream_logs=True)
        assert await all_end([one])
        assert one.log.lines == ["[job] the last"]

    play(scene)


def test_lines_that_are_none_are_shown_as_empty_ones(play: Callable[..., None]) -> None:
    """Left out, they would be asked for again: lines are known by how many there are."""

    def junk(asked: Asked) -> web.Response:
        content = ["junk", None, {"value": "a line", "stream": "STDERR"}][asked.variables["s0"] :]
        return web.json_response({"data": {"l0": {"count": 3, "content": content}}})

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 30 else "SUCCEEDED", age=HOUR)
        s.saagie.refuse = only_logs(junk)
        one = s.wait_for(1, stream_logs=True)
        assert await all_end([one])
        assert one.log.lines == ["[job] ", "[job] ", "[job stderr] a line"]

    play(scene)


def test_the_last_lines_are_tried_again_twice_a_second_for_three_seconds(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        s.saagie.refuse = only_logs(lambda asked: web.Response(status=503) if asked.at > 60 else None)
        assert await all_end([s.wait_for(1, stream_logs=True)])
        assert 6 <= len([asked for asked in of_logs(s) if asked.at > 60]) <= 7

    play(scene, debug=False, loop=TimelessLoop)


def test_a_log_of_which_lines_are_promised_and_not_given_is_asked_for_at_each_look(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        s.saagie.refuse = only_logs(lambda _: web.json_response({"data": {"l0": {"count": 7, "content": []}}}))
        assert await all_end([s.wait_for(1, stream_logs=True)])
        assert len(of_logs(s)) <= len(s.saagie.looks)

    play(scene)


def test_a_log_that_saagie_cannot_give_is_told_of_once_and_shown_when_it_can(play: Callable[..., None]) -> None:
    def log_of(instance_id: str, at: float) -> list[tuple[str, str]]:
        if instance_id == instance(1) and at < 45:
            raise RowFails("out of order")
        return [("STDOUT", "line")]

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 80 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = log_of
        one, sound = s.wait_for(1, stream_logs=True), s.wait_for(2, stream_logs=True)
        assert await all_end([one, sound])
        told, line = one.log.lines
        assert told.startswith("The job's log can't be read for now. ")
        assert "out of order" in told
        assert line == "[job] line"
        assert sound.log.lines == ["[job] line"]

    play(scene)


def test_where_saagie_cannot_give_a_log_at_the_end_that_is_said_at_once(play: Callable[..., None]) -> None:
    def log_of(_: str, at: float) -> list[tuple[str, str]]:
        if at > 60:
            raise RowFails("out of order")
        return [("STDOUT", "line")]

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = log_of
        one = s.wait_for(1, stream_logs=True)
        assert await all_end([one])
        assert s.saagie.now() - s.saagie.looks[-1].at < 1
        assert one.log.lines[0] == "[job] line"
        assert ["could not be read in time" in line for line in one.log.lines[1:]] == [True]

    play(scene)
