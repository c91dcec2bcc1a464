"""Reads answers whose fields may be null, with an error that names what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_saagie.exceptions import SaagieNotFound, SaagieOutcomeUnknown, SaagieProtocolError

__all__ = ["changed", "known", "known_rows", "needed", "rows"]


def known(data: Mapping[str, Any], field: str, *, operation: str, what: str) -> dict[str, Any]:
    """Take an object that is null where the platform doesn't know it.

    :param what: what was looked for, such as ``"job f5fce22d-…"``.
    :raises SaagieNotFound: where it is null.
    """
    found = data.get(field)
    if found is None:
        raise SaagieNotFound(
            f"{operation}: the platform has no {what}, or this login may not see it. Check the id, and that the "
            "connection's platform is the one that has it.",
            operation=operation,
        )
    if not isinstance(found, dict):
        raise _unexpected(operation, field, found)
    return found


def rows(data: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    """Take a list of objects; null is an empty one, and null members are left out."""
    found = data.get(field)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def known_rows(data: Mapping[str, Any], field: str, *, operation: str, what: str) -> list[dict[str, Any]]:
    """Take a list of objects that is null where the platform doesn't know whose they are.

    :param what: whose they are, such as ``"project f5fce22d-…"``.
    :raises SaagieNotFound: where it is null.
    """
    if not isinstance(data.get(field), list):
        known(data, field, operation=operation, what=what)
        raise _unexpected(operation, field, data.get(field))
    return rows(data, field)


def changed(data: Mapping[str, Any], field: str, *, operation: str, kind: type = object) -> Any:
    """Take what the answer to a change gives.

    :param kind: what it should be.
    :raises SaagieOutcomeUnknown: where it is null, or of another kind: the change may have been made all the same.
    """
    value = data.get(field)
    if value is None or not isinstance(value, kind):
        raise SaagieOutcomeUnknown(
            f"{operation} was answered with {_kind_of(value)} for `{field}`, and without an error, so it may have "
            "happened: look at the platform before you repeat it.",
            operation=operation,
        )
    return value


def needed(data: Mapping[str, Any], *path: str, operation: str) -> Any:
    """Take a value that every sound answer has.

    :raises SaagieProtocolError: where it, or something on the way to it, is null.
    """
    value: Any = data
    for field in path:
        value = value.get(field) if isinstance(value, Mapping) else None
        if value is None:
            raise _unexpected(operation, ".".join(path), None)
    return value


def _unexpected(operation: str, field: str, found: object) -> SaagieProtocolError:
    return SaagieProtocolError(
        f"{operation}: the answer has {_kind_of(found)} for `{field}`, "
        "which no sound answer has. Try again; if it stays, tell the platform's administrator.",
        operation=operation,
    )


def _kind_of(value: object) -> str:
    return "null" if value is None else type(value).__name__
