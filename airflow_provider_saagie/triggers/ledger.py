"""Where an event trigger writes down what it has told: the state stores of its assets.

What is written may lag behind what was told, which repeats an event after a restart, but it must never be ahead of it.
An event that was yielded lies in the triggerer's memory: once a second its runner hands what it has to its supervisor,
which stores it in Airflow's database before it reads the runner's next message. Nobody tells us when. So an end is
written down after the supervisor has answered a question that was asked after the yield (it keeps up), and after some
seconds more (the runner has handed over), as a later message of the same channel.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie import airflow_compat
from airflow_provider_saagie.triggers.told import Told

if TYPE_CHECKING:
    from airflow_provider_saagie.triggers.job_event import SaagieJobEventTrigger
    from airflow_provider_saagie.triggers.job_feed import JobFeed
    from airflow_provider_saagie.triggers.waiter import Log

__all__ = ["KEPT_EVERY", "Ledger"]

SETTLING = 5.0
"""Seconds after which an event that was yielded is in the supervisor's hands."""
KEPT_EVERY = 600.0
"""Seconds after which the state is written though nothing was told: else a job that only fails has to be listed anew
from where it last succeeded."""
READ_AGAIN = 60.0


class Ledger:
    """What is told, as it stands in Airflow.

    :param key: under which name.
    :param stores: in each of them.
    :param log: the trigger's.
    """

    def __init__(self, key: str, stores: list[Any], log: Log) -> None:
        self._key = key
        self._stores = stores
        self._log = log
        self._told: set[str] = set()
        self._written: dict[str, Any] | None = None
        self._in_trouble = False

    @classmethod
    def of(cls, trigger: SaagieJobEventTrigger) -> Ledger:
        """Open the ledger of a trigger. Watchers of an asset have one each, unless they want to hear of the same."""
        key = ":".join(["saagie", trigger.saagie_conn_id, trigger.job_id, *trigger.statuses])
        return cls(key, airflow_compat.asset_state_stores(trigger), trigger.log)

    async def read(self) -> Told | None:
        """Give what was told before this trigger ran; None where nothing was, or where there is no store.

        Where Airflow can't say, it is asked again: to begin anew would lose what ended in between.
        """
        if not self._stores:
            await self._warn(
                "This Airflow keeps no state for asset watchers (3.3 does): ends while no triggerer runs are missed."
            )
        while True:
            try:
                values = [await store.aget(self._key) for store in self._stores]
            except Exception as error:  # noqa: BLE001 - whatever Airflow raises
                await self._trouble("read", error)
                await asyncio.sleep(READ_AGAIN)
            else:
                self._in_trouble = False
                break
        found = [told for told in map(Told.from_stored, values) if told]
        if len(found) < sum(value is not None for value in values):
            await self._warn(f"What is stored under {self._key!r} was not written by this provider: it is passed over.")
        # An asset that has come to the watcher later has nothing, or something old.
        return max(found, key=lambda told: told.listed, default=None)

    async def keep(self, feed: JobFeed, told: set[str]) -> None:
        """Write down what was told, as soon as it is safe; trouble is left to the next time.

        :param feed: what else there is to know of the job.
        :param told: ids of the instances whose ends were yielded.
        """
        self._told |= told
        if self._told and self._stores:
            try:
                await self._stores[0].aget(self._key)
            except Exception as error:  # noqa: BLE001 - as above
                await self._trouble("read", error)
                return
            await asyncio.sleep(SETTLING)
        if feed.told is None:
            return
        state = feed.told.stored(without=self._told)
        if state != self._written:
            try:
                for store in self._stores:
                    await store.aset(self._key, state)
            except Exception as error:  # noqa: BLE001 - as above
                await self._trouble("written", error)
                return
        self._written, self._in_trouble = state, False
        feed.are_told(self._told)
        self._told.clear()

    async def _trouble(self, what: str, error: Exception) -> None:
        if not self._in_trouble:
            self._in_trouble = True
            words = str(error) or type(error).__name__
            await self._warn(f"The asset's state can't be {what}; it is tried again. ({words})")

    async def _warn(self, message: str) -> None:
        await asyncio.to_thread(self._log.log, logging.WARNING, "%s", message)
