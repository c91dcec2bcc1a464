"""The loop of all triggers stands still neither for many ends at once, nor for a log that takes no line for now."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from airflow_provider_saagie import job_log
from airflow_provider_saagie.client import async_session, tls
from airflow_provider_saagie.triggers.outage import AT_A_TIME
from airflow_provider_saagie.triggers.poller import ENDS_AT_A_TIME
from airflow_provider_saagie.triggers.waiter import Waiter
from tests.support.fake_saagie import RowFails, instance, row
from tests.support.recording_logger import Recorder
from tests.support.watcher_scenario import HOUR, Scene, all_end, all_leave

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_saagie.client.logs import LogLine


def test_of_many_that_end_at_once_some_are_told_in_a_turn_of_the_loop(play: Callable[..., None]) -> None:
    """Airflow does a good deal with each event: four answers with a hundred ends each would stop its loop for long."""

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("SUCCEEDED")
        turn, told = 0, Counter[int]()
        over = asyncio.Event()

        async def count() -> None:
            nonlocal turn
            while not over.is_set():
                turn += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        waiting = [s.wait_for(n) for n in range(1, 401)]
        for one in waiting:
            one.waiter.verdict.add_done_callback(lambda _: told.update([turn]))
        assert await all_end(waiting)
        over.set()
        await counting
        assert told.total() == 400
        assert max(told.values()) <= ENDS_AT_A_TIME

    play(scene, debug=False)


def test_of_many_logs_in_an_answer_one_is_taken_in_a_turn_of_the_loop(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_ever, turn, taken = job_log.formatted, 0, Counter[int]()

    def formatted(line: LogLine) -> str:
        taken[turn] += 1
        return as_ever(line)

    monkeypatch.setattr(job_log, "formatted", formatted)

    async def scene(s: Scene) -> None:
        nonlocal turn
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        s.saagie.log_of = lambda *_: [("STDOUT", f"line {n}") for n in range(20)]
        waiting = [s.wait_for(n, stream_logs=True) for n in range(1, 21)]
        while taken.total() < 400 and turn < 100_000:
            turn += 1
            await asyncio.sleep(0)
        assert taken.total() == 400
        assert max(taken.values()) <= 20
        await all_leave(waiting)

    play(scene, debug=False)


class WhoWrites(Recorder):
    """Keeps in which thread each line was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[tuple[str, int]] = []

    def handle(self, record: Any) -> None:
        self.threads.append((record.getMessage(), threading.get_ident()))


def test_what_is_told_to_many_is_written_by_a_thread(play: Callable[..., None]) -> None:
    """The triggerer's log is a socket: writing blocks where its other process is busy with a thousand events."""

    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda asked: web.Response(status=503) if 30 < asked.at < 130 else None
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 300 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = lambda *_: [("STDOUT", f"line {n}") for n in range(3)]
        waiting = [s.wait_for(n, stream_logs=True) for n in (1, 2)]
        logs = [WhoWrites() for _ in waiting]
        for one, log in zip(waiting, logs, strict=True):
            one.waiter.log = log
        assert await all_end(waiting)
        stopper = WhoWrites()
        await s.stop_with(Waiter(instance_id=instance(3), log=stopper))
        here = threading.get_ident()
        for log in (*logs, stopper):
            assert log.threads
            assert [line for line, thread in log.threads if thread == here] == []
        for log in logs:
            said = [line for line, _ in log.threads]
            assert [line.rpartition("] ")[2] for line in said[:3]] == ["line 0", "line 1", "line 2"]
            assert "Saagie is away" in said[3]
            assert "Saagie answers again" in said[4]

    play(scene)


class StandsStill(Recorder):
    """A log that takes no line until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.waited_in_vain = False

    def handle(self, record: Any) -> None:
        self.reached.set()
        self.waited_in_vain |= not self.go_on.wait(10)
        super().handle(record)


def test_a_log_that_stands_still_holds_up_nobody_elses_end(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda id_, _: row("RUNNING" if id_ == instance(1) else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = lambda *_: [("STDOUT", "a line")]
        stuck = s.wait_for(1, stream_logs=True)
        stuck.waiter.log = log = StandsStill()
        try:
            await asyncio.to_thread(log.reached.wait, 10)
            assert await all_end([s.wait_for(2)])
            assert (log.lines, log.waited_in_vain) == ([], False)
        finally:
            log.go_on.set()
        await all_leave([stuck])

    play(scene)


def test_whoever_has_such_a_log_hears_of_the_end_a_moment_later_and_stops_no_loop(play: Callable[..., None]) -> None:
    over = False

    async def scene(s: Scene) -> None:
        nonlocal over
        s.saagie.tell = lambda *_: row("SUCCEEDED" if over else "RUNNING")
        s.saagie.log_of = lambda *_: [("STDOUT", "a line")]
        stuck = s.wait_for(1, stream_logs=True, poll_interval=1)
        stuck.waiter.log = log = StandsStill()
        try:
            await asyncio.to_thread(log.reached.wait, 10)
            over = True
            assert await asyncio.wait_for(all_end([stuck]), 8)
            assert (log.lines, log.waited_in_vain) == ([], False)
        finally:
            log.go_on.set()

    play(scene)


def test_an_end_while_the_last_line_up_to_the_limit_is_written_costs_nobody_else_the_watcher(
    play: Callable[..., None],
) -> None:
    over: set[str] = set()

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda id_, _: row("SUCCEEDED" if id_ in over else "RUNNING")
        s.saagie.log_of = lambda *_: [("STDOUT", "a line")]
        stays = s.wait_for(2, poll_interval=1)
        stuck = s.wait_for(1, stream_logs=True, poll_interval=1, log_limit=1)
        stuck.waiter.log = log = StandsStill()
        try:
            await asyncio.to_thread(log.reached.wait, 10)
            over.add(instance(1))
            assert await all_end([stuck])
        finally:
            log.go_on.set()
        await asyncio.sleep(5)
        over.add(instance(2))
        assert await all_end([stays])

    play(scene)


def test_what_is_told_of_a_doubt_or_to_a_late_comer_is_written_by_a_thread_too(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda asked: web.Response(status=503) if 30 < asked.at < 130 else None

        def tell(id_: str, at: float) -> Any:
            if id_ == instance(1) and at < 20:
                raise RowFails("out of order")
            return row("RUNNING" if at < 300 else "STRANGE" if at < 330 else "SUCCEEDED", age=HOUR)

        s.saagie.tell = tell
        waiting = [s.wait_for(n) for n in (1, 2)]
        for one in waiting:
            one.waiter.log = WhoWrites()
        await asyncio.sleep(90)
        late = s.wait_for(3)
        late.waiter.log = WhoWrites()
        assert await all_end([*waiting, late])
        doubted, sound, came_late = (one.waiter.log.threads for one in (*waiting, late))  # type: ignore[attr-defined]
        assert threading.get_ident() not in {thread for _, thread in (*doubted, *sound, *came_late)}
        assert ["can't say" in doubted[0][0], "can't say" in sound[0][0]] == [True, False]
        assert "Saagie is away" in came_late[0][0]
        assert ["not known to this provider" in said[-1][0] for said in (doubted, sound, came_late)] == [True] * 3

    play(scene)


def test_a_line_that_comes_with_the_end_is_written_before_it(play: Callable[..., None]) -> None:
    """Who has left hears no more: its log is closed."""

    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda asked: web.Response(status=503) if 3 < asked.at < 60 else None
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        waiting = [s.wait_for(n) for n in range(1, 200)]
        assert await all_end(waiting)
        assert {tuple("answers again" in line for line in one.log.lines) for one in waiting} == {(False, True)}

    play(scene)


def test_a_log_that_stands_still_delays_an_end_by_a_moment_only(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("STRANGE" if at < 1 else "SUCCEEDED")
        stuck = s.wait_for(1, poll_interval=1)
        stuck.waiter.log = log = StandsStill()
        try:
            assert await asyncio.wait_for(all_end([stuck]), 8)
            assert (log.lines, log.waited_in_vain) == ([], False)
        finally:
            log.go_on.set()

    play(scene)


def test_who_is_trusted_is_read_by_a_thread(play: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A system's CA bundle takes a tenth of a second and more to read (seen in a triggerer, on a busy machine)."""
    read_by = []

    def trusting(bundle: str) -> Any:
        read_by.append(threading.get_ident())
        return tls.trusting(bundle)

    monkeypatch.setattr(async_session, "trusting", trusting)

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 10 else "SUCCEEDED")
        assert await all_end([s.wait_for(1)])
        assert read_by
        assert threading.get_ident() not in read_by

    play(scene)


def test_a_loop_that_is_shut_down_waits_for_no_such_log_and_leaves_nothing(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("STRANGE", age=HOUR)
        before = asyncio.all_tasks()
        waiting = [s.wait_for(n) for n in range(1, 20)]
        log = StandsStill()
        for one in waiting:
            one.waiter.log = log
        try:
            await asyncio.to_thread(log.reached.wait, 10)
            # As asyncio.run does: each task is cancelled, in whatever order.
            tasks = {task for task in asyncio.all_tasks() - before if "aiohttp.web" not in repr(task)}
            assert len(tasks) > 19 + 2
            for task in tasks:
                task.cancel()
            _, pending = await asyncio.wait(tasks, timeout=5)
            assert (pending, log.waited_in_vain) == (set(), False)
        finally:
            log.go_on.set()

    play(scene)


def test_of_many_who_give_up_at_once_some_do_in_a_turn_of_the_loop(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.password = "changed"
        waiting = [s.wait_for(n) for n in range(1, 401)]
        loop, turn, told = asyncio.get_running_loop(), 0, Counter[int]()

        def next_turn() -> None:
            nonlocal turn
            turn += 1

        def count(_: object) -> None:
            if not told[turn]:
                loop.call_soon(next_turn)
            told[turn] += 1

        for one in waiting:
            one.waiter.verdict.add_done_callback(count)
        assert not await all_end(waiting)
        assert told.total() == 400
        assert max(told.values()) <= 2 * AT_A_TIME

    play(scene, debug=False)
