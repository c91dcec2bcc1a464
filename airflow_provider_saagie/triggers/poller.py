"""The shared poller: one per connection asks for all instances and jobs that are due, many in one request.

It runs in an empty context, since whatever it logs by itself would land in the log of the task that happened to start
it; what concerns a waiter is logged through the waiter's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.exceptions import SaagieError
from airflow_provider_saagie.triggers import rounds
from airflow_provider_saagie.triggers.batch_size import BatchSize
from airflow_provider_saagie.triggers.connection import Connection
from airflow_provider_saagie.triggers.job_feed import JobFeed, JobPage
from airflow_provider_saagie.triggers.log_follower import LogFollower
from airflow_provider_saagie.triggers.metrics import Meter
from airflow_provider_saagie.triggers.outage import Outage
from airflow_provider_saagie.triggers.questions import INSTANCES, QUESTIONS, Question, question_of
from airflow_provider_saagie.triggers.rounds import Away, Denied, RowError, Rows, TooMuch
from airflow_provider_saagie.triggers.schedule import (
    NOT_SCHEDULED,
    TAKEN_EARLY,
    Schedule,
    interval,
    next_but_not_soon,
    next_tick,
)
from airflow_provider_saagie.triggers.teller import Teller
from airflow_provider_saagie.triggers.waiter import Asked, Ended, StillOnItsWay, Waiter

if TYPE_CHECKING:
    from airflow_provider_saagie.client.settings import Settings

__all__ = ["Poller"]

T = TypeVar("T")

LARGEST_BATCH = 100
REQUESTS_AT_A_TIME = 4
ENDS_AT_A_TIME = 25
"""Ends after which others may use the loop: what Airflow does with each event takes it much longer than us."""
GATHERING = 0.1
"""Seconds in which waiters that come together, or whose deadlines do, are gathered into one request."""
LONGEST_DOUBT = 60.0
"""Seconds after which a null, an error or an UNKNOWN is looked at once more, however long the interval is."""


@dataclass
class Tally:
    """What halving a refused batch, or a whole round, has found so far.

    :param largest_accepted: how many were asked for in the largest document that was taken.
    :param culprits: whose document was refused though it asked for nobody else, and how.
    """

    largest_accepted: int = 0
    culprits: list[tuple[Asked, SaagieError]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in what another has found."""
        self.largest_accepted = max(self.largest_accepted, other.largest_accepted)
        self.culprits += other.culprits


class Poller:
    """Asks for what its waiters want to know until it is cancelled.

    :param look_up: gives the connection's settings.
    :param meter: counts what is done.
    """

    def __init__(self, look_up: Callable[[], Awaitable[Settings]], meter: Meter) -> None:
        self.waiters: set[Asked] = set()
        self.connection = Connection(look_up)
        self.teller = Teller()
        self.logs = LogFollower(self.connection, meter, self.teller)
        self._meter = meter
        self._outage = Outage(self.waiters, self.connection, self.teller)
        self._schedule = Schedule()
        self._last_looks: list[Asked] = []
        self._wake = asyncio.Event()
        self._handing_out = asyncio.Lock()
        self._batch_sizes = {question.operation: BatchSize(LARGEST_BATCH) for question in QUESTIONS}

    def add(self, waiter: Asked) -> None:
        """Begin to ask about somebody's instance or job."""
        waiter.joined, waiter.teller = _now(), self.teller
        self.waiters.add(waiter)
        self._outage.greet(waiter)
        self._schedule.put(waiter, _now() + GATHERING)
        self._wake.set()

    def remove(self, waiter: Asked) -> None:
        """Forget a waiter; what is still on its way for it is dropped."""
        waiter.left = True
        self.waiters.discard(waiter)
        if isinstance(waiter, JobFeed):
            self._remove_waiters(waiter)

    def _remove_waiters(self, feed: JobFeed) -> None:
        for waiter in feed.waiters.values():
            self.remove(waiter)
        feed.waiters.clear()

    def look_now(self, waiter: Waiter) -> None:
        """Ask for a waiter at once, also in an outage: its deadline has come."""
        waiter.last_look_since = _now()
        self._schedule.drop(waiter)
        self._last_looks.append(waiter)
        self._wake.set()

    async def run(self) -> None:
        """Ask, round after round."""
        following = asyncio.create_task(self.logs.run())
        try:
            while True:
                self._wake.clear()
                waiters, since = await self._due()
                if waiters:
                    await self._round(waiters, since)
                    for waiter in waiters:  # who was not reached stays due
                        if waiter.due == NOT_SCHEDULED and not waiter.left and not waiter.verdict.done():
                            self._schedule.put(waiter, _now(), waiter.interval)
                else:
                    await self._sleep_until(self._next_time())
                self._meter.report(len(self.waiters), _now())
                if following.done():
                    following.result()
        finally:
            following.cancel()
            self._meter.report(0, _now(), last=True)
            try:
                await asyncio.wait({following})
                await self.teller.close()
            finally:  # a loop that is shut down cancels this once more
                await self.connection.close()

    async def _due(self) -> tuple[list[Asked], float | None]:
        """Give whom to ask about now, and since when the longest due of them is.

        That is as much as can be asked at a time: then who has become urgent meanwhile comes first.
        """
        if self._last_looks:
            await asyncio.sleep(GATHERING)
        urgent = [waiter for waiter in self._last_looks if not waiter.left]
        self._last_looks.clear()
        pausing = _now() < self._outage.next_try
        if not pausing and (self._outage.is_on or not self.connection.is_open):
            await self.connection.refresh()
            if self.connection.problem:
                await self._outage.begins(self.connection.problem)
        if not self.connection.is_open:
            return [], None
        if pausing:  # a login that is refused is not tried for each deadline: it would get locked
            return [] if self._outage.is_refusal else urgent, None
        sizes = [size.at(_now()) for size in self._batch_sizes.values()]
        # In an outage one batch goes ahead, to see whether Saagie is back.
        at_most = min(sizes) if self._outage.is_on else REQUESTS_AT_A_TIME * max(sizes)
        due, since = self._schedule.take(_now() + TAKEN_EARLY, at_most)
        return urgent + due, since

    def _next_time(self) -> float:
        due = self._schedule.next_due()
        if self._outage.is_on and not (due is None and self.connection.is_open):
            due = self._outage.next_try if due is None else max(due, self._outage.next_try)
        return self._meter.next_report if due is None else min(due, self._meter.next_report)

    async def _sleep_until(self, when: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(when):
                await self._wake.wait()

    async def _round(self, waiters: list[Asked], since: float | None) -> None:
        waiters = waiters + self._witness(waiters)
        batches = [
            batch
            for question in QUESTIONS
            for batch in _batches(
                question,
                [waiter for waiter in waiters if question_of(waiter) is question],
                self._batch_sizes[question.operation].at(_now()),
            )
        ]
        found = Tally()
        trouble: Away | Denied | None = None
        for group in _cut(batches, 1 if self._outage.is_on else REQUESTS_AT_A_TIME):
            lag = _now() - since if since is not None else 0.0
            self._meter.count(lag=lag)
            troubles = await asyncio.gather(*(self._ask(question, batch, found) for question, batch in group))
            trouble = next((trouble for trouble in troubles if trouble), None)
            if trouble or self._last_looks:  # a deadline is more urgent than the rest of a round
                break
        trouble = trouble or self._blame(found)
        # A login that is refused may have been mended in Airflow already.
        if trouble and (
            self._outage.is_on or isinstance(trouble, Away) or not await self.connection.refresh(at_once=True)
        ):
            if isinstance(trouble, Denied):
                self.connection.forget_token()
            await self._outage.begins(trouble)

    def _witness(self, waiters: Sequence[Asked]) -> list[Asked]:
        """Give one who is well, to be asked for with some who all are in doubt: it tells them from the platform."""
        if not all(waiter.is_in_doubt for waiter in waiters) or all(waiter.endless for waiter in waiters):
            return []
        well = (one for one in self.waiters if isinstance(one, Waiter) and one.instance and not one.is_in_doubt)
        return [one for one in islice(well, 1) if not one.verdict.done()]

    async def _ask(self, question: Question[Any], batch: Sequence[Asked], found: Tally) -> Away | Denied | None:
        tally = Tally()
        trouble = await self._ask_or_halve(question, batch, tally)
        if trouble:
            return trouble
        if not tally.culprits and tally.largest_accepted < len(batch):
            self._batch_sizes[question.operation].shrink(tally.largest_accepted, _now())
        found.add(tally)
        return None

    def _blame(self, found: Tally) -> Away | None:
        """Believe that those are at fault who were refused alone, unless nobody's document was taken in the round."""
        if len(found.culprits) > 1 and not found.largest_accepted:
            return Away(found.culprits[-1][1])
        for waiter, error in found.culprits:
            waiter.asked_alone = True
            patience = rounds.SHORT_PATIENCE if found.largest_accepted else rounds.PATIENCE
            self._apply(waiter, RowError(error, patience), _now())
        return None

    async def _ask_or_halve(
        self, question: Question[Any], batch: Sequence[Asked], tally: Tally
    ) -> Away | Denied | None:
        asked_at = _now()
        outcome = await self.connection.send(question.operation, question.text(len(batch)), question.variables(batch))
        known = [question.known(asked) for asked in batch]
        reading = rounds.read(outcome, question, known, self.connection.settings)
        errors = _errors(reading)
        self._meter.count(requests=1, asked=len(batch), errors=len(errors), last_error=errors[-1] if errors else None)
        match reading:
            case Rows(rows=rows):
                self._outage.ends()
                tally.largest_accepted = max(tally.largest_accepted, len(batch))
                async with self._handing_out:  # one after the other, so that many ends don't pile up
                    await self._apply_all(batch, rows, known, asked_at)
                return None
            case TooMuch(error=error) if len(batch) == 1:
                tally.culprits.append((batch[0], error))
                # Two refused one by one and none accepted: it is not an instance that the platform minds.
                return Away(error) if len(tally.culprits) > 1 and not tally.largest_accepted else None
            case TooMuch():
                middle = (len(batch) + 1) // 2
                trouble = await self._ask_or_halve(question, batch[:middle], tally)
                return trouble or await self._ask_or_halve(question, batch[middle:], tally)
            case _:
                return reading

    async def _apply_all(
        self, batch: Sequence[Asked], rows: Sequence[rounds.Row], known: Sequence[JobInstance | None], asked_at: float
    ) -> None:
        now = _now()
        ticks: dict[float, float] = {}
        ends = 0
        for waiter, row, before in zip(batch, rows, known, strict=True):
            waiter.asked_alone = False
            is_new = before is None or row is not before or not waiter.is_steady
            if is_new or waiter.last_look_since is not None or not isinstance(waiter, Waiter):
                self._apply(waiter, row, asked_at)
                if waiter.verdict.done():
                    ends += 1
                    if ends % ENDS_AT_A_TIME == 0:
                        await asyncio.sleep(0)
            elif not waiter.left and not waiter.verdict.done():
                # The most that wait have waited for long, and nothing is new: what is done for each is kept to this.
                if waiter.stream_logs:
                    self._follow(waiter, row)
                seconds = waiter.poll_interval
                tick = ticks.get(seconds) or ticks.setdefault(seconds, next_tick(now, seconds))
                self._schedule.put(waiter, tick, seconds)

    def _follow(self, waiter: Waiter, row: rounds.Row) -> None:
        if isinstance(row, JobInstance) and row.status in ("RUNNING", "KILLING"):
            self.logs.follow(waiter)

    def _apply(self, waiter: Asked, row: rounds.Row, asked_at: float) -> None:
        if waiter.left or waiter.verdict.done():
            return
        if isinstance(waiter, JobFeed) and not isinstance(row, JobInstance):
            self._apply_to_feed(waiter, row, asked_at)
        elif isinstance(waiter, Waiter) and not isinstance(row, JobPage):
            self._apply_to_waiter(waiter, row, asked_at)

    def _apply_to_feed(self, feed: JobFeed, row: JobPage | RowError | None, asked_at: float) -> None:
        now = _now()
        seconds = feed.look(row, now)
        self._schedule.put(feed, next_but_not_soon(now, seconds) if seconds else now, seconds)
        if feed.missing:
            self._remove_waiters(feed)
        elif isinstance(row, JobPage):
            for waiter in feed.missing_waiters():
                self.add(waiter)
            for instance in row.oldest_first:
                if shown := feed.waiters.get(instance.id):
                    self._apply_to_waiter(shown, instance, asked_at)

    def _apply_to_waiter(self, waiter: Waiter, row: JobInstance | RowError | None, asked_at: float) -> None:
        if waiter.left or waiter.verdict.done():
            return
        now = _now()
        if isinstance(row, JobInstance) and row is not waiter.instance and row.id.lower() != waiter.instance_id.lower():
            row = rounds.unreadable(INSTANCES.operation, self.connection.settings)  # a proxy's, of another request
        verdict = rounds.judge(waiter, row, now, link=partial(self.connection.link, waiter))
        if verdict is None and waiter.last_look_since is not None and asked_at >= waiter.last_look_since:
            verdict = StillOnItsWay(was_read=not isinstance(row, RowError))
        if verdict:
            waiter.settle(verdict)
            self._meter.count(ended=isinstance(verdict, Ended))
            if waiter.of_feed:  # nobody else takes it out
                self.remove(waiter)
            return
        self._follow(waiter, row)
        # A null, an error or an UNKNOWN is given some time before it is asked about again.
        doubtful = waiter.nulls or waiter.error_since is not None or waiter.unknown_since is not None
        age = rounds.age_of(waiter, now, time.time())
        slow = doubtful or waiter.of_feed
        slowly = waiter.poll_interval if waiter.of_feed else min(waiter.poll_interval, LONGEST_DOUBT)
        seconds = slowly if slow else interval(age, waiter.poll_interval)
        waiter.is_steady = not slow and seconds == waiter.poll_interval
        due = next_but_not_soon(now, seconds) if slow else next_tick(now, seconds)
        self._schedule.put(waiter, due, seconds)


def _cut(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _errors(reading: Rows | TooMuch | Away | Denied) -> list[SaagieError]:
    return (
        [row.error for row in reading.rows if isinstance(row, RowError)]
        if isinstance(reading, Rows)
        else [reading.error]
    )


def _now() -> float:
    return asyncio.get_running_loop().time()


def _batches(question: Question[Any], waiters: list[Asked], size: int) -> list[tuple[Question[Any], list[Asked]]]:
    batches: list[list[Asked]] = [[waiter] for waiter in waiters if waiter.asked_alone]
    weight = float("inf")
    together: list[list[Asked]] = []
    for waiter in waiters:
        if waiter.asked_alone:
            continue
        weight += question.weight(waiter)
        if weight > LARGEST_BATCH or len(together[-1]) == size:
            together.append([])
            weight = question.weight(waiter)
        together[-1].append(waiter)
    return [(question, batch) for batch in together + batches]
