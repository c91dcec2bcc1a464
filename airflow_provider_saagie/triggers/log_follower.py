"""Reads the jobs' lines, many logs in one request, and shows each in the log of the task that waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from airflow_provider_saagie import job_log
from airflow_provider_saagie.client import core, outcomes
from airflow_provider_saagie.client.documents import watch_logs_text
from airflow_provider_saagie.client.logs import LogLine
from airflow_provider_saagie.exceptions import SaagieAuthError, SaagieError
from airflow_provider_saagie.triggers import rounds
from airflow_provider_saagie.triggers.batch_size import BatchSize
from airflow_provider_saagie.triggers.connection import Connection
from airflow_provider_saagie.triggers.metrics import Meter
from airflow_provider_saagie.triggers.teller import Line, Teller
from airflow_provider_saagie.triggers.waiter import Waiter

__all__ = ["LogFollower"]

OPERATION = "watchLogs"
LARGEST_BATCH = 50
LINES_A_REQUEST = 5_000
LINES_OF_ONE = 1_000
GATHERING = 0.05
PAUSE_AFTER_TROUBLE = 0.5
TOO_MUCH = (400, 413, 414, 422)


class LogFollower:
    """Shows new lines for the waiters that the poller names; apart from it, so that logs delay nobody's end.

    :param connection: how to send.
    :param meter: counts what is sent.
    :param teller: writes the lines.
    """

    def __init__(self, connection: Connection, meter: Meter, teller: Teller) -> None:
        self._connection = connection
        self._meter = meter
        self._teller = teller
        self._wanted: dict[Waiter, None] = {}
        self._wake = asyncio.Event()
        self._batch_size = BatchSize(LARGEST_BATCH)

    def follow(self, waiter: Waiter) -> None:
        """Read a log on from what was shown, soon; nothing where the waiter shows none, or has shown enough.

        :param waiter: whose.
        """
        if waiter.stream_logs and waiter.lines_seen < waiter.log_limit:
            self._wanted[waiter] = None
            self._wake.set()

    def drain(self, waiter: Waiter) -> asyncio.Future[None]:
        """Read a log to its end.

        :param waiter: whose, after its verdict.
        :return: done when all is shown.
        """
        drained = waiter.drained = asyncio.get_running_loop().create_future()
        self.follow(waiter)
        self._finish(waiter)
        return drained

    async def run(self) -> None:
        """Read, until cancelled."""
        while True:
            if not self._wanted:
                self._wake.clear()
                await self._wake.wait()
                await asyncio.sleep(GATHERING)
            taken = list(islice(self._wanted, self._batch_size.at(_now())))
            for waiter in taken:
                del self._wanted[waiter]
            batch = [waiter for waiter in taken if not waiter.left]
            if batch:
                await self._read(batch)

    async def _read(self, batch: list[Waiter]) -> None:
        limit = min(LINES_OF_ONE, LINES_A_REQUEST // len(batch))
        variables: dict[str, Any] = {"limit": limit}
        for n, waiter in enumerate(batch):
            variables[f"i{n}"], variables[f"s{n}"] = waiter.instance_id, waiter.lines_seen
        outcome = await self._connection.send(OPERATION, watch_logs_text(len(batch)), variables)
        if isinstance(outcome, outcomes.Answer) and isinstance(outcome.data, Mapping):
            self._meter.count(requests=1)
            concerned = rounds.errors_by_alias(outcome.errors)
            lines: list[Line] = []
            for n, waiter in enumerate(batch):
                lines += self._take(waiter, outcome.data.get(f"l{n}"), concerned.get(f"l{n}"), limit)
                await asyncio.sleep(0)
            await self._teller.told(lines)
            for waiter in batch:
                self._finish(waiter)
            return
        self._meter.count(requests=1, errors=1)
        too_much = isinstance(outcome, outcomes.Answer) or (
            isinstance(outcome, outcomes.Refused) and outcome.status in TOO_MUCH
        )
        smaller = too_much and len(batch) > 1
        if smaller:
            self._batch_size.shrink((len(batch) + 1) // 2, _now())
        if isinstance(outcome, SaagieAuthError):  # one refused login is enough
            self._wanted.clear()
            return
        await asyncio.sleep(_pause(outcome))
        for waiter in batch:  # the others are read again in the poller's next round
            if smaller or waiter.drained:
                self.follow(waiter)

    def _take(self, waiter: Waiter, answer: object, error: Mapping[str, Any] | None, limit: int) -> Iterator[Line]:
        """Give what is to be shown of an answer, and have the rest read."""
        content = answer.get("content") if isinstance(answer, Mapping) else None
        rows = content if isinstance(content, list) else []
        if error and not rows and waiter.drained:
            yield waiter, logging.WARNING, job_log.not_all_read(self._connection.link(waiter))
        elif error and not rows and not waiter.log_trouble_told:
            waiter.log_trouble_told = True
            told = rounds.meant(OPERATION, error, self._connection.settings)
            yield waiter, logging.WARNING, f"The job's log can't be read for now. {told}"
        for row in rows[: waiter.log_limit - waiter.lines_seen]:
            waiter.lines_seen += 1
            yield waiter, logging.INFO, job_log.formatted(_line(row))
        total = answer.get("count") if isinstance(answer, Mapping) else None
        more = len(rows) >= limit or (isinstance(total, int) and total > waiter.lines_seen)
        if rows and waiter.lines_seen >= waiter.log_limit:
            yield waiter, logging.INFO, job_log.limit_reached(waiter.log_limit, self._connection.link(waiter))
        elif rows and more:
            self.follow(waiter)

    def _finish(self, waiter: Waiter) -> None:
        """Say that all is shown, to one whose end is known."""
        if waiter.drained and waiter not in self._wanted and not waiter.drained.done():
            waiter.drained.set_result(None)


def _pause(outcome: outcomes.Outcome | SaagieError) -> float:
    asked = core.retry_after(outcome) if isinstance(outcome, outcomes.Refused) else None
    return min(max(PAUSE_AFTER_TROUBLE, asked or 0.0), rounds.LONGEST_RETRY_AFTER)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _line(row: object) -> LogLine:
    return LogLine.from_answer(row) if isinstance(row, Mapping) else LogLine("", "STDOUT")
