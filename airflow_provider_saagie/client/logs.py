"""The calls about an instance's log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_saagie.client import answers, checks
from airflow_provider_saagie.client.calls import Call, Steps

__all__ = ["LogLine", "count_log_lines", "read_last_lines", "read_log"]

JOB_STREAMS = ("STDOUT", "STDERR")


@dataclass(frozen=True)
class LogLine:
    """A line of an instance's log.

    :param text: the line, without its end.
    :param stream: ``STDOUT``, ``STDERR`` or one of the platform's own.
    """

    text: str
    stream: str

    @classmethod
    def from_answer(cls, row: Mapping[str, Any]) -> LogLine:
        """Read a member of ``filteredLogs.content``."""
        return cls(str(row.get("value") or "").rstrip("\r\n"), str(row.get("stream")))


def read_log(
    job_instance_id: str, *, skip: int = 0, limit: int = 1000, streams: Sequence[str] = JOB_STREAMS
) -> Steps[list[LogLine]]:
    """Read lines of an instance's log, in order (``filteredLogs``).

    :param skip: how many lines to pass over.
    :param limit: how many to read at most.
    :param streams: which streams.
    """
    instance_id = checks.identifier("job_instance_id", job_instance_id)
    variables = {"jobInstanceId": instance_id, "skip": skip, "limit": limit, "streams": list(streams)}
    logs = (yield Call("filteredLogs", variables)).get("filteredLogs") or {}
    return [LogLine.from_answer(row) for row in answers.rows(logs, "content")]


def count_log_lines(job_instance_id: str, *, streams: Sequence[str] = JOB_STREAMS) -> Steps[int]:
    """Count the lines of an instance's log (``countFilteredLogs``)."""
    instance_id = checks.identifier("job_instance_id", job_instance_id)
    data = yield Call("countFilteredLogs", {"jobInstanceId": instance_id, "streams": list(streams)})
    return int(data.get("countFilteredLogs") or 0)


def read_last_lines(job_instance_id: str, most: int, *, streams: Sequence[str] = JOB_STREAMS) -> Steps[list[LogLine]]:
    """Read the last lines of an instance's log (``countFilteredLogs``, ``filteredLogs``).

    :param most: how many lines at most.
    """
    count = yield from count_log_lines(job_instance_id, streams=streams)
    if not count:
        return []
    return (yield from read_log(job_instance_id, skip=max(0, count - most), limit=most, streams=streams))
