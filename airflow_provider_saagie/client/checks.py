"""Checks of what callers pass, made before anything is sent. Each error says what it should look like."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from airflow_provider_saagie.exceptions import SaagieValidationError

__all__ = [
    "alerting",
    "date_before",
    "existing_file",
    "identifier",
    "identifiers",
    "number",
    "numbers",
    "resources",
    "schedule",
    "seconds",
    "text",
]

LONGEST_TIME = 366 * 24 * 3600
ALERT_STATUSES = (
    "REQUESTED", "QUEUED", "RUNNING", "FAILED", "KILLED", "KILLING", "SUCCEEDED", "UNKNOWN", "AWAITING", "SKIPPED",
    "ERROR",
)  # fmt: skip


def text(name: str, value: object) -> str:
    """Check that a text is one, and not empty."""
    if not isinstance(value, str) or not value.strip():
        raise SaagieValidationError(f"`{name}` is {value!r}: it should be a text that is not empty.")
    return value


def identifier(name: str, value: object) -> str:
    """Check that an id has the form of Saagie's ids, a UUID."""
    try:
        return str(UUID(str(value)))
    except ValueError:
        raise SaagieValidationError(
            f"`{name}` is {value!r}: it should be a UUID such as f5fce22d-2152-4a01-8c6a-4c2eb4808b6d, as it stands "
            "in Saagie's addresses."
        ) from None


def number(name: str, value: object) -> int:
    """Check a version's or a platform's number; the reference takes versions as texts too."""
    text_of_it = str(value).strip()
    if isinstance(value, bool) or not text_of_it.isdecimal():
        raise SaagieValidationError(f"`{name}` is {value!r}: it should be a whole number.")
    return int(text_of_it)


def numbers(name: str, values: object) -> list[int]:
    """Check a list of numbers."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise SaagieValidationError(f"`{name}` is {values!r}: it should be a list of numbers.")
    return [number(name, value) for value in values]


def identifiers(name: str, values: object) -> list[str]:
    """Check a list of ids; None is an empty one."""
    if values is None:
        return []
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise SaagieValidationError(f"`{name}` is {values!r}: it should be a list of UUIDs.")
    return [identifier(name, value) for value in values]


def one_of(name: str, value: object, allowed: Collection[str]) -> str:
    """Check that a value is one of those allowed."""
    if value not in allowed:
        raise SaagieValidationError(f"`{name}` is {value!r}: it should be one of {', '.join(allowed)}.")
    return str(value)


def seconds(name: str, value: object) -> float:
    """Check a length of time: a number of seconds above 0, at most a year; a timedelta will do."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_TIME:
        raise SaagieValidationError(f"`{name}` is {value!r}: it should be a number of seconds above 0, or a timedelta.")
    return float(value)


def date_before(value: object) -> str:
    """Check a date with its timezone and write it as the platform reads it.

    :param value: a text such as ``2023-06-01T00:00:00+01:00``, or an aware datetime.
    :return: ISO 8601.
    """
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise SaagieValidationError(
            f"`date_before` is {value!r}: it should look like 2023-06-01T00:00:00+01:00."
        ) from None
    if moment.tzinfo is None:
        raise SaagieValidationError(
            f"`date_before` is {str(value)!r}, which has no timezone: write 2023-06-01T00:00:00+01:00 or …Z."
        )
    return moment.isoformat()


def existing_file(file: object) -> Path:
    """Check that a job's file is there and can be read."""
    path = Path(str(file)).expanduser()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise SaagieValidationError(f"`file` {str(path)!r} {what} on this machine: nothing was sent.")
    try:
        with path.open("rb"):
            return path.absolute()
    except OSError as error:
        raise SaagieValidationError(
            f"`file` {str(path)!r} can't be read ({error.strerror}): nothing was sent."
        ) from error


def schedule(cron_scheduling: object, schedule_timezone: object) -> dict[str, Any]:
    """Check a cron expression and its timezone, and give the fields that switch the schedule on."""
    from zoneinfo import available_timezones

    from croniter import croniter

    if (
        not isinstance(cron_scheduling, str)
        or len(cron_scheduling.split()) != 5
        or not croniter.is_valid(cron_scheduling)
    ):
        raise SaagieValidationError(
            f"`cron_scheduling` is {cron_scheduling!r}: it should be a cron of five fields, such as '0 0 * * *'."
        )
    if not isinstance(schedule_timezone, str) or schedule_timezone not in available_timezones():
        raise SaagieValidationError(
            f"`schedule_timezone` is {schedule_timezone!r}: it should be a timezone's name, such as Europe/Paris."
        )
    return {"isScheduled": True, "cronScheduling": cron_scheduling, "scheduleTimezone": schedule_timezone}


def alerting(emails: object, status_list: object) -> dict[str, Any]:
    """Check who is to be told of which statuses, and give the platform's field for it."""
    if isinstance(emails, str) or not isinstance(emails, Sequence):
        raise SaagieValidationError(f"`emails` is {emails!r}: it should be a list of addresses.")
    for email in emails:
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", str(email)):
            raise SaagieValidationError(f"`emails` holds {email!r}, which is no e-mail address.")
    if isinstance(status_list, str) or not isinstance(status_list or [], Sequence):
        raise SaagieValidationError(f"`status_list` is {status_list!r}: it should be a list of statuses.")
    statuses = [one_of("status_list", status, ALERT_STATUSES) for status in status_list or ["FAILED"]]  # type: ignore[attr-defined]
    return {"emails": list(emails), "statusList": statuses}


def resources(value: object) -> dict[str, Any]:
    """Check ``{"cpu": {"request": 0.5, "limit": 2.6}, "memory": {"request": 1.0}}``; gpu may stand there too."""
    shape = '{"cpu": {"request": 0.5, "limit": 2.6}, "memory": {"request": 1.0}}'
    if not isinstance(value, Mapping) or not set(value) <= {"cpu", "memory", "gpu"}:
        raise SaagieValidationError(f"`resources` is {value!r}: it should look like {shape}.")
    for kind, amounts in value.items():
        if amounts is None:
            continue
        if not isinstance(amounts, Mapping) or not set(amounts) <= {"request", "limit"}:
            raise SaagieValidationError(f"`resources[{kind!r}]` is {amounts!r}: it should look like {shape}.")
        numbers = {name: amount for name, amount in amounts.items() if amount is not None}
        for name, amount in numbers.items():
            if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < float("inf"):
                raise SaagieValidationError(f"`resources[{kind!r}][{name!r}]` is {amount!r}: it should be a number.")
        if len(numbers) == 2 and numbers["request"] > numbers["limit"]:
            raise SaagieValidationError(
                f"`resources[{kind!r}]` asks for more ({numbers['request']}) than its limit allows."
            )
    return {kind: dict(amounts) if amounts else None for kind, amounts in value.items()}
