"""The trigger as Airflow's triggerer runs it, over real HTTP, against the emulator's real processes."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.triggers.events import InstanceEvent
from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger
from tests.support.recording_logger import Recorder
from tests.unit.client.conftest import settings_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_saagie.emulator.testing import Emulator

CONN_ID = "saagie_test"


@pytest.fixture
def connection(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> str:
    fields = {
        "conn_type": "saagie",
        "host": emulator.url,
        "login": emulator.login,
        "password": emulator.password,
        "extra": {"realm": emulator.realm, "platform_id": emulator.platform},
    }
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(fields))
    return CONN_ID


@pytest.fixture
def client(emulator: Emulator) -> Iterator[SaagieClient]:
    with SaagieClient(settings_for(emulator)) as client:
        yield client


@pytest.fixture
def start(client: SaagieClient, tmp_path: Path) -> Callable[[str], str]:
    """A function that runs a bash script as a job and gives the instance's id."""

    def started(script: str) -> str:
        file = tmp_path / f"{uuid.uuid4()}.sh"
        file.write_text(script)
        job = client.jobs.create(
            f"job {file.stem}",
            client.get_project_id("Demo"),
            file=str(file),
            technology="bash",
            runtime_version="debian12-bookworm",
            command_line="bash {file}",
        )
        return client.jobs.run(job["data"]["createJob"]["id"])["runJob"]["id"]

    return started


class Recorded(SaagieJobInstanceTrigger):
    """A trigger whose log is kept."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.recorder = Recorder()

    @property
    def log(self) -> Recorder:  # type: ignore[override]
        return self.recorder

    @property
    def job_lines(self) -> list[str]:
        return [line for line in self.recorder.lines if line.startswith("[job")]


def trigger(instance_id: str, **more: Any) -> Recorded:
    return Recorded(saagie_conn_id=CONN_ID, instance_id=instance_id, **{"poll_interval": 0.3, **more})


async def event_of(one: SaagieJobInstanceTrigger) -> InstanceEvent:
    events = [event.payload async for event in one.run()]
    assert len(events) == 1
    json.dumps(events[0])
    return InstanceEvent.from_event(events[0])


def run(*triggers: SaagieJobInstanceTrigger) -> list[InstanceEvent]:
    async def main() -> list[InstanceEvent]:
        events = await asyncio.gather(*(event_of(one) for one in triggers))
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
        return events

    return asyncio.run(main(), debug=True)


def test_several_instances_end_each_in_its_own_way(connection: str, start: Callable[[str], str]) -> None:
    good, bad = start("echo fine"), start("exit 3")
    events = run(trigger(good, owned=True), trigger(bad))
    assert [(event.status, event.instance_status) for event in events] == [
        ("success", "SUCCEEDED"),
        ("error", "FAILED"),
    ]
    assert events[0].instance_id == good
    assert events[0].owned
    assert events[0].end_time
    assert events[1].error_kind is None


def test_the_jobs_lines_arrive_in_order_and_once(connection: str, start: Callable[[str], str]) -> None:
    script = "for n in $(seq 60); do echo line $n; sleep 0.02; done; echo oops >&2; sleep 0.3; echo end"
    one = trigger(start(script), stream_logs=True)
    (event,) = run(one)
    assert one.job_lines == [f"[job] line {n}" for n in range(1, 61)] + ["[job stderr] oops", "[job] end"]
    assert event.log_lines_seen == 62


def test_each_jobs_lines_land_in_its_own_tasks_log(connection: str, start: Callable[[str], str]) -> None:
    names = "red", "green", "blue"
    triggers = [trigger(start(f"echo {name}; sleep 0.5; echo {name}"), stream_logs=True) for name in names]
    run(*triggers)
    assert [one.job_lines for one in triggers] == [[f"[job] {name}"] * 2 for name in names]


def test_lines_that_the_log_already_has_are_not_shown_again(connection: str, start: Callable[[str], str]) -> None:
    one = trigger(start("echo 1; echo 2; echo 3"), stream_logs=True, log_lines_seen=2)
    (event,) = run(one)
    assert one.job_lines == ["[job] 3"]
    assert event.log_lines_seen == 3


def test_a_long_log_is_cut_with_a_link_to_the_rest(connection: str, start: Callable[[str], str]) -> None:
    one = trigger(start("seq 50"), stream_logs=True, log_limit=10, job_id="j", project_id="p")
    (event,) = run(one)
    assert one.job_lines[:10] == [f"[job] {n}" for n in range(1, 11)]
    assert len(one.job_lines) == 11
    assert one.job_lines[10].endswith(f"/project/p/job/j/instances/{one.instance_id}")
    assert event.log_lines_seen == 10


def test_a_log_of_many_pages_is_read_whole_at_the_end(connection: str, start: Callable[[str], str]) -> None:
    one = trigger(start("seq 4500"), stream_logs=True)
    (event,) = run(one)
    assert one.job_lines == [f"[job] {n}" for n in range(1, 4501)]
    assert event.log_lines_seen == 4500


def test_a_triggerer_that_takes_over_says_so(connection: str, start: Callable[[str], str]) -> None:
    one = trigger(start("echo hi"), stream_logs=True, deferred_at=time.time() - 60)
    run(one)
    assert one.recorder.lines[0].startswith("Another triggerer waits now")
    assert one.job_lines == ["[job] hi"]


def test_the_deadline_ends_the_waiting_on_time(connection: str, start: Callable[[str], str]) -> None:
    deadline = time.time() + 0.5
    (event,) = run(trigger(start("sleep 30"), deadline=deadline, deadline_kind="execution_timeout", poll_interval=10))
    assert time.time() - deadline < 1.5
    assert (event.status, event.deadline_kind, event.instance_status) == ("timeout", "execution_timeout", "RUNNING")


def test_the_deadline_holds_where_saagie_is_away(emulator: Emulator, connection: str) -> None:
    emulator.fault("outage", seconds=60)
    deadline = time.time() + 0.5
    (event,) = run(trigger(str(uuid.uuid4()), deadline=deadline))
    assert (event.status, event.instance_status) == ("timeout", None)
    assert time.time() - deadline < 4


def test_an_instance_that_never_was_is_gone(connection: str) -> None:
    (event,) = run(trigger(str(uuid.uuid4())))
    assert (event.status, event.error_kind) == ("error", "gone")


def test_an_id_that_is_none_is_told_at_once(connection: str) -> None:
    (event,) = run(trigger("{{ no id }}"))
    assert (event.status, event.error_kind) == ("error", "api")
    assert "UUID" in event.message


def test_it_runs_as_dag_test_runs_it(connection: str, start: Callable[[str], str]) -> None:
    """`dag.test()` takes the first event in a loop of its own, and leaves the generator to that loop's end."""
    instances = [start("echo hi") for _ in range(2)]

    async def first_event(one: Recorded) -> Any:
        return await anext(one.run(), None)

    for instance_id in instances:
        one = trigger(instance_id, stream_logs=True)
        event = asyncio.run(first_event(one))
        assert InstanceEvent.from_event(event.payload).status == "success"
        assert one.job_lines == ["[job] hi"]


def test_a_lost_token_is_replaced_for_all_at_once(
    emulator: Emulator, connection: str, start: Callable[[str], str]
) -> None:
    instances = [start("sleep 1") for _ in range(3)]
    before = emulator.stats()
    emulator.fault("expire", "jobInstance", occurrence=2)
    assert {event.status for event in run(*(trigger(one) for one in instances))} == {"success"}
    assert _logins(emulator.stats()) - _logins(before) == 2


def _logins(stats: dict[str, Any]) -> int:
    return stats["operations"].get("login", 0) if "operations" in stats else stats.get("login", 0)


def test_a_deferred_task_hears_of_an_end_once_the_scheduler_has_heard_of_its_deferral(
    connection: str, start: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "2")
    soonest = 5.0
    instance_id = start("true")
    began = time.time()
    in_a_worker = trigger(instance_id)
    assert run(in_a_worker)[0].status == "success"
    assert time.time() - began < soonest

    in_the_triggerer = trigger(instance_id)
    in_the_triggerer.task_instance = SimpleNamespace(task_id="run")
    assert run(in_the_triggerer)[0].status == "success"
    assert time.time() - in_the_triggerer.deferred_at >= soonest
