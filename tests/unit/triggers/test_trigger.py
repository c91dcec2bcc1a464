"""The instance trigger apart from its waiting: its arguments, its event, and what it does if its task is ended."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult
from packaging.version import Version

from airflow_provider_saagie.exceptions import SaagieError
from airflow_provider_saagie.triggers.events import InstanceEvent
from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger
from tests.support.fake_saagie import SmallSaagie, connection, instance, row, small_saagie
from tests.support.recording_logger import Recorder
from tests.support.virtual_time import run

# `make test-bounds` runs these on older versions too.
HAS_KILLS = pytest.mark.skipif(
    Version(version("apache-airflow-core")) < Version("3.3"), reason="Airflow before 3.3 tells no trigger of a kill"
)


def test_serialized_arguments_make_the_same_trigger() -> None:
    given = {
        "saagie_conn_id": "c",
        "instance_id": instance(1),
        "job_id": instance(2),
        "project_id": instance(3),
        "poll_interval": 7.5,
        "deadline": 1e9,
        "deadline_kind": "execution_timeout",
        "owned": True,
        "stop_on_kill": False,
        "stream_logs": True,
        "log_lines_seen": 12,
        "log_limit": 99,
        "unknown_grace": 30.0,
        "deferred_at": 1e9,
    }
    path, kwargs = SaagieJobInstanceTrigger(**given).serialize()
    assert kwargs == given
    assert SaagieJobInstanceTrigger(**json.loads(json.dumps(kwargs))).serialize() == (path, kwargs)


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


@dataclass
class Supervisor:
    """Airflow's supervisor, which a trigger asks for its task's state.

    :param state: the state, or the error that the request ends with.
    :param seconds: how long a response takes.
    """

    state: str | Exception | None
    seconds: float = 0.0
    requests: list[Any] = field(default_factory=list)

    async def asend(self, message: Any) -> Any:
        self.requests.append(message)
        await asyncio.sleep(self.seconds)
        if isinstance(self.state, Exception):
            raise self.state
        if not isinstance(message, GetTaskStates):
            raise RuntimeError("no such connection")
        key = "task" if message.map_index is None else f"task_{message.map_index}"
        return TaskStatesResult(task_states={"run": {key: self.state}})


@dataclass
class TaskInstance:
    dag_id: str = "dag"
    task_id: str = "task"
    run_id: str = "run"
    map_index: int = -1


class Recorded(SaagieJobInstanceTrigger):
    """A trigger of a task, with a log that tests read."""

    recorder = Recorder()

    @property
    def log(self) -> Recorder:  # type: ignore[override]
        return self.recorder


Kill = Callable[..., tuple[SmallSaagie, Recorded]]


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


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Kill:
    """A function that ends the task of a trigger and returns Saagie and the trigger.

    With `is_running=False` only `on_kill` runs, as for a trigger that another triggerer has taken over. `saagie` are
    attributes of Saagie, `more` are arguments of the trigger.
    """

    def kill(
        supervisor: Supervisor,
        *,
        is_running: bool = True,
        map_index: int = -1,
        log: Recorder | None = None,
        saagie: dict[str, Any] | None = None,
        **more: Any,
    ) -> tuple[SmallSaagie, Recorded]:
        async def scene() -> tuple[SmallSaagie, Recorded]:
            async with small_saagie() as server:
                for name, value in (saagie or {}).items():
                    setattr(server, name, value)
                monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
                conn_id = connection(server.url, monkeypatch)
                trigger = Recorded(saagie_conn_id=conn_id, instance_id=instance(1), **{"owned": True, **more})
                trigger.recorder, trigger.task_instance = log or Recorder(), TaskInstance(map_index=map_index)
                await (run_until_killed(trigger) if is_running else trigger.on_kill())
                await asyncio.sleep(60)  # virtual, until the stop has ended
                return server, trigger

        return run(scene())

    return kill


@HAS_KILLS
@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("failed", "was marked failed"),
        ("success", "was marked success"),
        ("removed", "was removed"),
        (None, "was cleared"),
        ("running", "is running: it was cleared, or resumed elsewhere"),
    ],
)
def test_owned_instance_is_stopped_if_a_user_ends_the_task(kill: Kill, state: str | None, words: str) -> None:
    """The stop continues after the second that Airflow gives `on_kill`."""
    saagie, trigger = kill(Supervisor(state, seconds=0.5), saagie={"stop_seconds": 2.0})
    assert saagie.stopped == [instance(1)]
    assert trigger.log.lines[0].endswith(f"because the task {words}.")
    assert trigger.log.lines[1:] == ["Saagie was asked to stop it."]


@HAS_KILLS
@pytest.mark.parametrize(
    ("state", "more", "words"),
    [
        ("deferred", {}, "still deferred"),
        ("deferred", {"map_index": 3}, "still deferred"),
        (ConnectionError("the supervisor is gone"), {}, "could not be asked for (the supervisor is gone)"),
        (EOFError(), {}, "could not be asked for (EOFError)"),
        ("failed", {"owned": False}, None),
        ("failed", {"stop_on_kill": False}, None),
    ],
)
def test_instance_is_left_if_its_stop_is_not_wanted(
    kill: Kill, state: str | Exception, more: dict[str, Any], words: str | None
) -> None:
    saagie, trigger = kill(supervisor := Supervisor(state), **more)
    assert saagie.stopped == []
    requests = [message for message in supervisor.requests if isinstance(message, GetTaskStates)]
    if words is None:
        assert (trigger.log.lines, requests) == ([], [])
    else:
        assert words in trigger.log.lines[0]
        assert [request.map_index for request in requests] == [more.get("map_index")]


@HAS_KILLS
def test_ended_instance_is_not_stopped(kill: Kill) -> None:
    """Another triggerer has seen the end; Airflow tells this one late that the trigger is no longer its own."""
    has_ended = {"tell": lambda *_: row("SUCCEEDED")}
    for state in ("scheduled", "success"):
        saagie, trigger = kill(Supervisor(state), saagie=has_ended, is_running=False)
        assert saagie.stopped == [], state
        assert trigger.log.lines[1:] == ["It has ended already: there is nothing to stop."], state


@HAS_KILLS
def test_instance_of_unknown_status_is_stopped(kill: Kill) -> None:
    is_missing = {"tell": lambda *_: None}
    hangs = {"latency": 5.0}  # longer than the poll before the stop may take, shorter than the stop
    for behaviour in (is_missing, hangs):
        saagie, _ = kill(Supervisor("failed"), saagie=behaviour, is_running=False)
        assert saagie.stopped == [instance(1)], behaviour


class BlockedLog(Recorder):
    """A log that takes no line until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()
        self.timed_out = False

    def handle(self, record: Any) -> None:
        self.timed_out |= not self.release.wait(30)
        super().handle(record)


@HAS_KILLS
def test_blocked_log_does_not_delay_the_stop(kill: Kill) -> None:
    log = BlockedLog()
    refuse = {"refuse": lambda asked: log.release.set() if asked.operation == "stopJobInstance" else None}
    saagie, _ = kill(Supervisor("failed"), saagie=refuse, is_running=False, log=log)
    assert saagie.stopped == [instance(1)]
    assert (log.timed_out, log.lines[1:]) == (False, ["Saagie was asked to stop it."])
