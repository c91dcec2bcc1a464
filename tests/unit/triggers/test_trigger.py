"""The trigger apart from its waiting: what it carries, what it loads, what it does when its task is ended."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult
from packaging.version import Version

from airflow_provider_saagie.exceptions import SaagieError
from airflow_provider_saagie.triggers import watcher
from airflow_provider_saagie.triggers.events import InstanceEvent
from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger
from tests.support.fake_saagie import SmallSaagie, connection, instance, row, small_saagie
from tests.support.recording_logger import Recorder
from tests.unit.triggers.test_free_loop import StandsStill

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

# Only `make test-bounds` runs this on an older one.
TELLS_OF_KILLS = pytest.mark.skipif(
    Version(version("apache-airflow-core")) < Version("3.3"), reason="Airflow before 3.3 tells no trigger of a kill"
)
HEAVY = ("gql", "graphql", "aiohttp", "requests", "requests_toolbelt")


def test_importing_the_trigger_loads_nothing_heavy() -> None:
    code = (
        "import sys, airflow.triggers.base; before = set(sys.modules)\n"
        "import airflow_provider_saagie.triggers.saagie\n"
        f"print([name for name in {HEAVY!r} if name in set(sys.modules) - before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_what_is_serialized_makes_the_same_trigger_again() -> None:
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
    assert path == "airflow_provider_saagie.triggers.saagie.SaagieJobInstanceTrigger"
    assert kwargs == given
    assert SaagieJobInstanceTrigger(**json.loads(json.dumps(kwargs))).serialize() == (path, kwargs)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"status": "done"}, "status is 'done'"),
        ({"instance_id": None}, "`instance_id` is None"),
        ({"message": ""}, "`message` is ''"),
        ({"status": "success"}, "says success"),
        ({"instance_status": None}, "names neither"),
        ({"error_kind": "odd"}, "`error_kind` is 'odd'"),
        ({"deadline_kind": "odd"}, "`deadline_kind` is 'odd'"),
        ({"log_lines_seen": "many"}, "`log_lines_seen` is 'many'"),
    ],
)
def test_a_malformed_event_is_refused_where_it_arrives(change: dict[str, Any], complaint: str) -> None:
    good = InstanceEvent("error", instance(1), "It failed.", instance_status="FAILED").as_event()
    assert InstanceEvent.from_event({**good, "a_later_key": 1}).instance_status == "FAILED"
    with pytest.raises(SaagieError, match=complaint):
        InstanceEvent.from_event({**good, **change})


@pytest.mark.parametrize("event", [None, "success", [], {}])
def test_what_is_no_event_is_refused(event: object) -> None:
    with pytest.raises(SaagieError, match="event can't be used"):
        InstanceEvent.from_event(event)


@dataclass
class Supervisor:
    """Stands for Airflow's supervisor, which a trigger asks for its task's state."""

    state: str | None
    seconds: float = 0.0
    asked: list[Any] = field(default_factory=list)

    async def asend(self, message: Any) -> Any:
        self.asked.append(message)
        await asyncio.sleep(self.seconds)
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
    """A trigger whose log is kept."""

    def __init__(self, *, task_instance: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.recorder: Recorder = Recorder()
        self._task_instance = task_instance or TaskInstance()

    @property
    def log(self) -> Recorder:  # type: ignore[override]
        return self.recorder


async def killed(one: Recorded) -> None:
    """Run a trigger, and end it as Airflow 3.3 does: cancelled, `on_kill`, cancelled again each second, `cleanup`."""

    async def as_the_triggerer_does() -> None:
        try:
            async for _ in one.run():
                pass
        except asyncio.CancelledError:
            with suppress(asyncio.CancelledError):
                await one.on_kill()
            raise
        finally:
            await one.cleanup()

    task = asyncio.create_task(as_the_triggerer_does())
    await asyncio.sleep(0.6)
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=1)
    while watcher._tasks:
        await asyncio.wait(set(watcher._tasks))


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[SmallSaagie, Recorded]]:
    """A function that lets a trigger wait, kills it, and gives Saagie and the trigger."""

    async def scene(supervisor: Supervisor, stop_seconds: float, more: dict[str, Any]) -> tuple[SmallSaagie, Recorded]:
        async with small_saagie() as saagie:
            saagie.tell = lambda *_: row("RUNNING")
            saagie.stop_seconds = stop_seconds
            monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
            conn_id = connection(saagie.url, monkeypatch)
            one = Recorded(saagie_conn_id=conn_id, instance_id=instance(1), **more)
            await killed(one)
            return saagie, one

    def play(supervisor: Supervisor, *, stop_seconds: float = 0.0, **more: Any) -> tuple[SmallSaagie, Recorded]:
        steps: Coroutine[Any, Any, tuple[SmallSaagie, Recorded]] = scene(supervisor, stop_seconds, more)
        return asyncio.run(steps, debug=True)

    return play


@TELLS_OF_KILLS
@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("failed", "was marked failed"),
        ("success", "was marked success"),
        (None, "was cleared"),
        ("running", "is running: it was cleared, or resumed elsewhere"),
    ],
)
def test_an_owned_instance_is_stopped_when_a_user_ends_the_task(
    kill: Callable[..., tuple[SmallSaagie, Recorded]], state: str | None, words: str
) -> None:
    saagie, one = kill(Supervisor(state), owned=True)
    assert saagie.stopped == [instance(1)]
    assert one.recorder.lines[0].endswith(f"because the task {words}.")
    assert one.recorder.lines[1:] == ["Saagie was asked to stop it."]


@TELLS_OF_KILLS
def test_the_stop_goes_on_after_the_second_that_airflow_gives(
    kill: Callable[..., tuple[SmallSaagie, Recorded]],
) -> None:
    saagie, _ = kill(Supervisor("failed", seconds=0.5), owned=True, stop_seconds=2.0)
    assert saagie.stopped == [instance(1)]


@TELLS_OF_KILLS
def test_a_log_that_takes_no_line_for_now_delays_no_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    log = StandsStill()

    async def scene() -> None:
        async with small_saagie() as saagie:
            saagie.refuse = lambda _: log.go_on.set()
            monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor("failed"), raising=False)
            one = Recorded(saagie_conn_id=connection(saagie.url, monkeypatch), instance_id=instance(1), owned=True)
            one.recorder = log
            await one.on_kill()
            assert saagie.stopped == [instance(1)]

    asyncio.run(scene(), debug=True)
    assert not log.waited_in_vain
    assert log.lines[1:] == ["Saagie was asked to stop it."]


@TELLS_OF_KILLS
def test_nothing_is_stopped_while_the_task_is_still_deferred(
    kill: Callable[..., tuple[SmallSaagie, Recorded]],
) -> None:
    saagie, one = kill(Supervisor("deferred"), owned=True)
    assert saagie.stopped == []
    assert "still deferred" in one.recorder.lines[0]


@TELLS_OF_KILLS
@pytest.mark.parametrize("state", ["scheduled", "success"])
def test_no_stop_is_asked_for_where_the_instance_has_ended(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    """Another triggerer has seen the end, and Airflow tells this one late that the trigger is no longer its own."""

    async def scene() -> Recorded:
        async with small_saagie() as saagie:
            saagie.tell = lambda *_: row("SUCCEEDED")
            monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(state), raising=False)
            one = Recorded(saagie_conn_id=connection(saagie.url, monkeypatch), instance_id=instance(1), owned=True)
            await one.on_kill()
            assert saagie.stopped == []
            return one

    lines = asyncio.run(scene(), debug=True).recorder.lines
    assert lines[1:] == ["It has ended already: there is nothing to stop."]


@TELLS_OF_KILLS
@pytest.mark.parametrize("answer", ["refused", "hangs"])
def test_a_stop_is_asked_for_also_where_nobody_can_say_whether_the_instance_has_ended(
    monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    async def scene() -> None:
        async with small_saagie() as saagie:
            if answer == "hangs":
                monkeypatch.setattr(watcher, "LAST_LOOK", 0.3)
                saagie.latency = 0.6
            else:
                saagie.tell = lambda *_: None
            monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor("failed"), raising=False)
            one = Recorded(saagie_conn_id=connection(saagie.url, monkeypatch), instance_id=instance(1), owned=True)
            await one.on_kill()
            assert saagie.stopped == [instance(1)]

    asyncio.run(scene(), debug=True)


@TELLS_OF_KILLS
def test_a_mapped_task_asks_for_its_own_state(kill: Callable[..., tuple[SmallSaagie, Recorded]]) -> None:
    supervisor = Supervisor("deferred")
    saagie, _ = kill(supervisor, owned=True, task_instance=TaskInstance(map_index=3))
    assert supervisor.asked[-1].map_index == 3
    assert saagie.stopped == []


@pytest.mark.parametrize("more", [{"owned": False}, {"owned": True, "stop_on_kill": False}])
def test_what_is_not_ours_to_stop_is_left(
    kill: Callable[..., tuple[SmallSaagie, Recorded]], more: dict[str, Any]
) -> None:
    supervisor = Supervisor("failed")
    saagie, one = kill(supervisor, **more)
    assert saagie.stopped == []
    assert one.recorder.lines == []
    assert not any(isinstance(message, GetTaskStates) for message in supervisor.asked)


@pytest.mark.parametrize(
    ("error", "words"),
    [(ConnectionError("the supervisor is gone"), "the supervisor is gone"), (EOFError(), "EOFError")],
)
def test_an_instance_is_left_where_the_tasks_state_cannot_be_asked_for(
    kill: Callable[..., tuple[SmallSaagie, Recorded]], error: Exception, words: str
) -> None:
    class Mute(Supervisor):
        async def asend(self, message: Any) -> Any:
            raise error

    saagie, one = kill(Mute("failed"), owned=True)
    assert saagie.stopped == []
    assert f"could not be asked for ({words})" in one.recorder.lines[0]
