"""Stopping an instance and waiting for its end, step by step, with a clock of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_saagie import exceptions as errors
from airflow_provider_saagie.client import stopping
from airflow_provider_saagie.client.calls import Pause

ID = "f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"


def row(status: str | None, end: str | None = None) -> dict[str, Any]:
    """Return an instance as the platform does; None is an instance that it doesn't know."""
    known = {"id": ID, "number": 1, "endTime": end, "history": {"currentStatus": {"status": status}}}
    return {"jobInstance": known if status else None}


def drive(steps: Any, respond: Callable[[Any], Any]) -> Any:
    """Run steps to their end; `respond` returns a call's response, or an exception that the call raises."""
    try:
        step = next(steps)
        while True:
            response = respond(step)
            step = steps.throw(response) if isinstance(response, Exception) else steps.send(response)
    except StopIteration as end:
        return end.value


def wait(rows: Iterator[dict[str, Any]] | list[dict[str, Any]], timeout: float = 300) -> tuple[str, float]:
    """Wait for the end of an instance that is seen as these rows, the last of them for ever; return status and time."""
    clock, rows = 0.0, list(rows)

    def respond(step: Any) -> dict[str, Any]:
        nonlocal clock
        if isinstance(step, Pause):
            clock += step.seconds
            return {}
        return rows.pop(0) if len(rows) > 1 else rows[0]

    ended = drive(stopping.wait_for_ends([ID], timeout=timeout, now=lambda: clock), respond)
    return ended[ID].status, clock


def test_unknown_is_an_end_if_it_lasts_or_has_an_end_time() -> None:
    status, seconds = wait([row("KILLING"), row("UNKNOWN"), row("KILLING"), row("UNKNOWN")])
    assert status == "UNKNOWN"
    assert 60 <= seconds < 70
    assert wait([row("UNKNOWN", end="2026-06-01T00:00:00Z")]) == ("UNKNOWN", 0)


def test_instance_is_gone_if_missing_twice() -> None:
    assert wait([row(None), row("KILLED")])[0] == "KILLED"
    with pytest.raises(errors.SaagieInstanceGone):
        wait([row(None)])


def test_wait_ends_with_timeout() -> None:
    with pytest.raises(errors.SaagieWaitTimeout, match=f"{ID} is KILLING"):
        wait([row("KILLING")], timeout=30)


def test_refused_stop_is_an_error_only_if_instance_runs_on() -> None:
    """A platform may refuse to stop an instance that it has lost sight of: then the wait for its end decides."""
    for status, times in [("UNKNOWN", 2), ("KILLING", 1), ("KILLED", 1), ("RUNNING", 2)]:
        stops: list[str] = []

        def respond(step: Any, status: str = status, stops: list[str] = stops) -> Any:
            if step.operation == "stopJobInstance":
                stops.append(ID)
                return errors.SaagieApiError("no", operation="stopJobInstance")
            return row(status if stops else "RUNNING")

        if status == "RUNNING":
            with pytest.raises(errors.SaagieApiError):
                drive(stopping.ask_to_stop(ID), respond)
        else:
            assert drive(stopping.ask_to_stop(ID), respond).status == status
        assert len(stops) == times, status
