"""What a watcher did: a line a minute in the triggerer's own log, and metrics through Airflow's stats.

Only a triggerer hears of it. A worker that waits has a watcher for one instance, whose line would land in the task's
log, and whose gauges would hide the triggerer's.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow_provider_saagie import airflow_compat

__all__ = ["EVERY", "Figures", "Meter"]

EVERY = 60.0
"""Seconds between two reports."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Figures:
    """What was done since the last report.

    :param requests: sent, those for logs too; logins and stops apart.
    :param asked: instances and jobs that these asked about.
    :param ended: instances whose end was seen.
    :param errors: requests without a usable answer, and instances of which an answer could not tell.
    :param lag: seconds by which the latest question came late.
    :param last_error: what was wrong last.
    """

    requests: int = 0
    asked: int = 0
    ended: int = 0
    errors: int = 0
    lag: float = 0.0
    last_error: object = None


class Meter:
    """Counts for one connection, also over several watchers that follow each other.

    :param conn_id: the connection's id in Airflow.
    :param now: the loop's time.
    """

    def __init__(self, conn_id: str, now: float) -> None:
        self.conn_id = conn_id
        self.next_report = now + EVERY
        self._line_since = now
        self._for_line, self._for_stats = Figures(), Figures()

    def count(
        self,
        *,
        requests: int = 0,
        asked: int = 0,
        ended: int = 0,
        errors: int = 0,
        lag: float = 0.0,
        last_error: object = None,
    ) -> None:
        """Add to what was done since the last report."""
        for figures in (self._for_line, self._for_stats):
            figures.requests += requests
            figures.asked += asked
            figures.ended += ended
            figures.errors += errors
            figures.lag = max(figures.lag, lag)
            figures.last_error = last_error or figures.last_error

    def report(self, watched: int, now: float, *, last: bool = False) -> None:
        """Tell the log and Airflow's stats, if it is time.

        :param watched: how many instances and jobs are watched now.
        :param now: the loop's time.
        :param last: whether the watcher ends: metrics don't wait for the next one, the line does.
        """
        is_time = now >= self.next_report
        if is_time:
            self.next_report = now + EVERY
        if is_time or last:
            try:
                self._report(watched, now, with_line=is_time)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with a report, the watching goes on
                log.warning("The Saagie watcher of %s could not report: %r", self.conn_id, error)

    def _report(self, watched: int, now: float, *, with_line: bool) -> None:
        stats = airflow_compat.triggerer_stats()
        line = self._line(watched, now - self._line_since) if stats and with_line else None
        if with_line:
            self._line_since, self._for_line = now, Figures()
        if stats:
            figures, self._for_stats = self._for_stats, Figures()
            # In a thread: the log may take no line for now, and a backend may look up a host's name first.
            asyncio.get_running_loop().run_in_executor(None, _tell, line, stats, self.conn_id, watched, figures)

    def _line(self, watched: int, seconds: float) -> str:
        done = self._for_line
        last_error = f". The last error: {done.last_error}" if done.last_error else ""
        return (
            f"Saagie watcher of {self.conn_id}, {seconds:.0f} s: watched {watched}, asked {done.asked} in "
            f"{done.requests} requests, ended {done.ended}, errors {done.errors}, lag {done.lag:.2f} s{last_error}"
        )


def _tell(line: str | None, stats: Any, conn_id: str, watched: int, done: Figures) -> None:
    if line:
        with suppress(Exception):  # a log that takes none costs no metric
            log.info("%s", line)
    _send(stats, conn_id, watched, done)


def _send(stats: Any, conn_id: str, watched: int, done: Figures) -> None:
    tags = {"conn_id": conn_id, "hostname": socket.gethostname()}
    try:
        stats.gauge("saagie.watcher.watched", watched, tags=tags)
        for name in ("requests", "asked", "ended", "errors"):
            if count := getattr(done, name):
                stats.incr(f"saagie.watcher.{name}", count, tags=tags)
        stats.timing("saagie.watcher.lag", timedelta(seconds=done.lag), tags=tags)
    except Exception as error:  # noqa: BLE001 - whatever a backend raises, the watching goes on
        log.warning("Airflow's stats took no metrics of the Saagie watcher: %r", error)
