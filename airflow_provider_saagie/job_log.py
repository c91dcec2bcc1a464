"""How a job's own lines look in a task's log: the one place that says so, for triggers and operators alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_saagie.client.logs import LogLine

__all__ = ["DEFAULT_LIMIT", "PREFIX", "PREFIX_OF_ERRORS", "formatted", "limit_reached", "not_all_read", "taken_up"]

PREFIX = "[job] "
PREFIX_OF_ERRORS = "[job stderr] "
DEFAULT_LIMIT = 10_000
"""Lines of one instance that a task's log shows at most."""


def formatted(line: LogLine) -> str:
    """Give a line of a job as the task's log shows it.

    :param line: the line.
    :return: its text, marked as the job's, and as stderr's where it is.
    """
    return (PREFIX_OF_ERRORS if line.stream.endswith("STDERR") else PREFIX) + line.text


def limit_reached(limit: int, link: str) -> str:
    """Say, in place of the lines that follow, that enough have been shown.

    :param limit: how many were shown.
    :param link: where the rest is.
    """
    return f"{PREFIX}... {limit} lines of the job's log are shown; what follows them is in Saagie: {link}"


def not_all_read(link: str) -> str:
    """Say that the last lines could not be read in time.

    :param link: where they are.
    """
    return f"The last lines of the job's log could not be read in time; they are in Saagie: {link}"


def taken_up(lines_seen: int) -> str:
    """Say that another triggerer reads on, from a point that may lie before what was last shown.

    :param lines_seen: how many lines were in the task's log when it deferred.
    """
    return f"Another triggerer waits now: the job's log goes on after its line {lines_seen}; lines may repeat."
