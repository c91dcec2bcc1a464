"""What each page of a job's list means, and how much is asked for next: without a server, by the loop's time given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
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
from tests.support.fake_job import JOB
from tests.support.fake_saagie import PROJECT, instance, row
from tests.support.recording_logger import Recorder
from tests.unit.triggers.test_rounds import SETTINGS

INTERVAL = 10.0
AT_ONCE = 0.0
CANNOT_SAY = RowError(SaagieConnectionError("no right to see it"), 60.0)


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test; what a callback raises fails it too."""

    async def whole(*args: Any, **kwargs: Any) -> None:
        raised: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
        await test(*args, **kwargs)
        assert raised == []

    return wraps(test)(lambda *args, **kwargs: asyncio.run(whole(*args, **kwargs)))


def one(number: int, status: str = "SUCCEEDED", **more: Any) -> JobInstance:
    return JobInstance.from_answer({**row(status, number=number, **more), "id": instance(number)})


def page(*numbers: int, status: str = "SUCCEEDED") -> JobPage:
    """The newest come first, as the platform lists them."""
    return JobPage(PROJECT, tuple(one(number, status) for number in sorted(numbers, reverse=True)))


class Feed(JobFeed):
    """A feed with a log of its own, and what it has to say in it."""

    async def said(self) -> list[str]:
        if self.newest_line:
            await asyncio.wait({self.newest_line})
        assert isinstance(self.log, Recorder)
        return self.log.lines


def feed(told: Told | None = None, **more: Any) -> Feed:
    given = {"statuses": frozenset({"SUCCEEDED"}), "poll_interval": INTERVAL, "teller": Teller(), **more}
    return Feed(job_id=JOB, told=told, log=Recorder(), **given)


async def numbers_of(feed: JobFeed) -> list[int | None]:
    return [ended.number for ended in await feed.ends(within=0)]


@in_a_loop
async def test_a_hundred_are_looked_at_to_begin_with_then_ten_as_long_as_these_tell_all() -> None:
    new = feed()
    assert (new.limit, new.skip) == (100, 0)
    assert new.look(page(*range(1, 101)), 0.0) == INTERVAL
    assert (new.limit, new.skip) == (10, 0)
    # Of ten, the lowest is the next after what was known: there is none between them.
    assert new.look(page(*range(101, 111)), 10.0) == INTERVAL
    assert (new.limit, new.skip) == (10, 0)
    assert await numbers_of(new) == list(range(101, 111))
    assert new.told
    assert new.told.listed == 110


@in_a_loop
async def test_where_more_have_come_pages_of_five_hundred_are_read_at_once_each_with_fifty_of_the_one_before() -> None:
    behind = feed(Told(100, set()), limit=10)
    assert behind.look(page(*range(1193, 1203)), 0.0) == AT_ONCE
    assert (behind.limit, behind.skip) == (500, 0)
    assert behind.look(page(*range(703, 1203)), 0.0) == AT_ONCE
    assert (behind.limit, behind.skip) == (500, 450)
    # Meanwhile three more have come, which the next round will show: the pages move on by as many.
    assert behind.look(page(*range(256, 756)), 0.0) == AT_ONCE
    assert (behind.limit, behind.skip) == (500, 897)
    assert await numbers_of(behind) == []
    assert behind.look(page(*range(1, 309)), 0.0) == INTERVAL
    assert (behind.limit, behind.skip) == (10, 0)
    assert await numbers_of(behind) == list(range(101, 1203))
    assert behind.look(page(1203, 1204, 1205), 10.0) == INTERVAL
    assert await numbers_of(behind) == [1203, 1204, 1205]


@in_a_loop
async def test_a_page_with_nothing_of_the_one_before_begins_the_reading_anew() -> None:
    behind = feed(Told(100, set()), limit=10)
    behind.look(page(*range(1193, 1203)), 0.0)
    behind.look(page(*range(703, 1203)), 0.0)
    assert behind.look(page(*range(153, 653)), 0.0) == AT_ONCE
    assert (behind.limit, behind.skip) == (500, 0)
    assert behind.look(page(*range(101, 601)), 0.0) == INTERVAL
    assert await numbers_of(behind) == list(range(101, 601))


@in_a_loop
async def test_a_long_list_that_ends_before_what_was_known_is_read_to_its_end() -> None:
    """Deleted numbers leave gaps: then a large page without news is the last."""
    behind = feed(Told(100, set()), limit=500)
    assert behind.look(page(*range(301, 401)), 0.0) == AT_ONCE
    assert (behind.limit, behind.skip) == (500, 50)
    assert behind.look(page(*range(301, 351)), 0.0) == INTERVAL
    assert await numbers_of(behind) == list(range(301, 401))


@in_a_loop
async def test_one_number_that_a_page_does_not_show_is_looked_for() -> None:
    behind = feed(Told(100, set()), limit=10)
    assert behind.look(page(*range(102, 112)), 0.0) == AT_ONCE
    assert behind.look(page(*range(1, 112)), 0.0) == INTERVAL
    assert await numbers_of(behind) == list(range(101, 112))


@in_a_loop
async def test_a_large_page_of_a_few_is_read_again_from_the_newest() -> None:
    """A platform may give fewer than were asked for."""
    behind = feed(Told(100, set()), limit=500)
    assert behind.look(page(*range(181, 201)), 0.0) == AT_ONCE
    assert (behind.limit, behind.skip) == (500, 0)
    assert behind.look(page(*range(181, 201)), 0.0) == INTERVAL


@in_a_loop
async def test_a_page_that_is_not_full_is_the_whole_list() -> None:
    behind = feed(Told(100, set()), limit=10)
    assert behind.look(page(*range(301, 310)), 0.0) == INTERVAL
    assert await numbers_of(behind) == list(range(301, 310))


@in_a_loop
async def test_the_first_instance_of_a_job_is_news() -> None:
    new = feed(Told())
    new.look(page(), 0.0)
    new.look(page(1), 10.0)
    assert await numbers_of(new) == [1]


@in_a_loop
async def test_a_job_that_is_missing_twice_is_told_of_once_and_looked_for_each_minute() -> None:
    lost = feed(Told(), poll_interval=INTERVAL)
    looks = [(lost.look(None, now), lost.missing) for now in (0.0, 10.0, 70.0, 130.0)]
    assert looks == [(INTERVAL, False), (60.0, True), (60.0, True), (60.0, True)]
    assert lost.look(page(1), 200.0) == INTERVAL
    no_job, again = await lost.said()
    assert f"Saagie has no job {JOB}" in no_job
    assert again == f"The job is there again: {JOB}"
    # It was there in between: one look does not prove that it is lost anew.
    assert lost.look(None, 210.0) == INTERVAL
    assert feed(poll_interval=300.0, missing=True).look(None, 0.0) == 300.0


@in_a_loop
async def test_a_job_that_is_missing_is_told_of_once_also_where_saagie_was_away_meanwhile() -> None:
    lost = open_feed(11)
    (waiter,) = lost.missing_waiters()
    await settled(waiter, Failed("gone", "it was deleted"))
    for now in (0.0, 10.0):
        lost.look(None, now)
    lost.forget_doubts()
    for now in (100.0, 160.0):
        assert lost.look(None, now) == 60.0
    assert ["Saagie has no job" in line for line in await lost.said()] == [True]
    lost.forget_doubts()
    lost.look(page(20), 220.0)  # no proof that its instances are gone, too
    assert lost.told == Told(20, {instance(11)})


@in_a_loop
async def test_an_error_of_a_job_is_told_once_and_its_end_too() -> None:
    doubtful = feed(Told())
    rows: list[JobPage | RowError] = [CANNOT_SAY, CANNOT_SAY, CANNOT_SAY, page(), page()]
    looks = [(doubtful.look(row, now), doubtful.is_in_doubt) for now, row in enumerate(rows)]
    assert looks == [(INTERVAL, True)] * 3 + [(INTERVAL, False)] * 2
    cannot_say, again = await doubtful.said()
    assert "no right to see it" in cannot_say
    assert again == "Saagie tells of the job again."


@in_a_loop
async def test_what_was_seen_before_saagie_was_away_does_not_count() -> None:
    lost = feed(Told())
    lost.look(None, 0.0)
    lost.forget_doubts()
    assert lost.look(None, 100.0) == INTERVAL
    assert not lost.missing
    lost.look(CANNOT_SAY, 110.0)
    lost.forget_doubts()
    assert not lost.is_in_doubt
    lost.look(CANNOT_SAY, 210.0)
    assert [("can't say" in line) for line in await lost.said()] == [True, True]


@in_a_loop
async def test_where_two_looks_have_shown_the_newest_deleted_numbers_that_are_given_again_are_news() -> None:
    told = Told(7, set())
    shrinking = feed(told, limit=10)
    shrinking.look(page(1, 2, 3), 0.0)
    assert told.listed == 7
    shrinking.look(page(1, 2, 3, 4, 5), 10.0)  # 4 and 5 are others than those that were told
    assert told.listed == 5
    assert await numbers_of(shrinking) == [4, 5]
    shrinking.look(page(1, 2), 20.0)
    shrinking.look(page(1, 2, 3, 4, 5), 30.0)
    shrinking.look(page(1, 2), 40.0)
    assert told.listed == 5  # the list was whole in between
    shrinking.look(page(1, 2, 3), 50.0)
    assert told.listed == 3
    assert await numbers_of(shrinking) == [3]
    shrinking.look(page(1, 2), 60.0)
    assert told.listed == 3  # that has to be seen twice, too
    shrinking.look(page(1), 70.0)
    assert told.listed == 1


@in_a_loop
async def test_it_begins_with_what_is_on_its_way_and_says_so_at_once() -> None:
    beginning = feed()
    shown = [
        one(9, "RUNNING"),
        one(8, "UNKNOWN"),
        one(7, "UNKNOWN", endTime="2026-01-01T00:00:00Z"),
        one(6, "FAILED"),
        one(5, "QUEUED", endTime="2026-01-01T00:00:00Z"),
        one(4),
    ]
    assert beginning.look(JobPage(PROJECT, tuple(shown)), 0.0) == INTERVAL
    assert beginning.told == Told(9, {instance(n) for n in (5, 8, 9)})
    assert await asyncio.wait_for(beginning.ends(), 1) == []  # so that it is kept before anything else happens
    empty = feed()
    empty.look(page(), 0.0)
    assert empty.told == Told(0, set())


def open_feed(*numbers: int) -> Feed:
    return feed(Told(20, {instance(number) for number in numbers}), limit=10, project_id=PROJECT, unknown_grace=7.0)


@in_a_loop
async def test_each_open_instance_gets_one_waiter_that_asks_half_as_often_in_the_feeds_name() -> None:
    waiting = open_feed(12, 11)
    made = list(waiting.missing_waiters())
    assert [waiter.instance_id for waiter in made] == [instance(11), instance(12)]
    for waiter in made:
        assert (waiter.job_id, waiter.project_id) == (JOB, PROJECT)
        assert (waiter.poll_interval, waiter.unknown_grace) == (2 * INTERVAL, 7.0)
        assert waiter.endless
        assert waiter.quiet
        assert waiter.log is waiting.log
        assert waiter.context is waiting.context  # by which Airflow tells whose log a line is for
    assert list(waiting.missing_waiters()) == []
    assert waiting.waiters == {waiter.instance_id: waiter for waiter in made}
    assert list(feed().missing_waiters()) == []


async def settled(waiter: Waiter, verdict: Ended | Failed) -> None:
    waiter.settle(verdict)
    await asyncio.sleep(0)


@in_a_loop
async def test_an_end_that_a_waiter_has_seen_is_told_and_waited_for_no_more_until_it_is_written_down() -> None:
    waiting = open_feed(11, 12)
    first, second = waiting.missing_waiters()
    await settled(first, Ended(one(11)))
    await settled(second, Ended(one(12, "FAILED")))  # nobody wants to hear of it
    assert await numbers_of(waiting) == [11]
    assert waiting.waiters == {}
    assert list(waiting.missing_waiters()) == []
    assert waiting.told == Told(20, {instance(11)})
    waiting.are_told({instance(11)})
    assert waiting.told == Told(20, set())
    assert list(waiting.missing_waiters()) == []
    # Should its id come up again, it is an instance as any other: nothing is kept of what was told.
    waiting.told.open.add(instance(11))
    assert [waiter.instance_id for waiter in waiting.missing_waiters()] == [instance(11)]


@in_a_loop
async def test_an_instance_is_believed_to_be_gone_once_the_job_shows_that_it_is_itself_there() -> None:
    waiting = open_feed(11, 12)
    assert waiting.told
    first, second = waiting.missing_waiters()
    gone = Failed("gone", "it was deleted")
    await settled(first, gone)
    await settled(second, gone)
    waiting.look(page(12, status="RUNNING"), 0.0)  # it shows one of them
    assert waiting.told.open == {instance(12)}
    assert waiting.told.listed == 20
    (line,) = await waiting.said()
    assert line == f"The job instance {instance(11)} was deleted before its end was seen."


@pytest.mark.parametrize("row", [None, CANNOT_SAY], ids=["null", "error"])
@in_a_loop
async def test_an_instance_is_not_gone_where_its_job_was_away_too(row: RowError | None) -> None:
    waiting = open_feed(11)
    assert waiting.told
    (waiter,) = waiting.missing_waiters()
    waiting.look(row, 0.0)
    await settled(waiter, Failed("gone", "it was deleted"))
    waiting.look(page(20), 10.0)
    waiting.look(page(20), 20.0)  # what was said while the job was away is forgotten
    assert waiting.told.open == {instance(11)}
    assert [waiter.instance_id for waiter in waiting.missing_waiters()] == [instance(11)]


@in_a_loop
async def test_a_waiter_of_which_nobody_knows_any_more_changes_nothing() -> None:
    waiting = open_feed(11)
    (old,) = waiting.missing_waiters()
    waiting.waiters.clear()  # as the poller does where the job is missing
    (new,) = waiting.missing_waiters()
    old.verdict.cancel()
    await asyncio.sleep(0)
    assert waiting.waiters == {instance(11): new}
    new.verdict.set_exception(RuntimeError("a mistake of ours"))
    await asyncio.sleep(0)
    (late,) = waiting.missing_waiters()
    waiting.left = True
    await settled(late, Ended(one(11)))
    assert waiting.waiters == {}
    assert await numbers_of(waiting) == []


@in_a_loop
async def test_news_end_the_wait_at_once_and_are_given_once() -> None:
    waiting = open_feed(11)
    (waiter,) = waiting.missing_waiters()
    news = asyncio.ensure_future(waiting.ends(within=60))
    await asyncio.sleep(0)
    waiter.settle(Ended(one(11)))
    assert [ended.number for ended in await asyncio.wait_for(news, 1)] == [11]
    later = asyncio.ensure_future(waiting.ends(within=60))
    await asyncio.sleep(0.01)
    assert not later.done()
    later.cancel()
    assert await waiting.ends(within=0) == []


@in_a_loop
async def test_a_mistake_of_ours_ends_the_wait_for_news() -> None:
    waiting = feed(Told())
    news = asyncio.ensure_future(waiting.ends(within=60))
    await asyncio.sleep(0)
    waiting.verdict.set_exception(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(news, 1)


@in_a_loop
async def test_told_ends_may_be_of_nobody_yet() -> None:
    beginning = feed()
    beginning.are_told({instance(1)})
    assert beginning.told is None


def rows_of(*numbers: Any) -> list[Any]:
    return [{**row("RUNNING"), "number": number, "id": instance(1)} for number in numbers]


def test_a_page_is_read_with_or_without_a_project_and_its_instances_have_numbers() -> None:
    read = JobPage.from_answer({"project": {"id": PROJECT}, "instances": rows_of(2, 3)})
    assert read.project_id == PROJECT
    assert [shown.number for shown in read.oldest_first] == [2, 3]
    assert JobPage.from_answer({"instances": None}) == JobPage(None, ())
    assert JobPage.from_answer({"project": {}}) == JobPage(None, ())
    with pytest.raises(TypeError):
        JobPage.from_answer({"instances": rows_of(1, None)})


@in_a_loop
async def test_it_is_asked_about_for_as_long_as_its_trigger_runs_and_tells_for_its_waiters() -> None:
    assert feed().endless
    assert not feed().quiet


@in_a_loop
async def test_its_link_is_the_best_there_is() -> None:
    known = feed(project_id=PROJECT)
    assert known.link(SETTINGS) == f"{SETTINGS.base_url}/projects/platform/1/project/{PROJECT}/job/{JOB}"
    assert feed().link(SETTINGS) == f"job {JOB} on {SETTINGS.base_url}"
    assert known.link(None) == f"job {JOB}"
