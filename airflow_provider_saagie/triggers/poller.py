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
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_saagie.client import core
from airflow_provider_saagie.client.async_session import AsyncSession
from airflow_provider_saagie.client.documents import watch_text
from airflow_provider_saagie.exceptions import SaagieAuthError, SaagieError
from airflow_provider_saagie.triggers import rounds
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
FIRST_LOOK = 0.1
"""Seconds in which waiters that come together are gathered into one request."""
LOOKUP_LIMIT = 60.0
"""Seconds after which a look-up of the connection in Airflow is given up, and between two of them in an outage."""


@dataclass
class Trouble:
    """Why nobody is asked for now.

    :param reading: what is wrong.
    :param since: the loop's time when it began.
    :param next_try: the loop's time when it is tried again.
    """

    reading: Away | Denied
    since: float
    next_try: float = 0.0
    attempts: int = 0


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
        self.stops_under_way = 0
        self.settings: Settings | None = None
        self.logs = LogFollower(self.send, lambda: self.settings)
        self._look_up = look_up
        self._looked_up_at = float("-inf")
        self._session: AsyncSession | None = None
        self._session_ready = asyncio.Event()
        self._schedule = Schedule()
        self._last_looks: list[Waiter] = []
        self._wake = asyncio.Event()
        self._batch_size = LARGEST_BATCH
        self._trouble: Trouble | None = None

    def add(self, waiter: Waiter) -> None:
        """Begin to ask for an instance."""
        self.waiters.add(waiter)
        if self._trouble:
            _tell_lost(waiter, self._trouble.reading)
        self._schedule.put(waiter, _now() + FIRST_LOOK)
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

    async def session(self) -> AsyncSession:
        """Give the session, as soon as there is one."""
        await self._session_ready.wait()
        assert self._session is not None  # noqa: S101 - that is what the event says
        return self._session

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
            if self._session is not None:
                await self._session.close()

    async def _due(self) -> list[Waiter]:
        urgent = [waiter for waiter in self._last_looks if not waiter.left]
        self._last_looks.clear()
        now = _now()
        waiting_for_a_try = self._trouble is not None and now < self._trouble.next_try
        if not waiting_for_a_try and (self._session is None or self._trouble) and (self.waiters or not self._session):
            await self._refresh()
            waiting_for_a_try = self._trouble is not None and now < self._trouble.next_try
        if waiting_for_a_try or self._session is None:
            return urgent if self._session else []
        # In trouble one batch goes ahead, to see whether Saagie is back.
        return urgent + self._schedule.take(now, at_most=self._batch_size if self._trouble else None)

    def _next_time(self) -> float | None:
        due = self._schedule.next_due()
        if self._trouble is None or (due is None and self._session):
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
                self._found()
                continue
            # A login that is refused may have been mended in Airflow already.
            if self._trouble or isinstance(trouble, Away) or not await self._refresh(at_once=True):
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
        outcome = await self.send(rounds.OPERATION, watch_text(len(batch)), variables)
        assert self.settings is not None  # noqa: S101 - a session has settings
        reading = rounds.read(outcome, aliases, self.settings)
        match reading:
            case Rows(rows=rows):
                tally.largest_accepted = max(tally.largest_accepted, len(batch))
                for waiter, row in zip(batch, rows, strict=True):
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

    async def send(self, operation: str, text: str, variables: dict[str, Any]) -> core.Outcome | SaagieError:
        """Send a query; whatever goes wrong with the network or the login is a value.

        :param operation: its name.
        :param text: the query.
        :param variables: its variables.
        """
        session = await self.session()
        try:
            async with asyncio.timeout(2 * session.settings.timeout):  # also where the answer comes drop by drop
                return await session.send_text(operation, text, variables)
        except TimeoutError:
            return core.Broken(core.Fault.TIMEOUT)
        except SaagieError as error:
            return error

    def _apply(self, waiter: Waiter, row: rounds.Row, asked_at: float) -> None:
        if waiter.left or waiter.verdict.done():
            return
        now = _now()
        verdict = rounds.judge(waiter, row, now, link=waiter.link(self.settings))
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
        before = self._trouble
        if before is None or type(before.reading) is not type(reading):
            self._trouble = Trouble(reading, since=now)
            for waiter in self.waiters:
                waiter.forget_doubts()
                _tell_lost(waiter, reading)
        assert self._trouble is not None  # noqa: S101 - set above, or before
        self._trouble.reading = reading
        self._trouble.attempts += 1
        self._trouble.next_try = now + rounds.pause(reading, self._trouble.attempts)
        if isinstance(reading, Denied) and now - self._trouble.since >= rounds.PATIENCE:
            self._give_up(reading.error)

    def _give_up(self, error: SaagieError) -> None:
        for waiter in list(self.waiters):
            link = waiter.link(self.settings)
            waiter.settle(
                Failed(
                    "auth",
                    f"For {rounds.PATIENCE / 60:.0f} minutes the connection could not be used; the instance was left "
                    f"as it was ({link}). The last error: {error}",
                )
            )
        self._trouble = None

    def _found(self) -> None:
        if self._trouble is None:
            return
        lasted = _now() - self._trouble.since
        self._trouble = None
        for waiter in self.waiters:
            waiter.say(logging.INFO, "Saagie answers again, after %.0f s.", lasted)

    async def _refresh(self, *, at_once: bool = False) -> bool:
        """Look the connection up, so that one that was edited is used; keep the session where nothing changed.

        :param at_once: also where that was done a moment ago.
        :return: whether there is a new session.
        """
        if self._session is not None and not at_once and _now() - self._looked_up_at < LOOKUP_LIMIT:
            return False
        self._looked_up_at = _now()
        try:
            async with asyncio.timeout(LOOKUP_LIMIT):
                settings = await self._look_up()
            if settings == self.settings or self.stops_under_way:
                return False
            # The poller waits in its own way, and a stop is tried once: the session itself repeats nothing.
            session = AsyncSession(replace(settings, retries=0))
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises, the waiting goes on
            if self._session is None:
                message = f"The Airflow connection could not be used: {error or type(error).__name__}"
                self._lost(Denied(SaagieAuthError(message)))
            return False
        old, self.settings, self._session = self._session, settings, session
        self._session_ready.set()
        if old is not None:
            await old.close()
        return True


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
