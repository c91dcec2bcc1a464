"""What is kept of one who waits, without a poller: lines into its own log, its verdict, its doubts, its link."""

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
from airflow_provider_saagie.triggers.waiter import Asked, Failed, StillOnItsWay, Waiter
from tests.support.fake_job import JOB
from tests.support.fake_saagie import PROJECT, instance, row
from tests.support.recording_logger import Recorder
from tests.unit.triggers.test_rounds import SETTINGS

WHOSE = contextvars.ContextVar("WHOSE", default="nobody's")


class Attentive(Recorder):
    """Keeps in whose context each line was logged, as Airflow tells by it whose log a line is for."""

    def handle(self, record: Any) -> None:
        self.lines.append(f"{WHOSE.get()}: {record.getMessage()}")


class Deaf(Recorder):
    """A log that takes no line."""

    def handle(self, record: Any) -> None:
        raise OSError("the pipe is closed")


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def waiter(loop: asyncio.AbstractEventLoop, **more: Any) -> Waiter:
    return Waiter(instance_id=instance(1), verdict=loop.create_future(), **{"log": Recorder(), **more})


def test_a_line_is_logged_in_the_waiters_context_though_that_is_in_use(loop: asyncio.AbstractEventLoop) -> None:
    """The loop may run the waiter's deadline in it while a thread writes."""
    log = Attentive()
    WHOSE.set("somebody's")
    one = waiter(loop, log=log)
    WHOSE.set("nobody's")
    one.write(logging.INFO, "100 % done")
    one.context.run(one.write, logging.INFO, "a second")
    assert log.lines == ["somebody's: 100 % done", "somebody's: a second"]


def test_when_the_last_line_was_written_is_known_also_where_the_log_took_none(loop: asyncio.AbstractEventLoop) -> None:
    for log in (Recorder(), Deaf()):
        one = waiter(loop, log=log)
        before = time.monotonic()
        one.write(logging.INFO, "a line")
        assert before <= (one.last_line_at or 0.0) <= time.monotonic()


def test_who_has_left_is_written_nothing(loop: asyncio.AbstractEventLoop) -> None:
    log = Recorder()
    one = waiter(loop, log=log, left=True)
    one.write(logging.INFO, "a line")
    assert (log.lines, one.last_line_at) == ([], None)


def test_a_log_that_takes_no_line_costs_nobody_else_his() -> None:
    async def told() -> list[str]:
        teller, log = Teller(), Recorder()
        for n, taking in enumerate((Deaf(), log)):
            Waiter(instance_id=instance(n), log=taking, teller=teller).say(logging.WARNING, "line %d", n)
        await teller.told([(Waiter(instance_id=instance(2), log=log), logging.INFO, "line 2")])
        return log.lines

    assert asyncio.run(told()) == ["line 1", "line 2"]


def test_the_first_verdict_counts(loop: asyncio.AbstractEventLoop) -> None:
    one = waiter(loop)
    one.settle(StillOnItsWay(was_read=True))
    one.settle(Failed("api", "late"))
    assert one.verdict.result() == StillOnItsWay(was_read=True)


def test_who_is_in_doubt_is_so_no_more_after_saagie_was_away(loop: asyncio.AbstractEventLoop) -> None:
    one = waiter(loop, nulls=1, error_since=0.0, unknown_since=0.0)
    doubts = [one.is_in_doubt]
    one.forget_doubts()
    assert (one.nulls, one.error_since, one.unknown_since) == (0, None, None)
    doubts.append(one.is_in_doubt)
    one.asked_alone = True
    assert [*doubts, one.is_in_doubt] == [True, False, True]


@pytest.mark.parametrize("of_feed", [False, True])
def test_only_a_feeds_waiter_is_endless_and_left_to_its_feed_to_tell(
    loop: asyncio.AbstractEventLoop, of_feed: bool
) -> None:
    one = waiter(loop, of_feed=of_feed)
    assert (one.endless, one.quiet) == (of_feed, of_feed)
    other = Asked(log=Recorder(), verdict=loop.create_future())
    assert (other.endless, other.quiet) == (False, False)


def test_its_link_is_the_best_there_is(loop: asyncio.AbstractEventLoop) -> None:
    page = f"{SETTINGS.base_url}/projects/platform/1/project/{PROJECT}/job/{JOB}/instances/{instance(1)}"
    one = waiter(loop, project_id=PROJECT, job_id=JOB)
    assert one.link(SETTINGS) == page
    assert one.link(None) == f"job instance {instance(1)}"
    of_no_job = waiter(loop, project_id=PROJECT)
    assert of_no_job.link(SETTINGS) == f"job instance {instance(1)} on {SETTINGS.base_url}"
    of_no_job.instance = JobInstance.from_answer({**row("RUNNING", jobId=JOB), "id": instance(1)})
    assert of_no_job.link(SETTINGS) == page
    assert waiter(loop, job_id=JOB).link(SETTINGS) == f"job instance {instance(1)} on {SETTINGS.base_url}"
