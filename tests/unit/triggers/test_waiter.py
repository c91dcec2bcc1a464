"""A waiter without a poller: its verdict, its link, and the lines in its log, in order and by a thread."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.triggers.teller import Teller
from airflow_provider_saagie.triggers.waiter import Failed, StillOnItsWay, Waiter
from tests.support.fake_saagie import JOB, PROJECT, instance, row
from tests.support.recording_logger import BlockedLogger, BrokenLogger, RecordingLogger
from tests.unit.triggers.test_rounds import SETTINGS

USER = contextvars.ContextVar("USER", default="nobody")


class ContextLogger(RecordingLogger):
    """Keeps the context of each line, by which Airflow selects the task's log."""

    def handle(self, record: Any) -> None:
        self.lines.append(f"{USER.get()}: {record.getMessage()}")


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def make_waiter(loop: asyncio.AbstractEventLoop, **more: Any) -> Waiter:
    return Waiter(instance_id=instance(1), verdict=loop.create_future(), **{"log": RecordingLogger(), **more})


def test_line_is_written_in_the_waiters_context(loop: asyncio.AbstractEventLoop) -> None:
    """Even while the loop runs the waiter's deadline in the same context."""
    log = ContextLogger()
    USER.set("somebody")
    waiter = make_waiter(loop, log=log)
    USER.set("nobody")
    waiter.write(logging.INFO, "100 % done")
    waiter.context.run(waiter.write, logging.INFO, "a second")
    assert log.lines == ["somebody: 100 % done", "somebody: a second"]


def test_time_of_the_last_line_is_kept(loop: asyncio.AbstractEventLoop) -> None:
    for log in (RecordingLogger(), BrokenLogger()):
        waiter = make_waiter(loop, log=log)
        before = time.monotonic()
        waiter.write(logging.INFO, "a line")
        assert before <= (waiter.last_line_at or 0.0) <= time.monotonic()
    waiter = make_waiter(loop, left=True)  # nothing is written any more
    waiter.write(logging.INFO, "a line")
    assert (waiter.log.lines, waiter.last_line_at) == ([], None)  # type: ignore[attr-defined]


def test_first_verdict_counts(loop: asyncio.AbstractEventLoop) -> None:
    waiter = make_waiter(loop)
    waiter.settle(StillOnItsWay(was_read=True))
    waiter.settle(Failed("api", "late"))
    assert waiter.verdict.result() == StillOnItsWay(was_read=True)


def test_doubt_ends_with_an_outage(loop: asyncio.AbstractEventLoop) -> None:
    waiter = make_waiter(loop, nulls=1, error_since=0.0, unknown_since=0.0)
    doubts = [waiter.is_in_doubt]
    waiter.forget_doubts()
    doubts.append(waiter.is_in_doubt)
    waiter.asked_alone = True
    assert [*doubts, waiter.is_in_doubt] == [True, False, True]


def test_link_is_the_best_available(loop: asyncio.AbstractEventLoop) -> None:
    page = f"{SETTINGS.base_url}/projects/platform/1/project/{PROJECT}/job/{JOB}/instances/{instance(1)}"
    waiter = make_waiter(loop, project_id=PROJECT, job_id=JOB)
    assert (waiter.link(SETTINGS), waiter.link(None)) == (page, f"job instance {instance(1)}")
    without_job = make_waiter(loop, project_id=PROJECT)
    for incomplete in (without_job, make_waiter(loop, job_id=JOB)):
        assert incomplete.link(SETTINGS) == f"job instance {instance(1)} on {SETTINGS.base_url}"
    without_job.instance = JobInstance.from_answer({**row("RUNNING", jobId=JOB), "id": instance(1)})
    assert without_job.link(SETTINGS) == page


# The teller


@pytest.mark.parametrize("leaves", [False, True])
def test_lines_come_in_order_one_thread_at_a_time(leaves: bool) -> None:
    """And those of a waiter that has left meanwhile are dropped."""

    async def main() -> None:
        log, teller = BlockedLogger(), Teller()
        first, second = (Waiter(instance_id=str(n), log=log, teller=teller) for n in (1, 2))
        for n in range(2):  # also in one turn of the loop they are one thread's
            first.say(logging.INFO, "line %d", 2 * n)
        assert await log.is_reached()
        for n in (1, *range(3, 20)):
            (first, second)[n % 2].say(logging.INFO, "line %d", n)
            await asyncio.sleep(0.001)
        assert second.newest_line
        assert not second.newest_line.done()
        second.left = leaves
        log.go_on.set()
        await teller.told([(first, logging.INFO, "100 % done")])
        assert second.newest_line.done()
        await teller.close()
        expected = range(0, 20, 2) if leaves else (0, 2, 1, *range(3, 20))
        assert log.lines == [*(f"line {n}" for n in expected), "100 % done"]
        assert log.most_at_once == 1

    asyncio.run(main())


def test_closed_teller_still_writes_the_lines_of_a_stop() -> None:
    async def main() -> None:
        log, teller = RecordingLogger(), Teller()
        one, left = (Waiter(instance_id=str(n), log=log, teller=teller) for n in (1, 2))
        one.say(logging.INFO, "Stopping it.")
        left.say(logging.INFO, "Saagie is away.")
        await teller.close()
        left.left = True
        await teller.told([(one, logging.INFO, "Saagie was asked to stop it.")])
        assert log.lines == ["Stopping it.", "Saagie was asked to stop it."]

    asyncio.run(main())
