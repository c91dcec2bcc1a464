"""Scalars: what may go in, and how it comes out."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from ariadne import ScalarType
from croniter import croniter

from airflow_provider_saagie.emulator.clock import from_iso, to_iso

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def parse_uuid(value: Any) -> str:
    """Check a UUID.

    :param value: as it was sent.
    :return: in lower case.
    :raises ValueError: where it is none.
    """
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise ValueError(f"{value!r} is no UUID")
    return str(UUID(value))


def parse_moment(value: Any) -> int:
    """Read a moment.

    :param value: ISO-8601, as it was sent.
    :return: milliseconds since 1970.
    :raises ValueError: where it is none.
    """
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no moment in ISO-8601")
    return from_iso(value)


def parse_cron(value: Any) -> str:
    """Check a cron expression.

    :param value: as it was sent.
    :return: the same.
    :raises ValueError: where it is none.
    """
    if not isinstance(value, str) or not croniter.is_valid(value):
        raise ValueError(f"{value!r} is no cron expression")
    return value


def parse_time_zone(value: Any) -> str:
    """Check a time zone's name.

    :param value: as it was sent.
    :return: the same.
    :raises ValueError: where there is no such zone.
    """
    if value not in available_timezones():
        raise ValueError(f"{value!r} is no time zone")
    return str(value)


def parse_email(value: Any) -> str:
    """Check an address, roughly.

    :param value: as it was sent.
    :return: the same.
    :raises ValueError: where it surely is none.
    """
    if not isinstance(value, str) or not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        raise ValueError(f"{value!r} is no e-mail address")
    return value


def parse_upload(value: Any) -> Any:
    """Take a file of a multipart request.

    :param value: what stands in for it.
    :return: the same.
    :raises ValueError: where a plain value was sent instead.
    """
    if not hasattr(value, "filename"):
        raise ValueError("A file has to be sent as a part of a multipart request")
    return value


SCALARS = (
    ScalarType("UUID", value_parser=parse_uuid),
    ScalarType("DateTime", serializer=to_iso, value_parser=parse_moment),
    ScalarType("Cron", value_parser=parse_cron),
    ScalarType("TimeZone", value_parser=parse_time_zone),
    ScalarType("Email", value_parser=parse_email),
    ScalarType("Upload", value_parser=parse_upload),
)
GATEWAY_SCALARS = (
    ScalarType("UUID", value_parser=parse_uuid),
    ScalarType("Instant", serializer=to_iso, value_parser=parse_moment),
)
