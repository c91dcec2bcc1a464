"""The event trigger's checkpoint: when it is written to the assets' state stores, and what happens if that fails."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from airflow_provider_saagie.triggers.job_feed import JobFeed
from airflow_provider_saagie.triggers.ledger import Ledger
from airflow_provider_saagie.triggers.told import Told
from tests.support.fake_saagie import JOB, instance
from tests.support.fake_triggerer import Database, Triggerer
from tests.support.recording_logger import RecordingLogger
from tests.support.virtual_time import run

# It is in users' databases: under another key, all event triggers would begin again.
KEY = f"saagie:acme:{JOB}:FAILED:SUCCEEDED"
A, B, C = (instance(number) for number in (1, 2, 3))


class Scene(Triggerer):
    """A triggerer that only reads and writes; its trigger does not run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *assets: str) -> None:
        arguments = {"saagie_conn_id": "acme", "job_id": JOB, "statuses": ["succeeded", "failed"]}
        super().__init__(Database(), arguments, monkeypatch, assets)
        self.requests: list[tuple[float, str]] = []
        self.ledger = Ledger.of(self.trigger)
        self.began = 0.0

    async def asend(self, message: Any) -> Any:
        self.requests.append((self.now(), type(message).__name__[:3]))
        return await super().asend(message)

    def now(self) -> float:
        return round(asyncio.get_running_loop().time() - self.began, 1)

    def stored(self, asset: str = "report") -> Any:
        return json.loads(self.database.state[asset, KEY])

    def store(self, value: Any, asset: str = "report") -> None:
        self.database.state[asset, KEY] = json.dumps(value)


def with_assets(*assets: str) -> Callable[[Callable[[Scene], Coroutine[Any, Any, None]]], Callable[..., None]]:
    """Run a test in virtual time, with a trigger that feeds these assets."""

    def decorate(test: Callable[[Scene], Coroutine[Any, Any, None]]) -> Callable[..., None]:
        async def perform(monkeypatch: pytest.MonkeyPatch) -> None:
            scene = Scene(monkeypatch, *assets)
            await scene.crash()  # before its trigger has begun
            scene.began = asyncio.get_running_loop().time()
            await test(scene)
            assert threading.get_ident() not in scene.trigger.log.threads  # a log may block

        return lambda monkeypatch: run(perform(monkeypatch))

    return decorate


def feed_with(told: Told | None) -> JobFeed:
    return JobFeed(job_id=JOB, statuses=frozenset({"SUCCEEDED"}), log=RecordingLogger(), told=told)


@with_assets("report")
async def test_reported_ends_are_stored_once_airflow_has_them(s: Scene) -> None:
    """That is 5 s after the response to a request that was sent later than the events."""

    feed = feed_with(told := Told(3, {A, B, C}))
    s.awake.clear()  # the supervisor is suspended
    writing = asyncio.create_task(s.ledger.keep(feed, {A, B}))
    await asyncio.sleep(100)
    s.awake.set()
    await writing
    assert s.requests == [(0, "Get"), (105, "Set")]
    assert s.stored() == {"listed": 3, "open": [C]}
    assert (told, s.lines) == (Told(3, {C}), [])
    told.open.add(A)  # a restored job may use its instances' ids again
    await s.ledger.keep(feed, set())
    assert s.stored() == {"listed": 3, "open": [A, C]}


@with_assets("report")
async def test_changes_without_reported_ends_are_stored_at_once(s: Scene) -> None:
    await s.ledger.keep(feed_with(None), set())  # the job has not been seen yet
    feed = feed_with(told := Told(1, {A}))
    for listed in (1, 1, 1, 2):
        told.listed = listed
        await s.ledger.keep(feed, set())
    assert s.requests == [(0, "Set"), (0, "Set")]
    assert s.stored() == {"listed": 2, "open": [A]}


@with_assets("report")
async def test_failed_write_is_made_up_for_by_the_next(s: Scene) -> None:
    for away_from, away_until, what in ((0, 1, "read"), (1, 11, "written")):
        feed = feed_with(Told(3, {A, B, C}))
        writing = asyncio.create_task(s.ledger.keep(feed, {A}))
        await asyncio.sleep(away_from)
        s.database.away = RuntimeError("API server away")
        await asyncio.sleep(away_until - away_from)
        s.database.away = None
        await writing
        assert (feed.told, s.database.state) == (Told(3, {A, B, C}), {})
        assert s.lines == [f"The asset's state can't be {what}; it is tried again. (API server away)"]
        await s.ledger.keep(feed, {B})
        assert s.stored() == {"listed": 3, "open": [C]}
        assert feed.told == Told(3, {C})
        s.lines.clear()
        s.database.state.clear()
        s.ledger = Ledger.of(s.trigger)


@with_assets("report")
async def test_unreadable_state_is_read_each_minute_and_logged_once(s: Scene) -> None:
    s.store({"listed": 3, "open": [A]})
    s.database.away = TimeoutError()
    reading = asyncio.create_task(s.ledger.read())
    await asyncio.sleep(190)
    assert s.requests == [(60 * n, "Get") for n in range(4)]
    assert s.lines == ["The asset's state can't be read; it is tried again. (TimeoutError)"]
    s.database.away = None
    told = await reading
    assert told == Told(3, {A})
    assert len(s.requests) == 5
    feed = feed_with(told)
    for failures in (2, 3):  # each later failure is logged once too
        told.listed += 1
        for away in [RuntimeError("API server away")] * failures + [None]:
            s.database.away = away
            await s.ledger.keep(feed, set())
        assert "can't be written;" in s.lines[-1]
        assert len(s.lines) == failures


@with_assets("new", "older", "old")
async def test_checkpoint_of_several_assets_is_the_furthest(s: Scene) -> None:
    s.store({"listed": 9, "open": [B]}, "old")
    s.store({"listed": 7, "open": [A]}, "older")
    assert await s.ledger.read() == Told(9, {B})
    assert s.lines == []  # an asset without a state is nothing to warn of
    await s.ledger.keep(feed_with(Told(10)), set())
    assert [s.stored(asset) for asset in ("new", "older", "old")] == [{"listed": 10, "open": []}] * 3
    s.store("junk", "new")
    assert await s.ledger.read() == Told(10)
    assert s.lines == [f"What is stored under {KEY!r} was not written by this provider: it is passed over."]


@with_assets()
async def test_reported_ends_are_forgotten_at_once_without_a_store(s: Scene) -> None:
    assert await s.ledger.read() is None
    assert ["3.3" in line for line in s.lines] == [True]
    feed, before = feed_with(Told(2, {A, B})), s.now()
    await s.ledger.keep(feed, {A})
    assert feed.told == Told(2, {B})
    assert (s.now(), s.requests) == (before, [])
