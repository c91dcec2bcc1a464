"""The shared poller: one per connection asks for all instances that are due, many in one request.

It runs in an empty context, since whatever it logs by itself would land in the log of the task that happened to start
it; what concerns a waiter is logged through the waiter's own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_saagie.client.documents import watch_text
from airflow_provider_saagie.exceptions import SaagieError
from airflow_provider_saagie.triggers import rounds
from airflow_provider_saagie.triggers.connection import Connection
from airflow_provider_saagie.triggers.log_follower import LogFollower
from airflow_provider_saagie.triggers.rounds import Away, Denied, RowError, Rows, TooMuch
from airflow_provider_saagie.triggers.schedule import NOT_SCHEDULED, Schedule, interval, next_tick
from airflow_provider_saagie.triggers.waiter import Failed, StillOnItsWay, Waiter

if TYPE_CHECKING:
    from airflow_provider_saagie.client.settings import Settings

__all__ = ["Poller"]

T = TypeVar("T")

LARGEST_BATCH = 100
REQUESTS_AT_A_TIME = 4
GATHERING = 0.1
"""Seconds in which waiters that come together, or whose deadlines do, are gathered into one request."""
NOT_WORTH_A_LINE = 3.0
"""Seconds of a first pause about which nobody is told: a connection that was closed while idle, say."""


@dataclass
class Trouble:
    """Why nobody is asked for now.

    :param reading: what is wrong.
    :param since: the loop's time when it began.
    :param next_try: the loop's time when it is tried again.
    :param attempts: how many tries have failed.
    :param told: whether the waiters know.
    """

    reading: Away | Denied
    since: float
    next_try: float = 0.0
    attempts: int = 0
    told: bool = False


@dataclass
class Tally:
    """What halving a refused batch has found so far."""

    largest_accepted: int = 0
    culprits: list[tuple[Waiter, SaagieError]] = field(default_factory=list)


class Poller:
    """Asks for the instances of its waiters until it is cancelled.

    :param look_up: gives the connection's settings.
    """

    def __init__(self, look_up: Callable[[], Awaitable[Settings]]) -> None:
        self.waiters: set[Waiter] = set()
        self.connection = Connection(look_up)
        self.logs = LogFollower(self.connection)
        self._schedule = Schedule()
        self._last_looks: list[Waiter] = []
        self._wake = asyncio.Event()
        self._batch_size = LARGEST_BATCH
        self._trouble: Trouble | None = None

    def add(self, waiter: Waiter) -> None:
        """Begin to ask for an instance."""
        self.waiters.add(waiter)
        if self._trouble and self._trouble.told:
            _tell_lost(waiter, self._trouble.reading)
        self._schedule.put(waiter, _now() + GATHERING)
        self._wake.set()

    def remove(self, waiter: Waiter) -> None:
        """Forget a waiter; what is still on its way for it is dropped."""
        waiter.left = True
        self.waiters.discard(waiter)

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
                waiters = await self._due()
                if waiters:
                    await self._round(waiters)
                    for waiter in waiters:  # who was not reached stays due
                        if waiter.due == NOT_SCHEDULED and not waiter.left and not waiter.verdict.done():
                            self._schedule.put(waiter, _now())
                else:
                    await self._sleep_until(self._next_time())
                if following.done():
                    following.result()
        finally:
            following.cancel()
            await asyncio.wait({following})
            await self.connection.close()

    async def _due(self) -> list[Waiter]:
        if self._last_looks:
            await asyncio.sleep(GATHERING)
        urgent = [waiter for waiter in self._last_looks if not waiter.left]
        self._last_looks.clear()
        pausing = self._trouble is not None and _now() < self._trouble.next_try
        if not pausing and (self._trouble or not self.connection.is_open):
            await self.connection.refresh()
            if self.connection.problem:
                self._lost(self.connection.problem)
        if not self.connection.is_open:
            return []
        if self._trouble is None:
            return urgent + self._schedule.take(_now() + GATHERING / 2)
        # In trouble one batch goes ahead, to see whether Saagie is back.
        return urgent + ([] if pausing else self._schedule.take(_now(), at_most=self._batch_size))

    def _next_time(self) -> float | None:
        due = self._schedule.next_due()
        if self._trouble is None or (due is None and self.connection.is_open):
            return due
        return self._trouble.next_try if due is None else max(due, self._trouble.next_try)

    async def _sleep_until(self, when: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(when):
                await self._wake.wait()

    async def _round(self, waiters: list[Waiter]) -> None:
        alone = [[waiter] for waiter in waiters if waiter.asked_alone]
        batches = _cut([waiter for waiter in waiters if not waiter.asked_alone], self._batch_size) + alone
        for group in _cut(batches, 1 if self._trouble else REQUESTS_AT_A_TIME):
            troubles = await asyncio.gather(*(self._ask(batch) for batch in group))
            trouble = next((trouble for trouble in troubles if trouble), None)
            if trouble is None:
                continue
            # A login that is refused may have been mended in Airflow already.
            if self._trouble or isinstance(trouble, Away) or not await self.connection.refresh(at_once=True):
                self._lost(trouble)
            return

    async def _ask(self, batch: Sequence[Waiter]) -> Away | Denied | None:
        tally = Tally()
        trouble = await self._ask_or_halve(batch, tally)
        if trouble:
            return trouble
        if not tally.culprits and tally.largest_accepted < len(batch):
            self._batch_size = min(self._batch_size, tally.largest_accepted)
        for waiter, error in tally.culprits:
            waiter.asked_alone = True
            patience = rounds.SHORT_PATIENCE if tally.largest_accepted or len(self.waiters) > 1 else rounds.PATIENCE
            self._apply(waiter, RowError(error, patience), _now())
        return None

    async def _ask_or_halve(self, batch: Sequence[Waiter], tally: Tally) -> Away | Denied | None:
        asked_at = _now()
        aliases = [f"i{n}" for n in range(len(batch))]
        variables = {alias: waiter.instance_id for alias, waiter in zip(aliases, batch, strict=True)}
        outcome = await self.connection.send(rounds.OPERATION, watch_text(len(batch)), variables)
        reading = rounds.read(outcome, aliases, self.connection.settings)
        match reading:
            case Rows(rows=rows):
                self._found()
                tally.largest_accepted = max(tally.largest_accepted, len(batch))
                for waiter, row in zip(batch, rows, strict=True):
                    waiter.asked_alone = False
                    self._apply(waiter, row, asked_at)
                return None
            case TooMuch(error=error) if len(batch) == 1:
                tally.culprits.append((batch[0], error))
                # Two refused one by one and none accepted: it is not an instance that the platform minds.
                return Away(error) if len(tally.culprits) > 1 and not tally.largest_accepted else None
            case TooMuch():
                middle = (len(batch) + 1) // 2
                trouble = await self._ask_or_halve(batch[:middle], tally)
                return trouble or await self._ask_or_halve(batch[middle:], tally)
            case _:
                return reading

    def _apply(self, waiter: Waiter, row: rounds.Row, asked_at: float) -> None:
        if waiter.left or waiter.verdict.done():
            return
        now = _now()
        verdict = rounds.judge(waiter, row, now, link=self.connection.link(waiter))
        if verdict is None and waiter.last_look_since is not None and asked_at >= waiter.last_look_since:
            verdict = StillOnItsWay(was_read=not isinstance(row, RowError))
        if verdict:
            waiter.settle(verdict)
            return
        if row is not None and not isinstance(row, RowError) and row.status in ("RUNNING", "KILLING"):
            self.logs.follow(waiter)
        # A null, an error or an UNKNOWN is given some time before it is asked about again.
        doubtful = waiter.nulls or waiter.error_since is not None or waiter.unknown_since is not None
        age = rounds.age_of(waiter, now, time.time())
        seconds = waiter.poll_interval if doubtful else interval(age, waiter.poll_interval)
        self._schedule.put(waiter, next_tick(now, seconds))

    def _lost(self, reading: Away | Denied) -> None:
        now = _now()
        trouble = self._trouble
        if trouble is None or type(trouble.reading) is not type(reading):
            trouble = self._trouble = Trouble(reading, since=now)
            for waiter in self.waiters:
                waiter.forget_doubts()
        trouble.reading = reading
        trouble.attempts += 1
        pause = rounds.pause(reading, trouble.attempts)
        trouble.next_try = now + pause
        if not trouble.told and (trouble.attempts > 1 or pause > NOT_WORTH_A_LINE):
            trouble.told = True
            for waiter in self.waiters:
                _tell_lost(waiter, reading)
        if isinstance(reading, Denied) and now - trouble.since >= rounds.PATIENCE:
            self._give_up(reading.error)

    def _give_up(self, error: SaagieError) -> None:
        for waiter in list(self.waiters):
            link = self.connection.link(waiter)
            waiter.settle(
                Failed(
                    "auth",
                    f"For {rounds.PATIENCE / 60:.0f} minutes the connection could not be used; the instance was left "
                    f"as it was ({link}). The last error: {error}",
                )
            )
        self._trouble = None

    def _found(self) -> None:
        trouble, self._trouble = self._trouble, None
        if trouble and trouble.told:
            for waiter in self.waiters:
                waiter.say(logging.INFO, "Saagie answers again, after %.0f s.", _now() - trouble.since)


def _cut(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _now() -> float:
    return asyncio.get_running_loop().time()


def _tell_lost(waiter: Waiter, reading: Away | Denied) -> None:
    if isinstance(reading, Denied):
        waiter.say(
            logging.WARNING,
            "The connection is refused; it is read anew and tried once a minute, for %.0f minutes. %s",
            rounds.PATIENCE / 60,
            reading.error,
        )
    else:
        waiter.say(logging.WARNING, "Saagie is away; waiting goes on until it is back. %s", reading.error)
