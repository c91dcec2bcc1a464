"""What Saagie gets to see where hundreds of a triggerer's tasks are ended in the same second: the emulator counts."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.execution_time import task_runner

from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.triggers import watcher
from airflow_provider_saagie.triggers.events import InstanceEvent
from tests.support.emulator_process import running_emulator
from tests.unit.client.conftest import settings_for
from tests.unit.triggers.test_trigger import TELLS_OF_KILLS, Recorded, Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_saagie.emulator.testing import Emulator

MANY = 300
CONN_ID = "saagie_many"


@pytest.fixture(scope="module")
def saagie(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running_emulator(tmp_path_factory.mktemp("many") / "data", "--simulate", "--simulate-seconds", "3600") as one:
        yield one


@pytest.fixture(scope="module")
def left(saagie: Emulator) -> list[str]:
    """Instances that no test stops."""
    return start(saagie, MANY)


def connect(saagie: Emulator, monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    fields = {
        "conn_type": "saagie",
        "host": saagie.url,
        "login": saagie.login,
        "password": password,
        "extra": {"realm": saagie.realm, "platform_id": saagie.platform},
    }
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(fields))


def start(saagie: Emulator, many: int) -> list[str]:
    with SaagieClient(settings_for(saagie)) as client:
        job = client.jobs.create(
            f"job {uuid.uuid4()}", client.get_project_id("Demo"), technology="bash", runtime_version="debian12-bookworm"
        )
        job_id = job["data"]["createJob"]["id"]
        return [client.jobs.run(job_id)["runJob"]["id"] for _ in range(many)]


def logins(saagie: Emulator) -> int:
    return int(saagie.stats()["operations"].get("login", 0))


def asked(saagie: Emulator) -> int:
    return int(saagie.stats()["requests"].get("watchInstances", 0))


def stopped(saagie: Emulator) -> list[str]:
    return [
        request["variables"]["jobInstanceId"]
        for request in saagie.requests()
        if request["operation"] == "stopJobInstance"
    ]


def triggers(instances: list[str], **more: Any) -> list[Recorded]:
    """Make the triggers of tasks that had deferred a while ago."""
    deferred_at = time.time() - 60
    return [
        Recorded(saagie_conn_id=CONN_ID, instance_id=one, owned=True, deferred_at=deferred_at, **more)
        for one in instances
    ]


async def kill_all(ended: list[Recorded]) -> None:
    await asyncio.gather(*(one.on_kill() for one in ended))
    while watcher._tasks:
        await asyncio.wait(set(watcher._tasks))


async def wait_all(waiting: list[Recorded]) -> list[InstanceEvent]:
    async def event_of(one: Recorded) -> InstanceEvent:
        (event,) = [event.payload async for event in one.run()]
        return InstanceEvent.from_event(event)

    return await asyncio.gather(*(event_of(one) for one in waiting))


@TELLS_OF_KILLS
@pytest.mark.parametrize("is_refused", [False, True])
def test_hundreds_of_stops_at_once_try_one_login(
    saagie: Emulator, left: list[str], monkeypatch: pytest.MonkeyPatch, is_refused: bool
) -> None:
    connect(saagie, monkeypatch, "an old one" if is_refused else saagie.password)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor("failed"), raising=False)
    instances = left if is_refused else start(saagie, MANY)
    before = logins(saagie)
    ended = triggers(instances)
    asyncio.run(kill_all(ended))
    assert logins(saagie) == before + 1
    assert sorted(one for one in stopped(saagie) if one in instances) == ([] if is_refused else sorted(instances))
    told = "The stop failed, so that the instance may go on" if is_refused else "Saagie was asked to stop it."
    assert all(one.recorder.lines[-1].startswith(told) for one in ended)
    agents = {request["user_agent"] for request in saagie.requests() if request["operation"] == "stopJobInstance"}
    assert all("(by=triggerer)" in agent for agent in agents)


@pytest.mark.parametrize("is_refused", [False, True])
def test_hundreds_of_deadlines_in_the_same_second_try_one_login(
    saagie: Emulator, left: list[str], monkeypatch: pytest.MonkeyPatch, is_refused: bool
) -> None:
    """The login is as cold as can be: a triggerer takes the tasks over as their deadlines pass."""
    connect(saagie, monkeypatch, "an old one" if is_refused else saagie.password)
    before, looks = logins(saagie), asked(saagie)
    waiting = triggers(left, deadline=time.time(), deadline_kind="execution_timeout")
    events = asyncio.run(wait_all(waiting))
    assert logins(saagie) == before + 1
    assert {(event.status, event.deadline_kind) for event in events} == {("timeout", "execution_timeout")}
    assert {event.instance_status is None for event in events} == {is_refused}
    assert asked(saagie) == looks + (0 if is_refused else MANY // 100)
    assert not set(stopped(saagie)) & set(left)  # the task does that, once it has resumed in a worker
