"""While Saagie is away, or refuses us, nobody is asked; each waiter hears of it once, and once more when it is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from airflow_provider_saagie.exceptions import SaagieError
from airflow_provider_saagie.triggers import rounds
from airflow_provider_saagie.triggers.connection import Connection
from airflow_provider_saagie.triggers.rounds import Away, Denied
from airflow_provider_saagie.triggers.teller import Line, Teller
from airflow_provider_saagie.triggers.waiter import Asked, Failed

__all__ = ["Outage"]

NOT_WORTH_A_LINE = 3.0
"""Seconds of a first pause about which nobody is told: a connection that was closed while idle, say."""
AT_A_TIME = 50
"""Waiters that give up after whom others may use the loop: what Airflow does with each event takes it much longer."""


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


class Outage:
    """Whether a connection's waiters can be asked for, and what they hear where not.

    :param waiters: the poller's, who come and go.
    :param connection: theirs.
    :param teller: writes their lines.
    """

    def __init__(self, waiters: set[Asked], connection: Connection, teller: Teller) -> None:
        self._waiters = waiters
        self._connection = connection
        self._teller = teller
        self._trouble: Trouble | None = None

    @property
    def is_on(self) -> bool:
        """Whether Saagie is away, as far as we know."""
        return self._trouble is not None

    @property
    def is_refusal(self) -> bool:
        """Whether Saagie is there and refuses us, so that each try counts against the login."""
        return self._trouble is not None and isinstance(self._trouble.reading, Denied)

    @property
    def next_try(self) -> float:
        """The loop's time before which nobody is asked for."""
        return self._trouble.next_try if self._trouble else 0.0

    def greet(self, waiter: Asked) -> None:
        """Tell a late comer what the others know already."""
        if self._trouble and self._trouble.told:
            self._teller.tell(_lines(waiter, self._trouble.reading))

    async def begins(self, reading: Away | Denied) -> None:
        """Note that a try has failed: the first one, or one more.

        :param reading: what is wrong.
        """
        now = _now()
        trouble = self._trouble
        if trouble is None or type(trouble.reading) is not type(reading):
            trouble = self._trouble = Trouble(reading, since=now)
            for waiter in self._waiters:
                waiter.forget_doubts()
        trouble.reading = reading
        trouble.attempts += 1
        pause = rounds.pause(reading, trouble.attempts)
        trouble.next_try = now + pause
        if not trouble.told and (trouble.attempts > 1 or pause > NOT_WORTH_A_LINE):
            trouble.told = True
            self._teller.tell(line for waiter in self._waiters for line in _lines(waiter, reading))
        if isinstance(reading, Denied) and now - trouble.since >= rounds.PATIENCE:
            await self._give_up(trouble, reading.error)

    async def _give_up(self, trouble: Trouble, error: SaagieError) -> None:
        async for waiter in self._some_at_a_time():
            if waiter.endless or _now() - max(trouble.since, waiter.joined) < rounds.PATIENCE:
                continue
            link = self._connection.link(waiter)
            waiter.settle(
                Failed(
                    "auth",
                    f"For {rounds.PATIENCE / 60:.0f} minutes the connection could not be used; the instance was left "
                    f"as it was ({link}). The last error: {error}",
                )
            )

    def ends(self) -> None:
        """Note that Saagie has answered."""
        trouble, self._trouble = self._trouble, None
        if trouble and trouble.told:
            line = f"Saagie answers again, after {_now() - trouble.since:.0f} s."
            self._teller.tell((waiter, logging.INFO, line) for waiter in self._waiters if not waiter.quiet)

    async def _some_at_a_time(self) -> AsyncIterator[Asked]:
        for n, waiter in enumerate(list(self._waiters), start=1):
            yield waiter
            if n % AT_A_TIME == 0:
                await asyncio.sleep(0)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _lines(waiter: Asked, reading: Away | Denied) -> list[Line]:
    if waiter.quiet:
        return []
    if isinstance(reading, Denied):
        how_long = "" if waiter.endless else f", for {rounds.PATIENCE / 60:.0f} minutes"
        line = f"The connection is refused; it is read anew and tried once a minute{how_long}. {reading.error}"
    else:
        line = f"Saagie is away; waiting goes on until it is back. {reading.error}"
    return [(waiter, logging.WARNING, line)]
