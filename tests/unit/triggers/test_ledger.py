"""What is told is written down when that is safe, and no oftener; trouble with Airflow's stores is told once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from airflow_provider_saagie.triggers.job_feed import JobFeed
from airflow_provider_saagie.triggers.ledger import Ledger
from airflow_provider_saagie.triggers.told import Told
from tests.support.fake_job import JOB
from tests.support.fake_saagie import instance
from tests.support.fake_triggerer import Database, Triggerer
from tests.support.recording_logger import Recorder
from tests.support.virtual_time import TimelessLoop, run

KEY = f"saagie:acme:{JOB}:FAILED:SUCCEEDED"
A, B, C = (instance(number) for number in (1, 2, 3))


class Scene(Triggerer):
    """A triggerer that only reads and writes: its trigger does not run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *assets: str) -> None:
        arguments = {"saagie_conn_id": "acme", "job_id": JOB, "statuses": ["succeeded", "failed"]}
        super().__init__(Database(), arguments, monkeypatch, assets)
        self.asked: list[tuple[float, str, str]] = []
        self.ledger = Ledger.of(self.trigger)

    async def asend(self, message: Any) -> Any:
        self.asked.append((self.now(), type(message).__name__[:3].lower(), message.name))
        return await super().asend(message)

    def now(self) -> float:
        return round(asyncio.get_running_loop().time(), 1)

    def stored(self, asset: str = "report") -> Any:
        return json.loads(self.database.state[asset, KEY])

    def store(self, value: Any, asset: str = "report") -> None:
        self.database.state[asset, KEY] = json.dumps(value)


Play = Callable[..., None]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    async def whole(scene: Callable[[Scene], Coroutine[Any, Any, None]], assets: tuple[str, ...]) -> None:
        here = Scene(monkeypatch, *assets)
        await here.crash()  # before its trigger has begun
        await scene(here)

    return lambda scene, *assets: run(whole(scene, assets or ("report",)), loop=TimelessLoop)


def feed_with(told: Told | None) -> JobFeed:
    return JobFeed(job_id=JOB, statuses=frozenset({"SUCCEEDED"}), log=Recorder(), told=told)


def test_what_was_told_is_written_once_airflow_surely_has_it(play: Play) -> None:
    """After an answer to a question that was asked later, and five seconds more."""

    async def scene(s: Scene) -> None:
        feed, began = feed_with(Told(3, {A, B, C})), s.now()
        s.awake.clear()  # the supervisor stands still
        writing = asyncio.create_task(s.ledger.keep(feed, {A, B}))
        await asyncio.sleep(100)
        s.awake.set()
        await writing
        assert s.asked == [(began, "get", "report"), (began + 105, "set", "report")]
        assert s.stored() == {"listed": 3, "open": [C]}
        assert feed.told == Told(3, {C})
        assert s.lines == []

    play(scene)


def test_where_nothing_was_told_it_is_written_at_once_and_only_what_is_new(play: Play) -> None:
    async def scene(s: Scene) -> None:
        feed, began = feed_with(told := Told(1, {A})), s.now()
        for _ in range(3):
            await s.ledger.keep(feed, set())
        assert s.asked == [(began, "set", "report")]
        told.listed = 2
        await s.ledger.keep(feed, set())
        assert s.asked[1:] == [(began, "set", "report")]
        assert s.stored() == {"listed": 2, "open": [A]}

    play(scene)


def test_before_the_job_was_seen_there_is_nothing_to_write(play: Play) -> None:
    async def scene(s: Scene) -> None:
        await s.ledger.keep(feed_with(None), set())
        assert s.asked == []

    play(scene)


@pytest.mark.parametrize("at", ["question", "writing"])
def test_what_could_not_be_written_is_written_with_what_is_told_next(play: Play, at: str) -> None:
    async def scene(s: Scene) -> None:
        feed = feed_with(Told(3, {A, B, C}))
        writing = asyncio.create_task(s.ledger.keep(feed, {A}))
        await asyncio.sleep(0 if at == "question" else 1)
        s.database.away = RuntimeError("API server away")
        await asyncio.sleep(1 if at == "question" else 10)
        s.database.away = None
        await writing
        assert feed.told == Told(3, {A, B, C})
        assert s.database.writes == 0
        what = "read" if at == "question" else "written"
        assert s.lines == [f"The asset's state can't be {what}; it is tried again. (API server away)"]
        await s.ledger.keep(feed, {B})
        assert s.stored() == {"listed": 3, "open": [C]}
        assert feed.told == Told(3, {C})

    play(scene)


def test_what_has_been_written_is_no_more_told_of(play: Play) -> None:
    """A job may be restored with its instances, whose numbers and ids come up anew."""

    async def scene(s: Scene) -> None:
        feed = feed_with(told := Told(1, {A}))
        await s.ledger.keep(feed, {A})
        told.open.add(A)
        await s.ledger.keep(feed, set())
        assert s.stored() == {"listed": 1, "open": [A]}

    play(scene)


def test_state_that_cannot_be_read_is_asked_for_once_a_minute(play: Play) -> None:
    async def scene(s: Scene) -> None:
        s.store({"listed": 3, "open": [A]})
        s.database.away, began = TimeoutError(), s.now()
        reading = asyncio.create_task(s.ledger.read())
        await asyncio.sleep(190)
        assert s.asked == [(began + 60 * n, "get", "report") for n in range(4)]
        assert s.lines == ["The asset's state can't be read; it is tried again. (TimeoutError)"]
        s.database.away = None
        assert await reading == Told(3, {A})
        assert len(s.asked) == 5

    play(scene)


def test_each_trouble_is_told_once(play: Play) -> None:
    async def scene(s: Scene) -> None:
        feed = feed_with(told := Told(0, set()))
        for what in ("read", "written", "written"):
            s.database.away = RuntimeError("API server away")
            if what == "read":
                doing: asyncio.Task[Any] = asyncio.create_task(s.ledger.read())
                await asyncio.sleep(130)
                s.database.away = None
                await doing
            else:
                told.listed += 1
                for away in (s.database.away, s.database.away, None):
                    s.database.away = away
                    await s.ledger.keep(feed, set())
            assert f"can't be {what};" in s.lines[-1]
        assert len(s.lines) == 3

    play(scene)


def test_of_several_assets_the_one_that_has_come_furthest_counts_and_each_is_written(play: Play) -> None:
    async def scene(s: Scene) -> None:
        s.store({"listed": 9, "open": [B]}, "old")
        s.store({"listed": 7, "open": [A]}, "older")
        assert await s.ledger.read() == Told(9, {B})
        assert s.lines == []  # one that has nothing yet is nothing to warn of
        await s.ledger.keep(feed_with(Told(10, set())), set())
        assert [s.stored(asset) for asset in ("new", "older", "old")] == [{"listed": 10, "open": []}] * 3

    play(scene, "new", "older", "old")


def test_foreign_state_is_passed_over_under_the_name_where_ours_stays(play: Play) -> None:
    """The name is in users' databases: another one would begin all event triggers anew."""

    async def scene(s: Scene) -> None:
        s.store("junk")
        s.store({"listed": 7, "open": [A]}, "other")
        assert await s.ledger.read() == Told(7, {A})
        assert s.lines == [f"What is stored under {KEY!r} was not written by this provider: it is passed over."]

    play(scene, "report", "other")


def test_without_stores_what_was_told_is_forgotten_at_once(play: Play) -> None:
    async def scene(s: Scene) -> None:
        s.ledger = Ledger(KEY, [], s.trigger.log)
        assert await s.ledger.read() is None
        assert ["3.3" in line for line in s.lines] == [True]
        feed, began = feed_with(Told(2, {A, B})), s.now()
        await s.ledger.keep(feed, {A})
        assert feed.told == Told(2, {B})
        assert (s.now(), s.asked) == (began, [])

    play(scene)
