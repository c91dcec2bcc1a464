"""The ends of a job's instances, one after the other, for somebody who wants to hear of each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.client import answers
from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.status import InstanceStatus, is_final
from airflow_provider_saagie.triggers.told import Told
from airflow_provider_saagie.triggers.waiter import Asked, Ended, Failed, Verdict, Waiter

if TYPE_CHECKING:
    from airflow_provider_saagie.client.settings import Settings
    from airflow_provider_saagie.triggers.rounds import RowError

__all__ = ["PAGE", "JobFeed", "JobPage"]

FIRST_PAGE = 100
"""How many of the newest instances are looked at to begin with: of these, whatever is on its way will be told."""
PAGE = 10
"""How many are looked at from then on."""
LARGE_PAGE = 500
"""How many are looked at at a time, until all are seen, where more have come since."""
OVERLAP = 50
"""How many of a large page the next one shows again, since instances may be deleted in between."""
AT_ONCE = 0.0
MISSING_INTERVAL = 60.0


@dataclass(frozen=True)
class JobPage:
    """The newest instances of a job, as a batch tells of them.

    :param project_id: the job's project.
    :param instances: all have a number.
    """

    project_id: str | None
    instances: tuple[JobInstance, ...]

    @classmethod
    def from_answer(cls, row: Mapping[str, Any]) -> JobPage:
        """Read a field of ``watchJobs``.

        :raises TypeError: where an instance has no number.
        """
        instances = tuple(JobInstance.from_answer(one) for one in answers.rows(row, "instances"))
        if not all(isinstance(one.number, int) for one in instances):
            raise TypeError("an instance has no number")
        return cls((row.get("project") or {}).get("id"), instances)

    @property
    def oldest_first(self) -> list[JobInstance]:
        """The instances in the order of their numbers, in which their ends are told."""
        return sorted(self.instances, key=_number)


@dataclass(slots=True, eq=False, kw_only=True)
class JobFeed(Asked):
    """What the watcher knows of one who wants to hear of a job's ends.

    An instance that has ended when the job's list first shows it is told at once. One that is on its way becomes a
    :class:`Waiter`, which the poller asks about by itself only where the list no longer shows it.

    :param job_id: the job.
    :param statuses: the ends to hear of.
    :param unknown_grace: seconds for which UNKNOWN is taken for a passing state.
    :param told: how far the telling had come; None to begin with what ends from now on.
    :param project_id: the job's project, as soon as it is known.
    :param limit: how many instances are asked for next.
    :param skip: how many of the newest are left out then.
    :param waiters: those of instances that are on their way, by the instances' ids.
    :param missing: whether the platform no longer has the job.
    """

    job_id: str
    statuses: frozenset[str]
    unknown_grace: float = 60.0
    told: Told | None = None

    project_id: str | None = None
    limit: int = FIRST_PAGE
    skip: int = 0
    waiters: dict[str, Waiter] = field(default_factory=dict)
    missing: bool = False
    _rows: dict[str, JobInstance] = field(default_factory=dict)
    _ended: dict[str, JobInstance] = field(default_factory=dict)
    _gone: set[str] = field(default_factory=set)
    _news: list[JobInstance] = field(default_factory=list)
    _is_news: asyncio.Event = field(default_factory=asyncio.Event)
    _shrunk_to: int | None = None

    def __post_init__(self) -> None:
        # A mistake of ours ends the wait for news too.
        self.verdict.add_done_callback(lambda _: self._is_news.set())

    @property
    def endless(self) -> bool:
        """It ends with its trigger only."""
        return True

    def link(self, settings: Settings | None) -> str:
        """Give the address of the job's page, or the next best."""
        if settings and self.project_id:
            return settings.job_url(self.project_id, self.job_id)
        return f"job {self.job_id}" + (f" on {settings.base_url}" if settings else "")

    async def ends(self, *, within: float | None = None) -> list[JobInstance]:
        """Wait for news.

        :param within: seconds after which to come back without any.
        :return: instances that have come to an end of the wanted kind; none where this is only the beginning.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._is_news.wait()
        if self.verdict.done():
            self.verdict.result()
        self._is_news.clear()
        news, self._news = self._news, []
        return news

    def are_told(self, ids: set[str]) -> None:
        """Forget ends that have been told, for good.

        :param ids: whose.
        """
        if self.told:
            self.told.open -= ids
        for one in ids:
            self._ended.pop(one, None)

    # What the poller saw.

    def look(self, row: JobPage | RowError | None, now: float) -> float:
        """Take in what a batch says of the job.

        :param row: the page; None where the platform doesn't have the job.
        :param now: the loop's time.
        :return: seconds until it is to be asked about again.
        """
        if isinstance(row, JobPage):
            return self._read(row)
        if row is None:
            self.nulls += 1
            if self.nulls == 2 and not self.missing:
                self.missing = True
                self.say(
                    logging.WARNING,
                    "Saagie has no job %s, or this login may not see it: it is looked for once a minute.",
                    self.job_id,
                )
        elif self.error_since is None:
            self.error_since = now
            self.say(logging.WARNING, "Saagie can't say how the job does; it is asked again. %s", row.error)
        return max(self.poll_interval, MISSING_INTERVAL) if self.missing else self.poll_interval

    def _read(self, page: JobPage) -> float:
        was_away = self.missing or self.nulls > 0 or self.error_since is not None
        if self.missing:
            self.say(logging.INFO, "The job is there again: %s", self.job_id)
        elif self.error_since is not None:
            self.say(logging.INFO, "Saagie tells of the job again.")
        self.missing, self.nulls, self.error_since, self.project_id = False, 0, None, page.project_id
        if self.told is None:
            self.told = _beginning(page)
            self._is_news.set()  # it is to be kept before anything else happens
        elif not self._have_all(page, self.told.listed):
            return AT_ONCE
        else:
            self._take_in(self.told, sorted(self._rows.values(), key=_number))
        self._drop_gone(self._rows.keys(), was_away=was_away)
        self._rows, self.limit, self.skip = {}, PAGE, 0
        return self.poll_interval

    def _have_all(self, page: JobPage, listed: int) -> bool:
        """Collect pages until nothing can be missing between the newest and what was listed before."""
        shown = {one.id: one for one in page.instances}
        if self._rows and not self._rows.keys() & shown.keys():  # so many were deleted that some may have slipped by
            self._rows, self.skip = {}, 0
            return False
        known = len(self._rows)
        self._rows |= shown
        if not shown or min(map(_number, shown.values())) <= listed + 1:
            return True
        if self.limit == LARGE_PAGE:  # a page may be shorter than asked, so that only one without news is the last
            self.skip = max(0, len(self._rows) - OVERLAP)
            return len(self._rows) == known
        if len(shown) < self.limit:
            return True
        self._rows, self.limit = {}, LARGE_PAGE
        return False

    def _take_in(self, told: Told, instances: list[JobInstance]) -> None:
        newest = max(map(_number, instances), default=0)
        self._mind_deletions(told, newest)
        for instance in instances:
            if _number(instance) > told.listed:
                told.open.add(instance.id)
                if _has_ended(instance):
                    self._end(instance.id, instance)
        told.listed = max(told.listed, newest)

    def _mind_deletions(self, told: Told, newest: int) -> None:
        """Go back with the list, where its newest were deleted: should numbers be given again, we'd hear of nothing.

        It has to be seen twice, since a platform in trouble may show a list with gaps.
        """
        if newest >= told.listed:
            self._shrunk_to = None
        elif self._shrunk_to is None:
            self._shrunk_to = newest
        else:
            told.listed, self._shrunk_to = min(newest, self._shrunk_to), None

    def _drop_gone(self, shown: Collection[str], *, was_away: bool) -> None:
        """Believe that instances are gone, now that the job itself is there; had it been away, so would they."""
        for one in set() if was_away else self._gone.difference(shown):
            self.say(logging.INFO, "The job instance %s was deleted before its end was seen.", one)
            self.are_told({one})
        self._gone.clear()

    def missing_waiters(self) -> Iterator[Waiter]:
        """Make the waiters that open instances need, and give them, to be added."""
        for one in sorted(self.told.open if self.told else ()):
            if one not in self.waiters and one not in self._ended:
                # Each page that shows the instance puts its own question off, so that it is asked where none does.
                waiter = Waiter(
                    instance_id=one,
                    job_id=self.job_id,
                    project_id=self.project_id,
                    log=self.log,
                    context=self.context,
                    poll_interval=2 * self.poll_interval,
                    unknown_grace=self.unknown_grace,
                    of_feed=True,
                )
                self.waiters[one] = waiter
                waiter.verdict.add_done_callback(partial(self._settled, waiter))
                yield waiter

    def _settled(self, waiter: Waiter, future: asyncio.Future[Verdict]) -> None:
        if self.waiters.get(waiter.instance_id) is waiter:
            del self.waiters[waiter.instance_id]
        if future.cancelled() or future.exception() or self.left:
            return
        verdict = future.result()
        if isinstance(verdict, Ended):
            self._end(waiter.instance_id, verdict.instance)
        elif isinstance(verdict, Failed):
            self._gone.add(waiter.instance_id)

    def _end(self, instance_id: str, instance: JobInstance) -> None:
        if instance.status not in self.statuses:
            self.are_told({instance_id})
            return
        self._ended[instance_id] = instance
        self._news.append(instance)
        self._is_news.set()


def _number(instance: JobInstance) -> int:
    return instance.number or 0


def _beginning(page: JobPage) -> Told:
    """Pass over all that has ended already."""
    on_their_way = {
        one.id
        for one in page.instances
        if not _has_ended(one) and not (one.status == InstanceStatus.UNKNOWN and one.end_time)
    }
    return Told(max(map(_number, page.instances), default=0), on_their_way)


def _has_ended(instance: JobInstance) -> bool:
    """Say whether an instance has ended for sure: UNKNOWN may pass."""
    return is_final(instance.status) and instance.status != InstanceStatus.UNKNOWN
