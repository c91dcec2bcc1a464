"""Errors as values, for tables of calls that have to fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def error_message(expected: type[Exception], call: Callable[..., object], *args: Any, **kwargs: Any) -> str:
    """Return the message of the error that a call raises; empty if it raises nothing, so that no expectation fits.

    :param expected: the error's type; any other error passes through.
    """
    try:
        call(*args, **kwargs)
    except expected as error:
        return str(error)
    return ""
