"""Time as the emulator keeps it: whole milliseconds since 1970, UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_ms() -> int:
    """Tell the time.

    :return: milliseconds since 1970.
    """
    return time.time_ns() // 1_000_000


def to_iso(moment: int) -> str:
    """Write a moment the way the platform does.

    :param moment: milliseconds since 1970.
    :return: for example `2026-01-31T09:05:00.123Z`.
    """
    return (_EPOCH + timedelta(milliseconds=moment)).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def from_iso(text: str) -> int:
    """Read an ISO-8601 moment; without an offset it is taken as UTC.

    :param text: for example `2026-01-31T10:05:00+01:00`.
    :return: milliseconds since 1970.
    :raises ValueError: where the text is no such moment.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(milliseconds=1)
