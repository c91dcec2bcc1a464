"""Each trigger yields one correct event while triggers come and go, instances end and faults happen, at random."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_saagie.client import documents
from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger
from tests.support.fake_saagie import PASSWORD, FakeSaagie, ItemError, Request, Row, instance, refusal, row
from tests.support.recording_logger import RecordingLogger
from tests.support.virtual_time import CpuTimeLoop
from tests.support.watcher_scenario import Scenario

EXAMPLES = int(os.environ.get("SAAGIE_TEST_EXAMPLES", "8"))  # a long run by hand: SAAGIE_TEST_EXAMPLES=500
LAST_FAULT = 120.0  # seconds of the scenario
REACTION = 150.0  # until an end is seen: a pause, a request without an answer, a refused login that is retried
SILENCE = 50.0  # before an answer for which no client waits


@dataclass
class Run:
    """An instance; times are seconds of the scenario, `deleted` is seconds after its end."""

    ends: float
    status: str = "SUCCEEDED"
    deleted: float = math.inf
    hidden_from: float = 0.0
    hidden_for: float = 0.0

    def at(self, at: float) -> Row:
        if self.hidden_from <= at < self.hidden_from + self.hidden_for:
            raise ItemError("no right to see it")
        if at >= self.ends + self.deleted:
            return None
        return row(self.status if at >= self.ends else "RUNNING", age=at)


class Fault(NamedTuple):
    kind: str
    begins: float
    lasts: float


@dataclass
class Client:
    """A trigger, from its arrival to its event or to its cancellation; times are seconds after its arrival."""

    arrives: float
    run: int
    leaves: float | None
    deadline: float | None
    poll_interval: float
    stream_logs: bool

    async def wait(self, scenario: Scenario) -> None:
        class Trigger(SaagieJobInstanceTrigger):
            log = RecordingLogger()  # type: ignore[assignment]

        async def collect() -> list[dict[str, Any]]:
            return [event.payload async for event in trigger.run()]

        await asyncio.sleep(self.arrives)
        self.arrived = scenario.saagie.now()
        trigger = Trigger(
            saagie_conn_id=scenario.conn_id,
            instance_id=instance(self.run),
            poll_interval=self.poll_interval,
            deadline=None if self.deadline is None else time.time() + self.deadline,
            stream_logs=self.stream_logs,
        )
        task = asyncio.create_task(collect())
        await asyncio.wait({task}, timeout=self.leaves)
        was_cancelled = task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() == was_cancelled
        self.events = None if was_cancelled else task.result()
        self.left = scenario.saagie.now()
        lines = [line for line in Trigger.log.lines if line.startswith("[job]")]
        assert lines == [f"[job] line {n}" for n in range(len(lines))]
        assert not lines or self.stream_logs

    def check(self, run: Run, faults: list[Fault]) -> None:
        if self.events is None:
            return
        (event,) = self.events
        assert event["instance_id"] == instance(self.run)
        deadline = math.inf if self.deadline is None else self.arrived + self.deadline
        if event["status"] == "timeout":
            assert deadline - 5 <= self.left < deadline + 10
        elif event.get("error_kind") == "gone":
            assert self.left >= run.ends + run.deleted
        elif event.get("error_kind"):
            assert run.hidden_for >= 60
            assert "no right to see it" in event["message"]
        else:
            assert event["instance_status"] == run.status
            assert (event["status"] == "success") == (run.status == "SUCCEEDED")
            assert self.left >= run.ends
        troubles = [fault.begins + fault.lasts for fault in faults] + [run.hidden_from + run.hidden_for]
        assert self.left < min(deadline + 10, max(self.arrived, run.ends, *troubles) + REACTION)


RUNS = st.lists(
    st.builds(
        Run,
        ends=st.floats(0, LAST_FAULT),
        status=st.sampled_from(["SUCCEEDED", "FAILED", "KILLED"]),
        deleted=st.sampled_from([math.inf, math.inf, 0.0, 30.0]),
        hidden_from=st.floats(0, 30),
        hidden_for=st.sampled_from([0.0, 0.0, 20.0, 90.0]),
    ),
    min_size=4,
    max_size=4,
)
CLIENTS = st.lists(
    st.builds(
        Client,
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
KINDS = ("503", "429", "odd answer", "refuses all", "refuses many", "silent", "drops", "new tokens", "new password")
FAULTS = st.lists(st.builds(Fault, st.sampled_from(KINDS), st.floats(0, 95), st.floats(1, 25)), max_size=3)


def inject(saagie: FakeSaagie, faults: list[Fault]) -> None:
    """Have a fake Saagie go wrong as planned."""

    def is_on(kind: str, at: float) -> bool:
        return any(fault.kind == kind and fault.begins <= at < fault.begins + fault.lasts for fault in faults)

    def intercept(request: Request) -> web.Response | None:
        responses = {
            "503": web.Response(status=503),
            "429": web.Response(status=429, headers={"Retry-After": "20"}),
            "odd answer": web.Response(text="<html>Come back later</html>"),
            "refuses all": refusal("no"),
            "refuses many": web.Response(status=413) if len(request.ids) > 1 else None,
        }
        return next((response for kind, response in responses.items() if is_on(kind, request.at)), None)

    def turn(fault: Fault, begins: bool) -> None:
        if fault.kind == "silent":
            saagie.latency = SILENCE if begins else 0.1
        elif fault.kind in ("new tokens", "new password"):
            saagie.change_password("another" if begins and fault.kind == "new password" else PASSWORD)

    saagie.intercept = intercept
    saagie.drops_connection = partial(is_on, "drops")
    loop = asyncio.get_running_loop()
    for fault in faults:
        loop.call_later(fault.begins, turn, fault, True)
        loop.call_later(fault.begins + fault.lasts, turn, fault, False)


async def play(scenario: Scenario, runs: list[Run], clients: list[Client], faults: list[Fault]) -> None:
    saagie = scenario.saagie
    saagie.get_instance = lambda id_, at: runs[int(id_[-4:], 16)].at(at)
    saagie.get_log = lambda _, at: [("STDOUT", f"line {n}") for n in range(int(at))]
    inject(saagie, faults)
    await asyncio.gather(*(client.wait(scenario) for client in clients))
    for client in clients:
        client.check(runs[client.run], faults)
    for poll in saagie.polls if not saagie.latency else ():
        for id_ in poll.ids:
            waiting = [client for client in clients if instance(client.run) == id_]
            assert any(client.arrived <= poll.at <= client.left + 1.0 for client in waiting)
    await asyncio.sleep(LAST_FAULT + 2 * SILENCE)  # until the server's tasks have ended
    saagie.latency = 0.0


@given(runs=RUNS, clients=CLIENTS, faults=FAULTS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_trigger_yields_one_correct_event(
    monkeypatch: pytest.MonkeyPatch, runs: list[Run], clients: list[Client], faults: list[Fault]
) -> None:
    scenario = Scenario(monkeypatch)
    scenario.run(lambda: play(scenario, runs, clients, faults))


def test_asyncio_has_nothing_to_warn_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing blocks the loop with 0.1 s of work, nothing is never awaited, closed or retrieved."""
    clients = [
        Client(n % 7, n % 4, 20.0 if n % 5 == 0 else None, 55.0 if n % 3 == 0 else None, 5.0, n % 2 == 0)
        for n in range(60)
    ]
    faults = [Fault("503", 10, 20), Fault("drops", 35, 5), Fault("new tokens", 45, 1), Fault("refuses many", 50, 9)]
    scenario = Scenario(monkeypatch)
    monitoring = getattr(sys, "monitoring", None)  # from Python 3.12 on
    is_traced = sys.gettrace() or (monitoring and any(map(monitoring.get_tool, range(6))))

    async def main() -> None:
        # Tracing, as for coverage, is work too.
        asyncio.get_running_loop().slow_callback_duration = math.inf if is_traced else 0.1
        await play(scenario, [Run(20.0 * n) for n in range(1, 5)], clients, faults)

    documents.watch_text(1)  # load and parse the queries, as a triggerer's first round does
    documents.watch_logs_text(1)
    gc.collect()
    gc.freeze()  # what other tests left behind costs this loop no work
    try:
        with caplog.at_level(logging.WARNING, "asyncio"):
            scenario.run(main, debug=True, loop=CpuTimeLoop)
        gc.collect()  # warns of whatever was left open, and warnings are errors
    finally:
        gc.unfreeze()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
