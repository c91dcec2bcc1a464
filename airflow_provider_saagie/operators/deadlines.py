"""Until when a task waits: absolute, from the start of its try, and so the same after a hand-over."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_saagie.client.checks import seconds

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

__all__ = ["BACKSTOP", "Deadline", "earlier_deadline", "time_passed"]

BACKSTOP = 60.0
"""Seconds after our own deadline at which Airflow's ``defer(timeout=)`` fires, where the triggerer is stuck."""


@dataclass(frozen=True)
class Deadline:
    """The earlier of a task's two deadlines.

    :param kind: which one it is.
    :param allowed: the seconds from the start of the try that it allows.
    :param at: when it passes, in seconds since 1970.
    """

    kind: Literal["timeout", "execution_timeout"]
    allowed: float
    at: float

    @property
    def backstop(self) -> float:
        """Seconds from now at which Airflow is to end a deferral, should the trigger not have done so."""
        return max(1.0, self.at - time.time()) + BACKSTOP


def earlier_deadline(
    context: Context, *, timeout: float | timedelta | None, execution_timeout: timedelta | None
) -> Deadline | None:
    """Find the earlier of both deadlines; None where there is none.

    :param timeout: how long the task waits, in seconds.
    :param execution_timeout: how long it runs, waiting included; Airflow 3.3 itself does not apply it to a deferral.
    """
    given: dict[Literal["timeout", "execution_timeout"], Any] = {
        "timeout": timeout,
        "execution_timeout": execution_timeout,
    }
    start = _start_of_try(context)
    limits = {kind: seconds(kind, value) for kind, value in given.items() if value is not None}
    deadlines = [Deadline(kind, allowed, start + allowed) for kind, allowed in limits.items()]
    return min(deadlines, key=lambda deadline: deadline.at, default=None)


def time_passed(context: Context, kind: str | None, allowed: float | timedelta | None) -> str:
    """Say how long the try has taken, and how long it may.

    :param kind: the deadline that passed.
    :param allowed: the seconds that it allows; None where that is no longer known, since the DAG was edited.
    """
    elapsed, of = time.time() - _start_of_try(context), ""
    if allowed is not None:
        limit = seconds(kind or "timeout", allowed)
        elapsed, of = max(elapsed, limit), f" of {limit:g} s"  # not every Airflow knows the start of a resumed try
    return f"The {kind or 'timeout'}{of} passed: the try began {elapsed:.{0 if elapsed >= 10 else 1}f} s ago."


def _start_of_try(context: Context) -> float:
    """Give the time since 1970; Airflow keeps it where a task resumes."""
    start_date = context["ti"].start_date
    return start_date.timestamp() if start_date else time.time()
