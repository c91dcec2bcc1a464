"""Checks of what callers pass, made before anything is sent. Each error says what it should look like."""

from __future__ import annotations

import os
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
    "docker",
    "existing_file",
    "flag",
    "folder",
    "identifier",
    "identifiers",
    "number",
    "numbers",
    "resources",
    "schedule",
    "seconds",
    "text",
    "words",
]

LONGEST_TIME = 366 * 24 * 3600
HIGHEST_NUMBER = 2**31 - 1  # GraphQL's
MOST_RESOURCES = 1_000_000
SHOWN = 200
ALERT_STATUSES = (
    "REQUESTED", "QUEUED", "RUNNING", "FAILED", "KILLED", "KILLING", "SUCCEEDED", "UNKNOWN", "AWAITING", "SKIPPED",
    "ERROR",
)  # fmt: skip


def text(name: str, value: object) -> str:
    """Check that a text is one, and not empty."""
    if not isinstance(value, str) or not value.strip():
        raise SaagieValidationError(f"`{name}` is {_brief(value)}: it should be a text that is not empty.")
    return words(name, value)


def words(name: str, value: object) -> str:
    """Check that a text is one, which may be empty, and that it can be sent."""
    if not isinstance(value, str):
        raise SaagieValidationError(f"`{name}` is {_brief(value)}: it should be a text.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise SaagieValidationError(f"`{name}` is {_brief(value)}, which holds half a character: no text.") from None
    return value


def flag(name: str, value: object) -> bool:
    """Check that a value is true or false; 1 and 0 will do."""
    if value not in (True, False):
        raise SaagieValidationError(f"`{name}` is {_brief(value)}: it should be True or False.")
    return bool(value)


def identifier(name: str, value: object) -> str:
    """Check that an id has the form of Saagie's ids, a UUID."""
    try:
        return str(UUID(str(value)))
    except ValueError:
        raise SaagieValidationError(
            f"`{name}` is {_brief(value)}: it should be a UUID such as f5fce22d-2152-4a01-8c6a-4c2eb4808b6d, as it "
            "stands in Saagie's addresses."
        ) from None


def number(name: str, value: object) -> int:
    """Check a version's or a platform's number; the reference takes versions as texts too."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    digits = re.fullmatch(r"\s*([0-9]{1,10})\s*", value) if isinstance(value, str) else None
    found = value if is_number else int(digits[1]) if digits else -1
    if not isinstance(found, int) or not 0 <= found <= HIGHEST_NUMBER:
        raise SaagieValidationError(f"`{name}` is {_brief(value)}: it should be a whole number.")
    return found


def numbers(name: str, values: object) -> list[int]:
    """Check a list of numbers."""
    return [number(name, value) for value in _members(name, values, "numbers")]


def identifiers(name: str, values: object, *, may_be_none: bool = True) -> list[str]:
    """Check a list of ids; None is an empty one, where it may be."""
    if values is None and may_be_none:
        return []
    return [identifier(name, value) for value in _members(name, values, "UUIDs")]


def _members(name: str, values: object, of: str) -> Iterable[object]:
    # A text or bytes would be taken apart: b"x" is the number 120.
    if isinstance(values, str | bytes | bytearray | Mapping) or not isinstance(values, Iterable):
        raise SaagieValidationError(f"`{name}` is {_brief(values)}: it should be a list of {of}.")
    return values


def one_of(name: str, value: object, allowed: Collection[str]) -> str:
    """Check that a value is one of those allowed."""
    if value not in allowed:
        raise SaagieValidationError(f"`{name}` is {_brief(value)}: it should be one of {', '.join(allowed)}.")
    return str(value)


def seconds(name: str, value: object, *, else_take: str = "or a timedelta") -> float:
    """Check a length of time: a number of seconds above 0, at most a year; a timedelta will do.

    :param else_take: what the caller takes beside a number, for the error.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_TIME:
        raise SaagieValidationError(
            f"`{name}` is {_brief(value)}: it should be a number of seconds above 0 (a year at most), {else_take}."
        )
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
            f"`date_before` is {_brief(value)}: it should look like 2023-06-01T00:00:00+01:00."
        ) from None
    if moment.utcoffset() is None:
        raise SaagieValidationError(
            f"`date_before` is {str(value)!r}, which has no timezone: write 2023-06-01T00:00:00+01:00 or …Z."
        )
    return moment.isoformat()


def existing_file(file: object) -> Path:
    """Check that a job's file is there and can be read."""
    path = _path("file", file, "a file")
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise SaagieValidationError(f"`file` {str(path)!r} {what} on this machine: nothing was sent.")
        with path.open("rb"):
            return path.absolute()
    except OSError as error:
        raise SaagieValidationError(
            f"`file` {_brief(str(path))} can't be read ({error.strerror}): nothing was sent."
        ) from error


def folder(name: str, value: object) -> Path:
    """Check that a value can be the path of a folder, which need not be there."""
    return _path(name, value, "a folder")


def _path(name: str, value: object, of: str) -> Path:
    try:
        if isinstance(value, str | os.PathLike) and str(value).strip() and "\0" not in str(value):
            os.fsencode(value)
            return Path(value).expanduser()
    except (RuntimeError, TypeError, UnicodeError):  # no such user, a path of bytes, half a character
        pass
    raise SaagieValidationError(f"`{name}` is {_brief(value)}: it should be the path of {of}.")


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
            f"`cron_scheduling` is {_brief(cron_scheduling)}: it should be a cron of five fields, such as '0 0 * * *'."
        )
    if not isinstance(schedule_timezone, str) or schedule_timezone not in available_timezones():
        raise SaagieValidationError(
            f"`schedule_timezone` is {_brief(schedule_timezone)}: it should be a timezone's name, such as Europe/Paris."
        )
    return {"isScheduled": True, "cronScheduling": cron_scheduling, "scheduleTimezone": schedule_timezone}


def alerting(emails: object, status_list: object) -> dict[str, Any]:
    """Check who is to be told of which statuses, and give the platform's field for it."""
    if isinstance(emails, str) or not isinstance(emails, Sequence):
        raise SaagieValidationError(f"`emails` is {_brief(emails)}: it should be a list of addresses.")
    for email in emails:
        if not isinstance(email, str) or not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
            raise SaagieValidationError(f"`emails` holds {_brief(email)}, which is no e-mail address.")
    if isinstance(status_list, str) or not isinstance(status_list or [], Sequence):
        raise SaagieValidationError(f"`status_list` is {_brief(status_list)}: it should be a list of statuses.")
    statuses = [one_of("status_list", status, ALERT_STATUSES) for status in status_list or ["FAILED"]]  # type: ignore[attr-defined]
    return {"emails": list(emails), "statusList": statuses}


def resources(value: object) -> dict[str, Any]:
    """Check ``{"cpu": {"request": 0.5, "limit": 2.6}, "memory": {"request": 1.0}}``; gpu may stand there too."""
    shape = '{"cpu": {"request": 0.5, "limit": 2.6}, "memory": {"request": 1.0}}'
    if not isinstance(value, Mapping) or not set(value) <= {"cpu", "memory", "gpu"}:
        raise SaagieValidationError(f"`resources` is {_brief(value)}: it should look like {shape}.")
    for kind, amounts in value.items():
        if amounts is None:
            continue
        if not isinstance(amounts, Mapping) or not set(amounts) <= {"request", "limit"}:
            raise SaagieValidationError(f"`resources[{kind!r}]` is {_brief(amounts)}: it should look like {shape}.")
        numbers = {name: amount for name, amount in amounts.items() if amount is not None}
        for name, amount in numbers.items():
            if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount <= MOST_RESOURCES:
                raise SaagieValidationError(
                    f"`resources[{kind!r}][{name!r}]` is {_brief(amount)}: it should be a number from 0 up."
                )
        if len(numbers) == 2 and numbers["request"] > numbers["limit"]:
            raise SaagieValidationError(
                f"`resources[{kind!r}]` asks for more ({numbers['request']}) than its limit allows."
            )
    return {kind: dict(amounts) if amounts else None for kind, amounts in value.items()}


def docker(value: object) -> dict[str, Any]:
    """Check ``{"image": …, "dockerCredentialsId": …}``, of which the second may be missing."""
    if not isinstance(value, Mapping) or not {"image"} <= set(value) <= {"image", "dockerCredentialsId"}:
        raise SaagieValidationError(
            f'`docker_info` is {_brief(value)}: it should look like {{"image": "…", "dockerCredentialsId": "…"}}.'
        )
    text("docker_info['image']", value["image"])
    if value.get("dockerCredentialsId"):
        identifier("docker_info['dockerCredentialsId']", value["dockerCredentialsId"])
    return dict(value)


def _brief(value: object) -> str:
    """Write a value for a message; of what is long, the beginning."""
    try:
        written = repr(value)
    except ValueError:  # a number of more than 4,300 digits
        return "a huge number"
    return written if len(written) <= SHOWN else f"{written[:SHOWN]}…"
