"""The instance trigger against the emulator's real processes: ends, log lines, tokens, and the loop of `dag.test()`."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.triggers.events import InstanceEvent
from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger
from tests.support.emulator_client import client_of_process
from tests.support.held_jobs import Hold
from tests.support.recording_logger import RecordingLogger
from tests.support.waiting import wait_until


class Recorded(SaagieJobInstanceTrigger):
    """A trigger whose log is kept."""

    log: Any = None

    @property
    def job_lines(self) -> list[str]:
        return [line for line in self.log.lines if line.startswith("[job")]


@pytest.fixture
def start(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Recorded]]:
    """A function that runs a job of some Bash, or Python, and returns a trigger that waits for its instance."""
    monkeypatch.setenv("AIRFLOW_CONN_SAAGIE_TEST", emulator.connection())
    with client_of_process(emulator) as client:

        def start(code: str, technology: str = "bash", **more: Any) -> Recorded:
            job_id = client.job(f"{technology} {{file}}", code, kind=technology)
            given = {"job_id": job_id, "project_id": client.project(), "poll_interval": 0.3, **more}
            instance_id = client.run(job_id)
            trigger = Recorded(saagie_conn_id="saagie_test", instance_id=instance_id, stream_logs=True, **given)
            trigger.log = RecordingLogger()
            return trigger

        yield start


async def wait_for_all(*triggers: Recorded) -> list[InstanceEvent]:
    async def events_of(trigger: Recorded) -> list[Any]:
        return [event async for event in trigger.run()]

    events = [InstanceEvent.from_event(event.payload) for (event,) in await asyncio.gather(*map(events_of, triggers))]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return events


def test_ends_and_lines_reach_each_trigger(start: Callable[..., Recorded]) -> None:
    slow = start("for n in $(seq 60); do echo line $n; sleep 0.02; done; echo oops >&2; sleep 0.3; echo end")
    failing, long = start("echo red; exit 3"), start("seq 4500")
    cut = start("seq 50", log_limit=10)
    taken_over = start("echo 1; echo 2; echo 3", log_lines_seen=2, deferred_at=time.time() - 60)
    triggers = slow, failing, long, cut, taken_over
    events = asyncio.run(wait_for_all(*triggers), debug=True)
    assert [(event.status, event.instance_status, event.log_lines_seen) for event in events] == [
        ("success", "SUCCEEDED", 62),
        ("error", "FAILED", 1),
        ("success", "SUCCEEDED", 4500),
        ("success", "SUCCEEDED", 10),
        ("success", "SUCCEEDED", 3),
    ]
    assert [event.instance_id for event in events] == [trigger.instance_id for trigger in triggers]
    assert all(event.end_time for event in events)
    assert slow.job_lines == [f"[job] line {n}" for n in range(1, 61)] + ["[job stderr] oops", "[job] end"]
    assert failing.job_lines == ["[job] red"]
    assert long.job_lines == [f"[job] {n}" for n in range(1, 4501)]
    *shown, link = cut.job_lines
    assert shown == [f"[job] {n}" for n in range(1, 11)]
    assert link.endswith(f"/project/{cut.project_id}/job/{cut.job_id}/instances/{cut.instance_id}")
    assert taken_over.job_lines == ["[job] 3"]
    assert taken_over.log.lines[0].startswith("Another triggerer waits now")


def test_trigger_runs_in_the_loop_of_dag_test(start: Callable[..., Recorded]) -> None:
    """`dag.test()` takes the first event in a loop of its own, and leaves the generator to that loop's end."""

    async def first_event(trigger: Recorded) -> Any:
        return await anext(trigger.run(), None)

    for trigger in (start("echo hi"), start("echo hi")):
        event = asyncio.run(first_event(trigger))
        assert InstanceEvent.from_event(event.payload).status == "success"
        assert trigger.job_lines == ["[job] hi"]


def test_lost_token_is_replaced_once_for_all(emulator: Emulator, start: Callable[..., Recorded], hold: Hold) -> None:
    triggers = [start(hold.code(), "python") for _ in range(3)]
    logins = emulator.stats()["operations"]["login"]
    emulator.fault("expire", "jobInstance", occurrence=2)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: (wait_until(lambda: emulator.faults()[0]["struck"]), hold.release()))
        events = asyncio.run(wait_for_all(*triggers), debug=True)
    assert {event.status for event in events} == {"success"}
    assert emulator.stats()["operations"]["login"] == logins + 2
