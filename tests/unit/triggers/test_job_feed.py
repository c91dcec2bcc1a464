"""The job feed as a state machine: pages of a job's instances go in; polls, ends and log lines come out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import wraps
from typing import Any

import pytest

from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.exceptions import SaagieConnectionError
from airflow_provider_saagie.triggers.job_feed import JobFeed, JobPage
from airflow_provider_saagie.triggers.rounds import RowError
from airflow_provider_saagie.triggers.teller import Teller
from airflow_provider_saagie.triggers.told import Told
from airflow_provider_saagie.triggers.waiter import Ended, Failed, Waiter
from tests.support.fake_saagie import JOB, PROJECT, instance, row
from tests.support.recording_logger import RecordingLogger
from tests.support.virtual_time import run
from tests.unit.triggers.test_rounds import SETTINGS

INTERVAL, MINUTE = 10.0, 60.0
ERROR = RowError(SaagieConnectionError("no right to see it"), 60.0)
GONE = Failed("gone", "it was deleted")


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test in an event loop; it also fails if a callback raises."""

    async def checked() -> None:
        raised: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
        await test()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})  # lines that are still being written
        assert raised == []

    return wraps(test)(lambda: run(checked()))


def ended(number: int, status: str = "SUCCEEDED", **more: Any) -> JobInstance:
    return JobInstance.from_answer({**row(status, number=number, **more), "id": instance(number)})


def page(numbers: Iterable[int], status: str = "SUCCEEDED") -> JobPage:
    """Return a page as the platform lists it: the newest first."""
    return JobPage(PROJECT, tuple(ended(number, status) for number in sorted(numbers, reverse=True)))


class Feed(JobFeed):
    """A feed with a log of its own."""

    async def lines(self) -> list[str]:
        if self.newest_line:
            await asyncio.wait({self.newest_line})
        assert isinstance(self.log, RecordingLogger)
        return self.log.lines

    async def numbers(self) -> list[int | None]:
        return [instance.number for instance in await self.ends(within=0)]


def feed(told: Told | None = None, **more: Any) -> Feed:
    given = {"statuses": frozenset({"SUCCEEDED"}), "poll_interval": INTERVAL, "teller": Teller(), **more}
    return Feed(job_id=JOB, told=told, log=RecordingLogger(), **given)


def open_feed(*numbers: int) -> tuple[Feed, list[Waiter], Told]:
    """Return a feed with unfinished instances, their waiters and its checkpoint."""
    told = Told(20, {instance(number) for number in numbers})
    made = feed(told, limit=10, project_id=PROJECT, unknown_grace=7.0)
    return made, list(made.missing_waiters()), told


async def settle(waiter: Waiter, verdict: Ended | Failed) -> None:
    waiter.settle(verdict)
    await asyncio.sleep(0)


# The highest known number and the first limit; pages as first and last number, next limit, next skip; ends reported.
READINGS: dict[str, tuple[int | None, int, list[tuple[int, int, int, int]], tuple[int, int]]] = {
    "100 to begin with, then 10 while these show all": (None, 100, [(1, 100, 10, 0), (101, 110, 10, 0)], (101, 110)),
    "the first instance of a job is new": (0, 100, [(1, 0, 10, 0), (1, 1, 10, 0)], (1, 1)),
    "pages of 500 overlap by 50 and move on with instances that are added meanwhile": (
        100,
        10,
        [(1193, 1202, 500, 0), (703, 1202, 500, 450), (256, 755, 500, 897), (1, 308, 10, 0), (1203, 1205, 10, 0)],
        (101, 1205),
    ),
    "a page without overlap restarts the reading": (
        100,
        10,
        [(1193, 1202, 500, 0), (703, 1202, 500, 450), (153, 652, 500, 0), (101, 600, 10, 0)],
        (101, 600),
    ),
    "a list that ends above 100 is read to its end": (100, 500, [(301, 400, 500, 50), (301, 350, 10, 0)], (301, 400)),
    "a single number that a page hides is read": (100, 10, [(102, 111, 500, 0), (1, 111, 10, 0)], (101, 111)),
    "a large page shorter than asked is read again": (100, 500, [(181, 200, 500, 0), (181, 200, 10, 0)], (181, 200)),
    "a small page that is not full is the whole list": (100, 10, [(301, 309, 10, 0)], (301, 309)),
}


@in_a_loop
async def test_reading_continues_until_no_instance_can_be_missing() -> None:
    assert (feed().limit, feed().skip) == (100, 0)
    for name, (listed, limit, pages, (first, last)) in READINGS.items():
        reading = feed(None if listed is None else Told(listed), limit=limit)
        reported: list[int | None] = []
        for lowest, highest, *following in pages:
            pause = reading.look(page(range(lowest, highest + 1)), 0.0)
            assert [reading.limit, reading.skip] == following, name
            assert pause == (INTERVAL if reading.limit == 10 else 0), name
            new = await reading.numbers()
            assert pause or not new, name
            reported += new
        assert reported == list(range(first, last + 1)), name
        assert (reading.told or Told()).listed == last, name


@in_a_loop
async def test_missing_job_is_logged_once_and_polled_each_minute() -> None:
    lost = feed(Told())
    polls = [(lost.look(None, now), lost.missing) for now in (0.0, 10.0, 70.0, 130.0)]
    assert polls == [(INTERVAL, False), *[(MINUTE, True)] * 3]
    lost.forget_doubts()  # as after an outage
    assert lost.look(None, 160.0) == MINUTE
    assert lost.look(page([1]), 200.0) == INTERVAL
    assert lost.look(None, 210.0) == INTERVAL  # it was there in between: a single null proves nothing
    missing, again = await lost.lines()
    assert f"Saagie has no job {JOB}" in missing
    assert again == f"The job is there again: {JOB}"
    assert feed(poll_interval=300.0, missing=True).look(None, 0.0) == 300.0


@in_a_loop
async def test_error_of_job_is_logged_once_and_its_end_too() -> None:
    doubtful = feed(Told())
    rows: list[JobPage | RowError] = [ERROR, ERROR, ERROR, page(()), page(())]
    polls = [(doubtful.look(row, now), doubtful.is_in_doubt) for now, row in enumerate(rows)]
    assert polls == [(INTERVAL, True)] * 3 + [(INTERVAL, False)] * 2
    error, again = await doubtful.lines()
    assert "no right to see it" in error
    assert again == "Saagie tells of the job again."
    lost = feed(Told())
    for seen in (None, ERROR):
        lost.look(seen, 0.0)
        lost.forget_doubts()  # what was seen before an outage does not count
        assert not lost.is_in_doubt
        assert (lost.look(seen, 100.0), lost.missing) == (INTERVAL, False)
    assert ["can't say" in line for line in await lost.lines()] == [True, True]


@in_a_loop
async def test_reused_numbers_are_new_once_polls_show_a_deletion() -> None:
    told = Told(7)
    shrinking = feed(told, limit=10)
    for highest, listed, reported in [
        (3, 7, []),
        (5, 5, [4, 5]),  # others than those that were reported
        (2, 5, []),
        (5, 5, []),  # the list was whole in between
        (2, 5, []),
        (3, 3, [3]),
        (2, 3, []),
        (1, 1, []),
    ]:
        shrinking.look(page(range(1, highest + 1)), 0.0)
        assert (told.listed, await shrinking.numbers()) == (listed, reported)


@in_a_loop
async def test_new_feed_begins_with_unfinished_instances() -> None:
    beginning = feed()
    beginning.are_told({instance(1)})
    assert (beginning.told, list(beginning.missing_waiters())) == (None, [])
    time = "2026-01-01T00:00:00Z"
    shown = [ended(9, "RUNNING"), ended(8, "UNKNOWN"), ended(7, "UNKNOWN", endTime=time), ended(6, "FAILED")]
    assert beginning.look(JobPage(PROJECT, (*shown, ended(5, "QUEUED", endTime=time), ended(4))), 0.0) == INTERVAL
    assert beginning.told == Told(9, {instance(n) for n in (5, 8, 9)})
    # It returns without any end, so that the checkpoint is stored before anything else happens.
    assert await asyncio.wait_for(beginning.ends(), 1) == []


@in_a_loop
async def test_unfinished_instance_gets_one_waiter_at_half_the_rate() -> None:
    waiting, made, _ = open_feed(12, 11)
    for number, waiter in zip((11, 12), made, strict=True):
        assert (waiter.instance_id, waiter.job_id, waiter.project_id) == (instance(number), JOB, PROJECT)
        assert (waiter.poll_interval, waiter.unknown_grace) == (2 * INTERVAL, 7.0)
        assert (waiter.endless, waiter.quiet) == (True, True)
        assert waiter.log is waiting.log
        assert waiter.context is waiting.context  # by which Airflow finds the trigger's log
    assert list(waiting.missing_waiters()) == []
    assert list(waiting.waiters.values()) == made


@in_a_loop
async def test_end_from_waiter_is_reported_once_and_kept_until_stored() -> None:
    waiting, (first, second), told = open_feed(11, 12)
    await settle(first, Ended(ended(11)))
    await settle(second, Ended(ended(12, "FAILED")))  # not one of the statuses
    assert await waiting.numbers() == [11]
    assert (waiting.waiters, list(waiting.missing_waiters())) == ({}, [])
    assert told == Told(20, {instance(11)})
    waiting.are_told({instance(11)})
    assert told == Told(20)
    told.open.add(instance(11))  # should its id be used again, nothing is remembered of the first
    assert [waiter.instance_id for waiter in waiting.missing_waiters()] == [instance(11)]


@in_a_loop
async def test_instance_is_gone_only_if_its_job_is_there() -> None:
    waiting, waiters, told = open_feed(11, 12)
    for waiter in waiters:
        await settle(waiter, GONE)
    waiting.look(page([12], "RUNNING"), 0.0)
    assert told == Told(20, {instance(12)})
    assert await waiting.lines() == [f"The job instance {instance(11)} was deleted before its end was seen."]
    for name, polls in {
        "null": [None, page([20]), page([20])],
        "error": [ERROR, page([20]), page([20])],
        "missing before and after an outage": [None, None, "outage", None, "outage", page([20])],
    }.items():
        waiting, (waiter,), told = open_feed(11)
        for n, poll in enumerate(polls):
            waiting.forget_doubts() if poll == "outage" else waiting.look(poll, 10.0 * n)
            await settle(waiter, GONE)
        assert told == Told(20, {instance(11)}), name
        assert [waiter.instance_id for waiter in waiting.missing_waiters()] == [instance(11)], name


@in_a_loop
async def test_verdict_of_replaced_waiter_changes_nothing() -> None:
    waiting, (old,), _ = open_feed(11)
    waiting.waiters.clear()  # as the poller does while the job is missing
    (new,) = waiting.missing_waiters()
    old.verdict.cancel()
    await asyncio.sleep(0)
    assert waiting.waiters == {instance(11): new}
    new.verdict.set_exception(RuntimeError("a defect"))
    await asyncio.sleep(0)
    (late,) = waiting.missing_waiters()
    waiting.left = True
    await settle(late, Ended(ended(11)))
    assert (waiting.waiters, await waiting.numbers()) == ({}, [])


@in_a_loop
async def test_wait_for_ends_returns_on_an_end_and_raises_on_a_defect() -> None:
    waiting, (waiter,), _ = open_feed(11)
    loop = asyncio.get_running_loop()
    began = loop.time()
    loop.call_later(1, waiter.settle, end := Ended(ended(11)))
    loop.call_later(2, waiting.verdict.set_exception, ZeroDivisionError())
    assert await waiting.ends(within=60) == [end.instance]
    assert loop.time() - began == pytest.approx(1)
    with pytest.raises(ZeroDivisionError):  # an end is returned once
        await waiting.ends(within=60)
    assert loop.time() - began == pytest.approx(2)


def test_page_is_read_from_an_answer() -> None:
    three, two, none = [{**row("RUNNING"), "number": number, "id": instance(1)} for number in (3, 2, None)]
    read = JobPage.from_answer({"project": {"id": PROJECT}, "instances": [three, two]})
    assert read.project_id == PROJECT
    assert [shown.number for shown in read.oldest_first] == [2, 3]
    for empty in ({"instances": None}, {"project": {}}):
        assert JobPage.from_answer(empty) == JobPage(None, ())
    with pytest.raises(TypeError):
        JobPage.from_answer({"instances": [two, none]})


@in_a_loop
async def test_feed_is_endless_and_links_to_its_job() -> None:
    assert (feed().endless, feed().quiet) == (True, False)
    known = feed(project_id=PROJECT)
    assert known.link(SETTINGS) == f"{SETTINGS.base_url}/projects/platform/1/project/{PROJECT}/job/{JOB}"
    assert feed().link(SETTINGS) == f"job {JOB} on {SETTINGS.base_url}"
    assert known.link(None) == f"job {JOB}"
