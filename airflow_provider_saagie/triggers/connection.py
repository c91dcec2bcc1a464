"""The watcher's connection: Airflow's settings and the session made of them, replaced where they were edited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.client import outcomes
from airflow_provider_saagie.client.async_session import AsyncSession
from airflow_provider_saagie.exceptions import SaagieAuthError, SaagieError
from airflow_provider_saagie.triggers.rounds import Denied
from airflow_provider_saagie.triggers.waiter import Asked

if TYPE_CHECKING:
    from airflow_provider_saagie.client.settings import Settings

__all__ = ["Connection"]

LOOKUP_LIMIT = 60.0
"""Seconds after which a look-up in Airflow is given up, and the least between two of them."""
STOPS_AT_A_TIME = 50
"""Half of what aiohttp has on its way at a time: the rest is for those who wait. More stops wait for their turn."""


class Connection:
    """Sends for a watcher.

    :param look_up: gives the connection's settings.
    """

    def __init__(self, look_up: Callable[[], Awaitable[Settings]]) -> None:
        self.stops_under_way = 0
        self.stopping = asyncio.Semaphore(STOPS_AT_A_TIME)
        self.problem: Denied | None = None
        self._look_up = look_up
        self._looked_up_at = float("-inf")
        self._session: AsyncSession | None = None
        self._opened = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether there is a session."""
        return self._session is not None

    @property
    def settings(self) -> Settings:
        """What the session was made of; only where there is one."""
        assert self._session is not None  # noqa: S101 - see above
        return self._session.settings

    def link(self, waiter: Asked) -> str:
        """Give the address of a waiter's page, or the next best."""
        return waiter.link(self.settings if self.is_open else None)

    async def session(self) -> AsyncSession:
        """Give the session, as soon as there is one."""
        await self._opened.wait()
        assert self._session is not None  # noqa: S101 - that is what the event says
        return self._session

    async def send(self, operation: str, text: str, variables: dict[str, Any]) -> outcomes.Outcome | SaagieError:
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
            return outcomes.Broken(outcomes.Fault.TIMEOUT)
        except SaagieError as error:
            return error

    async def refresh(self, *, at_once: bool = False) -> bool:
        """Look the connection up, and make a new session where it was edited.

        :param at_once: also where that was done a moment ago.
        :return: whether it was edited; where it can't be used and there is no session, ``problem`` says why.
        """
        now = asyncio.get_running_loop().time()
        if self.is_open and not at_once and now - self._looked_up_at < LOOKUP_LIMIT:
            return False
        self._looked_up_at = now
        try:
            async with asyncio.timeout(LOOKUP_LIMIT):
                settings = await self._look_up()
            # The watcher waits in its own way, and a stop is tried once: the session itself repeats nothing.
            settings = replace(settings, retries=0)
            if self._session and settings == self._session.settings:
                return False
            session = await asyncio.to_thread(AsyncSession, settings)  # reading a CA bundle takes 0.1 s and more
            if self._session and self.stops_under_way:
                return False
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises, the waiting goes on
            if not self.is_open:
                words = str(error) or type(error).__name__
                self.problem = Denied(SaagieAuthError(f"The Airflow connection could not be used: {words}"))
            return False
        old, self._session, self.problem = self._session, session, None
        self._opened.set()
        if old:
            await old.close()
        return True

    def forget_token(self) -> None:
        """Log in anew before the next question: a right that was given back may need a new token."""
        if self._session:
            self._session.forget_token()

    async def close(self) -> None:
        """Close the session."""
        if self._session:
            await self._session.close()
