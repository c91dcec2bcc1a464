"""Whoever waits gets one event, and the right one, whoever comes and goes and whatever goes wrong meanwhile."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger
from tests.support.fake_saagie import PASSWORD, RowFails, instance, refusal, row
from tests.support.recording_logger import Recorder
from tests.support.virtual_time import CpuTimeLoop, TimelessLoop
from tests.support.watcher_scenario import Scene

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = int(os.environ.get("SAAGIE_TEST_EXAMPLES", "8"))  # a long run by hand: SAAGIE_TEST_EXAMPLES=500
CLEAR = 120.0
"""Seconds after which nothing goes wrong any more."""
SOON = 150.0
"""Seconds after which an end is told: a pause, a request without an answer, a refused login that is tried anew."""
SHORT_PATIENCE = 60.0
SILENCE = 50.0
"""Seconds after which a request is answered that nobody waits for any more."""


@dataclass
class Run:
    """An instance, and the times in which the platform can't tell of it.

    :param ends: when, in seconds of the scene.
    :param deleted: seconds after its end.
    """

    ends: float
    status: str
    deleted: float
    hidden_from: float
    hidden_for: float


@dataclass
class Person:
    """Somebody who waits.

    :param run: the instance's number.
    :param leaves: seconds after the arrival; None stays.
    :param deadline: seconds after the arrival.
    """

    arrives: float
    run: int
    leaves: float | None
    deadline: float | None
    poll_interval: float
    stream_logs: bool


@dataclass
class Fault:
    """Something wrong for a while."""

    kind: str
    begins: float
    lasts: float

    def is_on(self, at: float) -> bool:
        return self.begins <= at < self.begins + self.lasts


@dataclass
class Came:
    """What came of a person's waiting."""

    person: Person
    log: Recorder = field(default_factory=Recorder)
    arrived: float = 0.0
    left: float = 0.0
    was_cancelled: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)


RUNS = st.lists(
    st.builds(
        Run,
        ends=st.floats(0, CLEAR),
        status=st.sampled_from(["SUCCEEDED", "FAILED", "KILLED"]),
        deleted=st.sampled_from([math.inf, math.inf, 0.0, 30.0]),
        hidden_from=st.floats(0, 30),
        hidden_for=st.sampled_from([0.0, 0.0, 20.0, 90.0]),
    ),
    min_size=4,
    max_size=4,
)
PEOPLE = st.lists(
    st.builds(
        Person,
        arrives=st.floats(0, 60),
        run=st.integers(0, 3),
        leaves=st.none() | st.floats(0, 90),
        deadline=st.none() | st.floats(0, 150),
        poll_interval=st.sampled_from([2.0, 5.0, 10.0, 20.0]),
        stream_logs=st.booleans(),
    ),
    min_size=1,
    max_size=8,
)
KINDS = ("503", "429", "odd answer", "refuses all", "refuses many", "silent", "hangs up", "new tokens", "new password")
FAULTS = st.lists(st.builds(Fault, st.sampled_from(KINDS), st.floats(0, 95), st.floats(1, 25)), max_size=3)


class Weather:
    """Has a Saagie go wrong as planned."""

    def __init__(self, scene: Scene, faults: list[Fault]) -> None:
        self.saagie = scene.saagie
        self.faults = faults
        self.saagie.refuse = self._refuse
        self.saagie.hangs_up = lambda at: self._is("hangs up", at)

    def _is(self, kind: str, at: float) -> bool:
        return any(fault.kind == kind and fault.is_on(at) for fault in self.faults)

    def _refuse(self, asked: Any) -> web.Response | None:
        if self._is("503", asked.at):
            return web.Response(status=503)
        if self._is("429", asked.at):
            return web.Response(status=429, headers={"Retry-After": "20"})
        if self._is("odd answer", asked.at):
            return web.Response(text="<html>Come back later</html>")
        if self._is("refuses all", asked.at):
            return refusal("no")
        return web.Response(status=413) if self._is("refuses many", asked.at) and len(asked.ids) > 1 else None

    async def change(self) -> None:
        """Do what is no matter of an answer, until the weather is clear."""
        for fault in self.faults:
            loop = asyncio.get_running_loop()
            begins = loop.time() - self.saagie.now() + fault.begins
            loop.call_at(begins, self._turn, fault, True)
            loop.call_at(begins + fault.lasts, self._turn, fault, False)
        await asyncio.sleep(CLEAR)

    def _turn(self, fault: Fault, begins: bool) -> None:
        if fault.kind == "silent":
            self.saagie.latency = SILENCE if begins else 0.1
        elif fault.kind in ("new tokens", "new password"):
            self.saagie.tokens.clear()
            self.saagie.password = "another" if begins and fault.kind == "new password" else PASSWORD


def teller(runs: list[Run]) -> Callable[[str, float], dict[str, Any] | None]:
    def tell(instance_id: str, at: float) -> dict[str, Any] | None:
        run = runs[int(instance_id[-4:], 16)]
        if run.hidden_from <= at < run.hidden_from + run.hidden_for:
            raise RowFails("no right to see it")
        if at >= run.ends + run.deleted:
            return None
        return row(run.status if at >= run.ends else "RUNNING", age=at)

    return tell


async def wait(scene: Scene, person: Person) -> Came:
    """Do what Airflow does with a trigger, from its arrival to its end."""
    came = Came(person)
    await asyncio.sleep(person.arrives)
    came.arrived = scene.saagie.now()

    class Recorded(SaagieJobInstanceTrigger):
        log = came.log  # type: ignore[assignment]

    trigger = Recorded(
        saagie_conn_id=scene.conn_id,
        instance_id=instance(person.run),
        poll_interval=person.poll_interval,
        deadline=None if person.deadline is None else time.time() + person.deadline,
        stream_logs=person.stream_logs,
    )

    async def run() -> None:
        async for event in trigger.run():
            came.events.append(event.payload)

    task = asyncio.create_task(run())
    await asyncio.wait({task}, timeout=person.leaves)
    if not task.done():
        task.cancel()
        came.was_cancelled = True
        await asyncio.wait({task})
        assert task.cancelled()
    else:
        task.result()
    came.left = scene.saagie.now()
    return came


def check(came: Came, run: Run, faults: list[Fault]) -> None:
    person = came.person
    if came.was_cancelled:
        assert came.events == []
        return
    (event,) = came.events
    assert event["instance_id"] == instance(person.run)
    deadline = math.inf if person.deadline is None else came.arrived + person.deadline
    if event["status"] == "timeout":
        assert deadline - 0.1 <= came.left < deadline + 10
    elif event.get("error_kind") == "gone":
        assert came.left >= run.ends + run.deleted
    elif event.get("error_kind"):
        assert run.hidden_for >= SHORT_PATIENCE
        assert "no right to see it" in event["message"]
    else:
        assert event["instance_status"] == run.status
        assert (event["status"] == "success") == (run.status == "SUCCEEDED")
        assert came.left >= run.ends
    wrong = [fault.begins + fault.lasts for fault in faults] + [run.hidden_from + run.hidden_for]
    assert came.left < min(deadline + 10, max(came.arrived, run.ends, *wrong) + SOON)


def check_nobody_is_asked_for_in_vain(scene: Scene, came: list[Came]) -> None:
    for asked in scene.saagie.looks:
        for one in set(asked.ids):
            of_it = [who for who in came if instance(who.person.run) == one]
            assert any(who.arrived <= asked.at <= who.left + 1.0 for who in of_it) or scene.saagie.latency


@given(runs=RUNS, people=PEOPLE, faults=FAULTS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whoever_stays_gets_one_event_and_the_right_one(
    play: Callable[..., None], runs: list[Run], people: list[Person], faults: list[Fault]
) -> None:
    async def scene(s: Scene) -> None:
        weather = Weather(s, faults)
        s.saagie.tell = teller(runs)
        s.saagie.log_of = lambda _, at: [("STDOUT", f"line {n}") for n in range(int(at))]
        changing = asyncio.create_task(weather.change())
        came = await asyncio.gather(*(wait(s, person) for person in people))
        for one in came:
            check(one, runs[one.person.run], faults)
            lines = [line for line in one.log.lines if line.startswith("[job]")]
            assert lines == [f"[job] line {n}" for n in range(len(lines))]
            assert not lines or one.person.stream_logs
        check_nobody_is_asked_for_in_vain(s, came)
        changing.cancel()
        await asyncio.wait({changing})
        await asyncio.sleep(2 * SILENCE)  # the server has its tasks, too

    play(scene, debug=False, loop=TimelessLoop)


def test_asyncio_finds_nothing_to_warn_of(play: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    """Nothing that blocks the loop for 100 ms of work, nothing that was never awaited, closed or heard of."""
    people = [
        Person(n % 7, n % 4, 20.0 if n % 5 == 0 else None, 55.0 if n % 3 == 0 else None, 5.0, n % 2 == 0)
        for n in range(60)
    ]
    faults = [Fault("503", 10, 20), Fault("hangs up", 35, 5), Fault("new tokens", 45, 1), Fault("refuses many", 50, 9)]
    runs = [Run(20.0 * n, "SUCCEEDED", math.inf, 0, 0) for n in range(1, 5)]

    async def scene(s: Scene) -> None:
        asyncio.get_running_loop().slow_callback_duration = 0.1
        weather = Weather(s, faults)
        s.saagie.tell = teller(runs)
        s.saagie.log_of = lambda _, at: [("STDOUT", f"line {n}") for n in range(int(at))]
        changing = asyncio.create_task(weather.change())
        came = await asyncio.gather(*(wait(s, person) for person in people))
        changing.cancel()
        await asyncio.wait({changing})
        for one in came:
            check(one, runs[one.person.run], faults)

    gc.collect()
    gc.freeze()  # what other tests have left is no work of ours
    try:
        with caplog.at_level(logging.WARNING, "asyncio"):
            play(scene, debug=True, loop=CpuTimeLoop)
        gc.collect()  # what was left open makes itself heard now: warnings are errors
    finally:
        gc.unfreeze()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
