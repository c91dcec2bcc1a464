"""The event trigger: feeds an asset when a job ends. Import it from ``airflow_provider_saagie.triggers.saagie``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_saagie.exceptions import SaagieValidationError
from airflow_provider_saagie.triggers.events import JobEvent

if TYPE_CHECKING:
    from airflow_provider_saagie.client.instances import JobInstance
    from airflow_provider_saagie.triggers.connection import Connection
    from airflow_provider_saagie.triggers.job_feed import JobFeed

__all__ = ["SaagieJobEventTrigger"]

CLASS_PATH = "airflow_provider_saagie.triggers.saagie.SaagieJobEventTrigger"


class UnusableTrigger(SaagieValidationError, TypeError):
    """Arguments that can't be used; a TypeError, since any other from a constructor ends Airflow's whole triggerer."""


class SaagieJobEventTrigger(BaseEventTrigger):
    """Turns the ends of a Saagie job into events of an asset, whoever ran the job: Airflow, its schedule, a person.

    .. code-block:: python

        report = Asset("report", watchers=[AssetWatcher("ends", trigger=SaagieJobEventTrigger(job_id="f5fce22d-…"))])

    Each end is an asset event whose ``extra["payload"]`` is a :class:`JobEvent`. The first time only what ends from
    then on is reported, later each end at least once, even if it came while no triggerer ran (Airflow 3.3).

    :param job_id: the job.
    :param saagie_conn_id: the connection's id.
    :param statuses: the ends to report: SUCCEEDED, FAILED, KILLED, ERROR, SKIPPED, UNKNOWN.
    :param poll_interval: seconds between two looks at most.
    :param unknown_grace: seconds for which the status UNKNOWN is taken for a passing state.
    :raises SaagieValidationError: where one of them can't be used.
    """

    def __init__(
        self,
        *,
        job_id: str,
        saagie_conn_id: str = "saagie_default",
        statuses: Iterable[str] = ("SUCCEEDED",),
        poll_interval: float = 30,
        unknown_grace: float = 60,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        from airflow_provider_saagie.client import checks

        try:
            self.job_id = checks.identifier("job_id", job_id)
            self.saagie_conn_id = checks.text("saagie_conn_id", saagie_conn_id)
            self.poll_interval = _seconds("poll_interval", poll_interval, least=1)
            self.unknown_grace = _seconds("unknown_grace", unknown_grace, least=0)
        except SaagieValidationError as error:
            raise UnusableTrigger(str(error)) from None
        self.statuses = _ends(statuses)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class's path and its arguments; equal watchers give equal ones, and share a trigger."""
        return CLASS_PATH, {
            "job_id": self.job_id,
            "saagie_conn_id": self.saagie_conn_id,
            "statuses": self.statuses,
            "poll_interval": self.poll_interval,
            "unknown_grace": self.unknown_grace,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each end, for as long as there is an asset to feed."""
        await asyncio.to_thread(_load)
        from airflow_provider_saagie.triggers import watcher
        from airflow_provider_saagie.triggers.job_feed import JobFeed
        from airflow_provider_saagie.triggers.ledger import KEPT_EVERY, Ledger

        ledger = Ledger.of(self)
        feed = JobFeed(
            job_id=self.job_id,
            statuses=frozenset(self.statuses),
            unknown_grace=self.unknown_grace,
            poll_interval=self.poll_interval,
            told=await ledger.read(),
            log=self.log,
        )
        async with watcher.following(self.saagie_conn_id, feed) as connection:
            while True:
                ended = await feed.ends(within=KEPT_EVERY)
                for instance in ended:
                    yield TriggerEvent(self._event(feed, instance, connection))  # type: ignore[no-untyped-call]  # as above
                await ledger.keep(feed, {instance.id for instance in ended})

    def _event(self, feed: JobFeed, instance: JobInstance, connection: Connection) -> dict[str, Any]:
        settings = connection.settings
        return JobEvent(
            instance_id=instance.id,
            instance_number=instance.number,
            job_id=self.job_id,
            project_id=feed.project_id,
            status=instance.status,
            reason=instance.reason,
            start_time=instance.start_time,
            end_time=instance.end_time,
            url=settings.instance_url(feed.project_id, self.job_id, instance.id)
            if feed.project_id
            else settings.base_url,
        ).as_event()


def _ends(statuses: Iterable[str]) -> list[str]:
    from airflow_provider_saagie.client.status import InstanceStatus

    possible = [str(status) for status in InstanceStatus if status.is_final]
    wanted = sorted({str(status).upper() for status in ([statuses] if isinstance(statuses, str) else statuses)})
    if not wanted or not set(wanted) <= set(possible):
        raise UnusableTrigger(f"`statuses` is {statuses!r}: it should name ends, of {', '.join(possible)}.")
    return wanted


def _seconds(name: str, value: object, *, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < float("inf"):
        raise SaagieValidationError(f"`{name}` is {value!r}: it should be a number of seconds, at least {least:g}.")
    return float(value)


def _load() -> None:
    """Import what is heavy, in a thread: it takes longer than the loop of all triggers should stand still."""
    import airflow_provider_saagie.hooks.saagie
    import airflow_provider_saagie.triggers.ledger
    import airflow_provider_saagie.triggers.watcher  # noqa: F401 - see above
