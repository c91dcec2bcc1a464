"""Scheduled jobs: when they are due, and the thread that starts them then."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter

from airflow_provider_saagie.emulator.clock import now_ms
from airflow_provider_saagie.emulator.store import jobs

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_saagie.emulator.store.database import Database
    from airflow_provider_saagie.emulator.store.records import Job

log = logging.getLogger(__name__)

_LOOK_EVERY = 1_000  # milliseconds: no cron names a finer moment than a second


def next_tick(cron: str, timezone: str | None, after: int) -> int | None:
    """Tell when a schedule is due next.

    :param cron: five fields, or a sixth for the second.
    :param timezone: the zone that it is written for; None for UTC.
    :param after: milliseconds since 1970.
    :return: the first moment after that, in milliseconds since 1970; None where there is none, as on a 30 February.
    """
    zone = ZoneInfo(timezone) if timezone else UTC
    try:
        due: datetime = croniter(cron, datetime.fromtimestamp(after / 1000, zone)).get_next(datetime)
    except CroniterError:
        return None
    return int(due.timestamp() * 1000)


class Scheduler:
    """Starts scheduled jobs when they are due.

    What was due while no emulator ran is not made up for, and several ticks that were missed in one go, on a machine
    that slept, are one.

    :param database: the store.
    :param run: starts an instance of a job.
    """

    def __init__(self, database: Database, run: Callable[[str], None]) -> None:
        self._database = database
        self._run = run
        self._due: dict[str, tuple[tuple[str | None, str | None], int | None]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="schedule", daemon=True)

    def start(self) -> None:
        """Watch the clock from now on."""
        self._thread.start()

    def close(self) -> None:
        """Start nothing any more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self, moment: int) -> None:
        """Start what is due, and work out when it is due next.

        A job that was not known before, or has another schedule now, is due after this moment at the earliest.

        :param moment: milliseconds since 1970.
        """
        scheduled = jobs.list_scheduled(self._database)
        for job in scheduled:
            schedule, due = self._due.get(job.id, (None, None))
            if schedule == (job.cron, job.timezone) and (due is None or due > moment):
                continue
            if schedule == (job.cron, job.timezone):
                self._start(job)
            self._due[job.id] = (job.cron, job.timezone), next_tick(job.cron or "", job.timezone, moment)
        for gone in self._due.keys() - {job.id for job in scheduled}:
            del self._due[gone]

    def _start(self, job: Job) -> None:
        try:
            self._run(job.id)
        except Exception:  # one job, deleted in this moment perhaps, must not end the others' schedules
            log.exception("Scheduled job %s could not be started", job.id)

    def _watch(self) -> None:
        while True:
            moment = now_ms()
            try:
                self.look(moment)
            except Exception:  # the store may be away for a moment, as on a full disk
                log.exception("The schedules could not be looked at")
            if self._over.wait((_LOOK_EVERY - now_ms() % _LOOK_EVERY) / 1000):
                return
