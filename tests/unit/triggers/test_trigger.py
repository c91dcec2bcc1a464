"""The instance trigger apart from its waiting: its arguments, its event, and what it does if its task ended."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from importlib.metadata import version
from inspect import signature
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult
from packaging.version import Version

from airflow_provider_saagie.exceptions import SaagieError
from airflow_provider_saagie.triggers.events import InstanceEvent
from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger
from tests.support.fake_saagie import ends_at, fails, instance, row
from tests.support.recording_logger import BlockedLogger, RecordingLogger
from tests.support.watcher_scenario import Scenario

# `make test-bounds` runs these on older versions too.
HAS_KILLS = pytest.mark.skipif(
    Version(version("apache-airflow-core")) < Version("3.3"), reason="Airflow before 3.3 tells no trigger of a kill"
)


def test_serialized_arguments_make_the_same_trigger() -> None:
    given = {name: n for n, name in enumerate(signature(SaagieJobInstanceTrigger).parameters)}
    assert SaagieJobInstanceTrigger(**given).serialize()[1] == given


def test_malformed_event_is_rejected() -> None:
    good = InstanceEvent("error", instance(1), "It failed.", instance_status="FAILED").as_event()
    assert InstanceEvent.from_event({**good, "a_later_key": 1}).instance_status == "FAILED"
    changes: dict[str, dict[str, Any]] = {
        "status is 'done'": {"status": "done"},
        "`instance_id` is None": {"instance_id": None},
        "`message` is ''": {"message": ""},
        "says success": {"status": "success"},
        "names neither": {"instance_status": None},
        "`error_kind` is 'odd'": {"error_kind": "odd"},
        "`deadline_kind` is 'odd'": {"deadline_kind": "odd"},
        "`log_lines_seen` is 'many'": {"log_lines_seen": "many"},
    }
    for complaint, change in changes.items():
        with pytest.raises(SaagieError, match=complaint):
            InstanceEvent.from_event({**good, **change})
    for event in (None, "success", [], {}):
        with pytest.raises(SaagieError, match="event can't be used"):
            InstanceEvent.from_event(event)


class Recorded(SaagieJobInstanceTrigger):
    """A trigger with a log that tests read."""

    log: Any = None


def make_trigger(s: Scenario, instance_id: str, log: RecordingLogger | None = None, **more: Any) -> Recorded:
    trigger = Recorded(saagie_conn_id=s.conn_id, instance_id=instance_id, **more)
    trigger.log = log or RecordingLogger()
    return trigger


async def event_of(trigger: Recorded) -> InstanceEvent:
    (event,) = [event async for event in trigger.run()]
    return InstanceEvent.from_event(json.loads(json.dumps(event.payload)))


async def test_event_says_how_the_waiting_ended(scenario: Scenario) -> None:
    s = scenario
    rows = {instance(1): row("SUCCEEDED", endTime="then"), instance(10): row("FAILED"), instance(4): row("RUNNING")}
    s.saagie.get_instance = lambda instance_id, _: rows.get(instance_id)
    limit = {"deadline": time.time() + 100, "deadline_kind": "execution_timeout"}
    triggers = (
        make_trigger(s, instance(1), owned=True),
        make_trigger(s, instance(10).upper()),
        make_trigger(s, instance(3)),
        make_trigger(s, instance(4), **limit),
        make_trigger(s, "{{ no id }}"),
    )
    events = await asyncio.gather(*map(event_of, triggers))
    assert [(e.status, e.instance_status, e.error_kind, e.deadline_kind, e.end_time) for e in events] == [
        ("success", "SUCCEEDED", None, None, "then"),
        ("error", "FAILED", None, None, None),
        ("error", None, "gone", None, None),
        ("timeout", "RUNNING", None, "execution_timeout", None),
        ("error", None, "api", None, None),
    ]
    assert s.saagie.now() < 101
    assert [(e.instance_id, e.owned) for e in events[:2]] == [(instance(1), True), (instance(10), False)]
    assert "UUID" in events[4].message
    s.saagie.intercept = fails(503)
    event = await event_of(make_trigger(s, instance(4), **limit))
    assert (event.status, event.instance_status) == ("timeout", None)
    assert "Saagie could not be asked once more" in event.message


async def test_deferred_task_waits_for_the_scheduler(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler must have heard of the deferral before the event, by the next heartbeat and three seconds."""
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "2")
    scenario.saagie.get_instance = ends_at(0)
    for has_task, deferred_ago, delay in ((False, -1000, 0), (True, -1000, 5), (True, 1000, 0)):
        trigger = make_trigger(scenario, instance(1), deferred_at=time.time() - deferred_ago)
        trigger.task_instance = SimpleNamespace(task_id="task") if has_task else None
        began = scenario.saagie.now()
        assert (await event_of(trigger)).status == "success"
        assert delay <= scenario.saagie.now() - began < delay + 1, (has_task, deferred_ago)


async def run_until_killed(trigger: Recorded) -> None:
    """Run a trigger and end it as Airflow 3.3 does: cancel, `on_kill`, cancel again each second, `cleanup`."""

    async def as_the_triggerer_does() -> None:
        try:
            async for _ in trigger.run():
                pass
        except asyncio.CancelledError:
            with suppress(asyncio.CancelledError):
                await trigger.on_kill()
            raise
        finally:
            await trigger.cleanup()

    task = asyncio.create_task(as_the_triggerer_does())
    await asyncio.sleep(0.6)
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=1)


async def kill(
    s: Scenario, state: str | Exception | None, *, is_running: bool = True, map_index: int = -1, **more: Any
) -> list[Any]:
    """End the task of a trigger; return the map indexes for which it asked Airflow, and the lines of its log.

    :param state: the task's state, or the error that the request for it ends with.
    :param is_running: whether the trigger runs; if not, only `on_kill` does, as after a takeover by another triggerer.
    """
    asked: list[Any] = []

    async def asend(message: Any) -> TaskStatesResult:
        if not isinstance(message, GetTaskStates):
            raise RuntimeError("no such connection")
        asked.append(message.map_index)
        await asyncio.sleep(0.5)
        if isinstance(state, Exception):
            raise state
        key = "task" if message.map_index is None else f"task_{message.map_index}"
        return TaskStatesResult(task_states={"run": {key: state}})

    s.monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(asend=asend), raising=False)
    trigger = make_trigger(s, instance(1), **{"owned": True, **more})
    trigger.task_instance = SimpleNamespace(dag_id="dag", task_id="task", run_id="run", map_index=map_index)
    await (run_until_killed(trigger) if is_running else trigger.on_kill())
    await asyncio.sleep(60)  # until the stop has ended
    return [*asked, *trigger.log.lines]


@HAS_KILLS
async def test_owned_instance_is_stopped_if_its_task_ended(scenario: Scenario) -> None:
    """The stop continues after the second that Airflow gives `on_kill`."""
    scenario.saagie.stop_seconds = 2.0
    for state, words in {
        "failed": "was marked failed",
        "success": "was marked success",
        "removed": "was removed",
        None: "was cleared",
        "running": "is running: it was cleared, or resumed elsewhere",
    }.items():
        scenario.saagie.stopped.clear()
        _, why, stopped = await kill(scenario, state)
        assert scenario.saagie.stopped == [instance(1)]
        assert why.endswith(f"because the task {words}.")
        assert stopped == "Saagie was asked to stop it."


@HAS_KILLS
async def test_instance_is_left_if_its_stop_is_not_wanted(scenario: Scenario) -> None:
    for state, index, words in (
        ("deferred", None, "still deferred"),
        ("deferred", 3, "still deferred"),
        (ConnectionError("the supervisor is gone"), None, "could not be asked for (the supervisor is gone)"),
        (EOFError(), None, "could not be asked for (EOFError)"),
    ):
        asked, line = await kill(scenario, state, map_index=-1 if index is None else index)
        assert asked == index
        assert words in line
    assert await kill(scenario, "failed", owned=False) == await kill(scenario, "failed", stop_on_kill=False) == []
    scenario.saagie.get_instance = ends_at(0)
    for state in ("scheduled", "success"):  # another triggerer has seen the end, of which Airflow tells this one late
        *_, line = await kill(scenario, state, is_running=False)
        assert line == "It has ended already: there is nothing to stop.", state
    assert scenario.saagie.stopped == []


@HAS_KILLS
async def test_unknown_status_or_blocked_log_prevents_no_stop(scenario: Scenario) -> None:
    scenario.saagie.get_instance = lambda *_: None
    for latency in (0.0, 5.0):  # longer than the poll before the stop may take, shorter than the stop
        scenario.saagie.latency = latency
        await kill(scenario, "failed", is_running=False)
    log = BlockedLogger()
    scenario.saagie.intercept = lambda request: log.go_on.set() if request.operation == "stopJobInstance" else None
    *_, line = await kill(scenario, "failed", is_running=False, log=log)
    assert line == "Saagie was asked to stop it."
    assert scenario.saagie.stopped == [instance(1)] * 3
