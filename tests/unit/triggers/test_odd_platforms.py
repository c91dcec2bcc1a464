"""What a platform, a connection or a clock can do to the watcher that is neither right nor simply away."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.client.async_session import AsyncSession
from airflow_provider_saagie.exceptions import SaagieConnectionError
from airflow_provider_saagie.triggers import watcher
from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger
from airflow_provider_saagie.triggers.waiter import Ended, Failed, StillOnItsWay, Verdict, Waiter
from tests.support.fake_saagie import PASSWORD, RowFails, connection, instance, refusal, row, small_saagie
from tests.support.recording_logger import Recorder
from tests.support.virtual_time import TimelessLoop
from tests.support.watcher_scenario import HOUR, Scene, all_end, all_leave

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = int(os.environ.get("SAAGIE_TEST_EXAMPLES", "8"))


def test_few_who_are_asked_for_apart_outlast_a_platform_that_refuses_every_document(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 400 else "SUCCEEDED", age=HOUR)
        s.saagie.refuse = lambda asked: refusal("Internal error") if 30 < asked.at < 330 else None
        waiting = [s.wait_for(1, poll_interval=10), s.wait_for(2, poll_interval=50)]
        assert await all_end(waiting)

    play(scene)


def test_of_many_who_find_their_token_gone_one_tries_the_refused_login(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        waiting = [s.wait_for(n) for n in range(1, 401)]
        await asyncio.sleep(25)
        s.saagie.password = "changed"
        s.saagie.tokens.clear()
        before = len(s.saagie.logins)
        await asyncio.sleep(50)
        assert len(s.saagie.logins) - before == 1
        await all_leave(waiting)

    play(scene, debug=False)


def test_an_answer_about_another_instance_ends_nobody(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        def refuse(asked: Any) -> web.Response | None:
            if 30 < asked.at < 60 and asked.operation == "watchInstances":
                return web.json_response({"data": {"i0": {**row("SUCCEEDED"), "id": instance(7)}}})
            return None

        s.saagie.tell = lambda _, at: row("RUNNING" if at < 100 else "FAILED", age=HOUR)
        s.saagie.refuse = refuse
        verdict = await s.wait_for(1).verdict()
        assert isinstance(verdict, Ended)
        assert verdict.instance.status == "FAILED"

    play(scene)


@pytest.mark.parametrize("ahead", [600.0, -600.0])
def test_an_event_is_not_late_because_clocks_differ(play: Callable[..., None], ahead: float) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("SUCCEEDED")

        class Recorded(SaagieJobInstanceTrigger):
            log = Recorder()  # type: ignore[assignment]
            task_instance = object()  # type: ignore[assignment]

        trigger = Recorded(saagie_conn_id=s.conn_id, instance_id=instance(1), deferred_at=time.time() + ahead)
        events = [event.payload["status"] async for event in trigger.run()]
        assert events == ["success"]
        assert s.saagie.now() < 10

    play(scene)


@pytest.mark.parametrize("interval", [0.05, 0.1, 0.2, 0.3])
def test_a_tiny_interval_is_kept_not_undercut(play: Callable[..., None], interval: float) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.latency = 0.005
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        one = s.wait_for(1, poll_interval=interval)
        await asyncio.sleep(2)
        s.saagie.asked.clear()
        await asyncio.sleep(4)
        assert 4 / interval * 0.6 <= len(s.saagie.looks) <= 4 / interval * 1.1
        await one.leave()

    play(scene, loop=TimelessLoop)


def test_one_null_is_looked_at_again_within_a_minute_whatever_the_interval(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: None if at < 4 else row("SUCCEEDED")
        assert isinstance(await s.wait_for(1, poll_interval=3600).verdict(), Ended)
        assert s.saagie.now() < 65

    play(scene)


@pytest.mark.parametrize("doubt", ["null", "UNKNOWN", "error"])
def test_what_was_odd_before_an_outage_proves_nothing_after_it(play: Callable[..., None], doubt: str) -> None:
    """A platform that goes down, or comes up, tells odd things."""
    odd: list[float] = []

    def tell(instance_id: str, at: float) -> dict[str, Any] | None:
        is_odd = instance_id == instance(1) and at > (15 if not odd else HOUR) and len(odd) < 2
        if not is_odd:
            return row("SUCCEEDED" if len(odd) == 2 else "RUNNING", age=HOUR)
        odd.append(at)
        if doubt == "error":
            raise RowFails("database away")
        return None if doubt == "null" else row("UNKNOWN", age=HOUR)

    async def scene(s: Scene) -> None:
        s.saagie.tell = tell
        s.saagie.refuse = lambda asked: web.Response(status=503) if odd and asked.at < HOUR else None
        for verdict in [await waiting.verdict() for waiting in (s.wait_for(1), s.wait_for(2))]:
            assert isinstance(verdict, Ended)
            assert verdict.instance.status == "SUCCEEDED"
        assert len(odd) == 2

    play(scene)


def test_a_long_interval_is_grown_into(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 1200 else "SUCCEEDED", age=at)
        assert isinstance(await s.wait_for(1, poll_interval=3600).verdict(), Ended)
        assert s.saagie.now() < 1200 * 1.25

    play(scene)


def test_a_stop_over_a_connection_that_cannot_be_used_says_why(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.conn_id = "saagie_nowhere"
        (line,) = await s.stop(1)
        assert "saagie_nowhere" in line, line

    play(scene)


@pytest.mark.parametrize("charset", ["rot13", "hex", "nonsense", "utf-16"])
def test_an_odd_charset_is_an_odd_answer(play: Callable[..., None], charset: str) -> None:
    async def scene(s: Scene) -> None:
        def refuse(asked: Any) -> web.Response | None:
            headers = {"Content-Type": f"application/json; charset={charset}"}
            return web.Response(body=b'{"data": {}}x', headers=headers) if asked.at < 5 else None

        s.saagie.refuse = refuse
        s.saagie.tell = lambda *_: row("SUCCEEDED")
        assert isinstance(await s.wait_for(1).verdict(), Ended)

    play(scene)


def test_a_log_that_takes_no_line_concerns_its_waiter_only(play: Callable[..., None]) -> None:
    class Broken(Recorder):
        def log(self, *_: Any, **__: Any) -> None:
            raise OSError("no space left on device")

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 100 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = lambda _, at: [("STDOUT", "line")] * int(at)
        s.saagie.refuse = lambda asked: web.Response(status=503) if 30 < asked.at < 60 else None
        one, two = s.wait_for(1, stream_logs=True), s.wait_for(2, stream_logs=True)
        one.waiter.log = Broken()
        assert await all_end([two])
        await one.verdict()

    play(scene)


def test_a_log_whose_last_lines_cannot_be_read_says_so(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        def refuse(asked: Any) -> web.Response | None:
            fails = asked.operation == "watchLogs" and not 20 < asked.at < 60
            error = {"message": "no log", "path": ["l0"]}
            return web.json_response({"data": {"l0": None}, "errors": [error]}) if fails else None

        s.saagie.refuse = refuse
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 100 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = lambda _, at: [("STDOUT", f"line {n}") for n in range(int(at) // 10)]
        one = s.wait_for(1, stream_logs=True)
        assert await all_end([one])
        assert "could not be read" in one.log.lines[-1]

    play(scene)


def test_logs_keep_to_retry_after_too(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        def refuse(asked: Any) -> web.Response | None:
            busy = asked.operation == "watchLogs" and asked.at < 60
            return web.Response(status=429, headers={"Retry-After": "100"}) if busy else None

        s.saagie.refuse = refuse
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        s.saagie.log_of = lambda *_: [("STDOUT", "line")]
        one = s.wait_for(1, stream_logs=True)
        await asyncio.sleep(150)
        first, second, *_ = [asked.at for asked in s.saagie.asked if asked.operation == "watchLogs"]
        assert second - first >= 100
        assert one.log.lines == ["[job] line"]
        await one.leave()

    play(scene)


def test_a_size_that_worked_once_is_no_limit_for_ever(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda asked: web.Response(status=413) if asked.at < 60 and len(asked.ids) > 9 else None
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        waiting = [s.wait_for(n, poll_interval=60) for n in range(1, 101)]
        await asyncio.sleep(HOUR)
        assert len(s.saagie.looks[-1].ids) == 100
        await all_leave(waiting)

    play(scene, debug=False, loop=TimelessLoop)


def test_a_deadline_is_not_late_where_batches_had_to_shrink(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.latency = 1.0
        s.saagie.refuse = lambda asked: web.Response(status=413) if len(asked.ids) > 9 else None
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        others = [s.wait_for(100 + n) for n in range(400)]
        one = s.wait_for(1, deadline=65)
        assert await one.verdict() == StillOnItsWay(was_read=True)
        await all_leave(others)

    play(scene, debug=False, loop=TimelessLoop)


def test_a_session_that_was_closed_opens_no_connection_any_more(play: Callable[..., None]) -> None:
    """A log may still be read over it, since the watcher closes it where the connection was edited in Airflow."""

    async def scene(s: Scene) -> None:
        session = AsyncSession(replace(await watcher._look_up(s.conn_id), retries=0))
        token = await session.log_in()
        await session.close()
        with pytest.raises(SaagieConnectionError):
            await session.log_in(instead_of=token)
        with pytest.raises(SaagieConnectionError):
            await session.run(instances.stop(instance(1)))
        assert len(s.saagie.logins) == 1
        assert s.saagie.stopped == []

    play(scene)


SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "RUNNING", "SUCCEEDED", "x", "2026"])
JUNK = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner))
ODD_ROWS = st.fixed_dictionaries(
    {},
    optional={
        "id": SCALARS,
        "number": JUNK,
        "jobId": JUNK,
        "startTime": JUNK,
        "endTime": JUNK,
        "history": JUNK
        | st.fixed_dictionaries(
            {"currentStatus": JUNK | st.fixed_dictionaries({"status": JUNK, "reason": JUNK, "details": JUNK})}
        ),
        "runTrigger": JUNK | st.fixed_dictionaries({"__typename": JUNK, "author": JUNK}),
        "stopTrigger": JUNK | st.fixed_dictionaries({"author": JUNK}),
    },
)
ODD_BODIES = st.fixed_dictionaries({"data": JUNK}, optional={"errors": JUNK}) | JUNK


@given(odd=ODD_ROWS, body=ODD_BODIES)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_junk_in_an_answer_ends_nobody(play: Callable[..., None], odd: dict[str, Any], body: Any) -> None:
    def refuse(asked: Any) -> web.Response | None:
        if 20 < asked.at < 40:
            return web.json_response(body)
        if 50 < asked.at < 80 and asked.operation == "watchInstances":
            told = {f"i{n}": {**row("RUNNING", age=HOUR), "id": one} for n, one in enumerate(asked.ids)}
            odd_ones = {f"i{n}": {**told[f"i{n}"], **odd} for n, one in enumerate(asked.ids) if one == instance(1)}
            return web.json_response({"data": told | odd_ones})
        return None

    async def scene(s: Scene) -> None:
        s.saagie.refuse = refuse
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 150 else "FAILED", age=HOUR)
        one, two = (s.wait_for(n, stream_logs=True) for n in (1, 2))
        assert isinstance(await two.verdict(), Ended)
        assert isinstance(await one.verdict(), Ended)

    play(scene, debug=False, loop=TimelessLoop)


@pytest.mark.parametrize("turns", range(6))
def test_whoever_comes_as_the_last_one_leaves_is_served(play: Callable[..., None], turns: int) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        last = s.wait_for(1)
        await asyncio.sleep(5)
        s.saagie.tell = lambda *_: row("SUCCEEDED")
        last.task.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        assert await all_end([s.wait_for(2)])

    play(scene)


def test_many_who_leave_at_once_in_the_midst_of_a_request_leave_no_trace(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.latency = 0.5
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        stays, *others = [s.wait_for(n, stream_logs=n % 2 == 0) for n in range(1, 501)]
        await asyncio.sleep(20 - s.saagie.now() % 10 + 0.2)
        await all_leave(others)
        s.saagie.asked.clear()
        assert await all_end([stays])
        assert {len(asked.ids) for asked in s.saagie.looks[4:]} == {1}
        assert stays.log.lines == []
        assert len(s.saagie.logins) == 1

    play(scene, debug=False, loop=TimelessLoop)


def test_one_instance_can_be_waited_for_twice(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = lambda _, at: [("STDOUT", f"line {n}") for n in range(int(at) // 10)]
        one, two, leaves = (s.wait_for(1, stream_logs=True) for _ in range(3))
        await asyncio.sleep(30)
        await leaves.leave()
        assert await all_end([one, two])
        assert one.log.lines == two.log.lines != []

    play(scene)


def test_two_loops_have_a_watcher_each(loaded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with small_saagie() as saagie:
            saagie.tell = lambda _, at: row("RUNNING" if at < 3 else "SUCCEEDED", age=at)
            conn_id = connection(saagie.url, monkeypatch)

            async def waits(number: int) -> Verdict:
                waiter = Waiter(instance_id=instance(number), log=Recorder())
                return await watcher.wait(conn_id, waiter)

            verdicts = await asyncio.gather(*(asyncio.to_thread(asyncio.run, waits(n)) for n in (1, 2)))
            assert all(isinstance(verdict, Ended) for verdict in verdicts)
            assert len(saagie.logins) == 2

    asyncio.run(scene(), debug=True)
    assert not watcher._tasks


class WhoWrites(Recorder):
    """Keeps which threads logged."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()

    def log(self, *args: Any, **more: Any) -> None:
        super().log(*args, **more)
        self.threads.add(threading.get_ident())


def test_thousands_of_lines_about_an_outage_do_not_hold_up_the_loop(play: Callable[..., None]) -> None:
    many, log = 2_000, WhoWrites()

    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda asked: web.Response(status=503) if 20 < asked.at < 60 else None
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        waiting = [s.wait_for(n) for n in range(1, many + 1)]
        for one in waiting:
            one.waiter.log = log
        await asyncio.sleep(120)
        assert len(log.lines) == 2 * many
        assert threading.get_ident() not in log.threads
        await all_leave(waiting)

    play(scene, debug=False, loop=TimelessLoop)


def test_a_right_that_comes_with_the_next_token_is_noticed_within_a_minute(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        def refuse(asked: Any) -> web.Response | None:
            return web.Response(status=403) if asked.at > 20 and len(s.saagie.logins) < 2 else None

        s.saagie.refuse = refuse
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 30 else "SUCCEEDED", age=HOUR)
        assert await all_end([s.wait_for(1)])
        assert s.saagie.now() < 110

    play(scene)


@pytest.mark.parametrize("phase", [0.0, 2.5, 5.0, 7.5])
@pytest.mark.parametrize("latency", [0.01, 0.2])
def test_an_error_of_one_counts_for_a_minute_whenever_it_is_asked_for(
    play: Callable[..., None], phase: float, latency: float
) -> None:
    """Its looks may never fall together with those of the others, whose rows say that the platform is well."""

    def tell(instance_id: str, at: float) -> dict[str, Any]:
        if instance_id in (instance(2), instance(3)):
            raise RowFails("odd")
        return row("RUNNING", age=HOUR)

    async def scene(s: Scene) -> None:
        s.saagie.latency = latency
        s.saagie.tell = tell
        loop = asyncio.get_running_loop()
        one = s.wait_for(1)
        await asyncio.sleep(20 - loop.time() % 10 + phase)
        came = s.saagie.now()
        for verdict in [await waiting.verdict() for waiting in (s.wait_for(2), s.wait_for(3))]:
            assert isinstance(verdict, Failed)
        assert 60 <= s.saagie.now() - came < 90
        await one.leave()

    play(scene, loop=TimelessLoop)


def test_those_who_are_told_of_a_moment_later_after_a_trouble_of_the_platform_are_not_at_fault(
    play: Callable[..., None],
) -> None:
    """Hundreds come in several requests, which a platform that gets well answers one after the other."""

    def tell(instance_id: str, at: float) -> dict[str, Any]:
        is_first = instance_id <= instance(100)
        if 15 < at < (135 if is_first else 150):
            raise RowFails("database away")
        return row("RUNNING" if at < 200 else "SUCCEEDED", age=HOUR)

    async def scene(s: Scene) -> None:
        s.saagie.tell = tell
        assert await all_end([s.wait_for(n) for n in range(1, 201)])

    play(scene, debug=False, loop=TimelessLoop)


def test_of_many_logs_that_find_the_login_refused_one_tries_it(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        def log_of(_: str, at: float) -> list[tuple[str, str]]:
            if at > 25 and s.saagie.password != "changed":
                s.saagie.password = "changed"
                s.saagie.tokens.clear()
            return [("STDOUT", "line")]

        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        s.saagie.log_of = log_of
        waiting = [s.wait_for(n, stream_logs=True) for n in range(1, 201)]
        await asyncio.sleep(60)
        assert len(s.saagie.logins) == 2  # the first, and the one that finds out, for statuses too
        await all_leave(waiting)

    play(scene, debug=False, loop=TimelessLoop)


def test_deadlines_do_not_try_a_refused_login_each(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        waiting = [s.wait_for(n, deadline=30 + n) for n in range(1, 31)]
        await asyncio.sleep(20)
        s.saagie.password = "changed"
        s.saagie.tokens.clear()
        for one in waiting:
            assert await one.verdict() == StillOnItsWay(was_read=False)
        assert len(s.saagie.logins) <= 3

    play(scene)


def test_stops_one_after_the_other_do_not_try_a_refused_login_each(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        waiting = [s.wait_for(n, stream_logs=True, deadline=20 + n) for n in range(1, 31)]
        await asyncio.sleep(20)
        s.saagie.password = "changed"
        s.saagie.tokens.clear()
        before = len(s.saagie.logins)
        for number in range(60):
            (line,) = await s.stop(100 + number)
            assert "refused the login" in line
            await asyncio.sleep(0.4)
        assert len(s.saagie.logins) == before + 1
        s.saagie.password = PASSWORD  # it may be mended in Saagie, too
        await asyncio.sleep(30)
        assert await s.stop(200) == ["Saagie was asked to stop it."]
        await all_leave(waiting)

    play(scene, debug=False)


def test_more_stops_at_once_than_are_answered_in_time_wait_for_their_turn(play: Callable[..., None]) -> None:
    """And whoever waits is asked for meanwhile."""

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        s.saagie.stop_seconds = 3.0
        waiting = [s.wait_for(n, poll_interval=5) for n in range(1, 11)]
        await asyncio.sleep(20)
        s.saagie.asked.clear()
        lines = await asyncio.gather(*(s.stop(100 + number) for number in range(500)))
        assert lines == [["Saagie was asked to stop it."]] * 500
        assert len(set(s.saagie.stopped)) == 500
        assert s.saagie.now() == pytest.approx(20 + 500 / 50 * 3, abs=1)
        looks = [len(asked.ids) for asked in s.saagie.looks]
        assert looks.count(1) == 500  # one before each stop
        assert set(looks) == {1, 10}
        assert looks.count(10) in (6, 7)  # the seventh is due as the last stop is answered
        await all_leave(waiting)

    play(scene, debug=False, loop=TimelessLoop)
