"""The decisions that need no network: what an answer says of each waiter, and when each is asked for next."""

from __future__ import annotations

from asyncio import new_event_loop
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.outcomes import Answer, Broken, Fault, Refused
from airflow_provider_saagie.client.settings import read_settings
from airflow_provider_saagie.exceptions import SaagieAuthError, SaagieConnectionError
from airflow_provider_saagie.triggers.questions import INSTANCES
from airflow_provider_saagie.triggers.rounds import (
    Away,
    Denied,
    RowError,
    Rows,
    TooMuch,
    age_of,
    judge,
    pause,
    read,
)
from airflow_provider_saagie.triggers.schedule import (
    EARLY,
    FINEST_GRID,
    interval,
    next_but_not_soon,
    next_tick,
)
from airflow_provider_saagie.triggers.waiter import Waiter
from tests.support.fake_saagie import instance, row
from tests.support.recording_logger import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = read_settings(
    host="https://acme-workspace.example", login="airflow", password="pw", extra={"platform_id": 1}
)
RUNNING = {**row("RUNNING"), "id": instance(1)}
TWO = ("i0", "i1")
NO_STATUS = {**RUNNING, "history": None}


def error(*path: str | int, classification: str | None = None) -> dict[str, Any]:
    return {"message": "no", "path": list(path), "extensions": {"classification": classification}}


def kinds(reading: object) -> list[str]:
    assert isinstance(reading, Rows)
    return ["null" if one is None else type(one).__name__ for one in reading.rows]


@pytest.mark.parametrize(
    ("data", "errors", "expected"),
    [
        ({"i0": RUNNING, "i1": RUNNING}, (), ["JobInstance", "JobInstance"]),
        ({"i0": RUNNING, "i1": None}, (), ["JobInstance", "null"]),
        ({"i0": RUNNING, "i1": None}, (error("i1"),), ["JobInstance", "RowError"]),
        ({"i0": RUNNING, "i1": None}, (error("i1", classification="NOT_FOUND"),), ["JobInstance", "null"]),
        # An error below the instance: what matters is whether its status is there.
        ({"i0": RUNNING, "i1": RUNNING}, (error("i1", "stopTrigger"),), ["JobInstance", "JobInstance"]),
        ({"i0": RUNNING, "i1": NO_STATUS}, (error("i1", "history"),), ["JobInstance", "RowError"]),
        ({"i0": RUNNING, "i1": NO_STATUS}, (), ["JobInstance", "JobInstance"]),
        # Null beside an error that names nobody proves nothing: it must not make an instance gone.
        ({"i0": RUNNING, "i1": None}, ({"message": "odd"},), ["JobInstance", "RowError"]),
        ({"i0": RUNNING}, (), ["JobInstance", "RowError"]),
        ({"i0": RUNNING, "i1": "odd"}, (), ["JobInstance", "RowError"]),
        ({"i0": RUNNING, "i1": {"id": "x", "history": "odd"}}, (), ["JobInstance", "RowError"]),
        ({"i0": None, "i1": None}, (error("i0"), error("i1")), ["RowError", "RowError"]),
    ],
)
def test_each_row_is_read_by_itself(data: dict[str, Any], errors: tuple[Any, ...], expected: list[str]) -> None:
    assert kinds(read(Answer(data, errors), INSTANCES, [None, None], SETTINGS)) == expected


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Answer(None, ({"message": "too complex"},)), TooMuch),
        (Answer({"i0": None, "i1": None}, ({"message": "no path"},)), TooMuch),
        (Answer(None, ({"message": "who?", "extensions": {"classification": "UNAUTHORIZED"}},)), Denied),
        (Answer(None, ()), Away),
        (Refused(400), TooMuch),
        (Refused(413), TooMuch),
        (Refused(401), Denied),
        (Refused(403), Denied),
        (Refused(404), Away),
        (Refused(429, {"Retry-After": "7"}), Away),
        (Refused(500), Away),
        (Refused(302, {"Location": "https://elsewhere.example"}), Away),
        (Refused(200, {}, "<html>maintenance</html>"), Away),
        (Broken(Fault.TIMEOUT), Away),
        (Broken(Fault.TLS), Away),
        (SaagieAuthError("refused"), Denied),
        (SaagieConnectionError("away"), Away),
    ],
)
def test_what_is_no_answer_is_sorted_by_who_can_mend_it(outcome: Any, kind: type) -> None:
    assert isinstance(read(outcome, INSTANCES, [None, None], SETTINGS), kind)


ODD_VALUES = st.sampled_from(
    [None, RUNNING, NO_STATUS, 7, "text", [], {}, {"history": 1}, {"executionVariablesOutput": 1}]
)
ODD_ERRORS = st.sampled_from(
    [
        None,
        "text",
        {},
        {"message": None},
        {"message": 1, "extensions": 2, "path": 3},
        error("i0"),
        error("i1"),
        error("x"),
    ]
)


@given(data=st.none() | st.dictionaries(st.sampled_from([*TWO, "x"]), ODD_VALUES), errors=st.lists(ODD_ERRORS))
@settings(deadline=None)
def test_no_answer_breaks_the_reading_and_none_makes_an_instance_gone_by_mistake(
    data: dict[str, Any] | None, errors: list[Any]
) -> None:
    reading = read(Answer(data, tuple(errors)), INSTANCES, [None, None], SETTINGS)
    if isinstance(reading, Rows):
        assert len(reading.rows) == 2
        for alias, one in zip(TWO, reading.rows, strict=True):
            assert one is not None or (data is not None and alias in data and data[alias] is None)
            assert isinstance(one, (JobInstance, RowError, type(None)))


def test_retry_after_rules_the_pause_and_a_refused_login_is_tried_once_a_minute() -> None:
    reading = read(Refused(429, {"Retry-After": "7"}), INSTANCES, [None, None], SETTINGS)
    assert isinstance(reading, Away)
    assert pause(reading, 1) == 7
    assert pause(Denied(SaagieAuthError("no")), 5) == 60
    assert pause(Away(SaagieConnectionError("away"), retry_after=1e6), 1) == 600


@given(attempt=st.integers(1, 10_000))
def test_pauses_grow_to_a_minute(attempt: int) -> None:
    assert 1 <= pause(Away(SaagieConnectionError("away")), attempt) <= 60


@given(age=st.floats(0, 1e7), poll_interval=st.floats(0.05, 3600))
def test_an_interval_never_exceeds_the_one_asked_for(age: float, poll_interval: float) -> None:
    assert 0 < interval(age, poll_interval) <= poll_interval
    assert interval(1e7, poll_interval) == poll_interval


GRID = st.floats(FINEST_GRID, 3600)


@given(now=st.floats(0, 1e7), seconds=GRID)
def test_the_next_tick_is_neither_one_that_was_taken_early_nor_far_off(now: float, seconds: float) -> None:
    tick = next_tick(now, seconds)
    assert EARLY * 0.99 <= tick - now <= (seconds + EARLY) * 1.01
    assert next_tick(tick, seconds) - tick == pytest.approx(seconds, rel=1e-6)
    assert next_tick(tick - EARLY * 0.9, seconds) == next_tick(tick, seconds)


@given(now=st.floats(0, 1e7), seconds=GRID)
def test_what_is_not_to_be_soon_is_half_an_interval_off_at_least_a_whole_at_most(now: float, seconds: float) -> None:
    assert seconds * 0.499 <= next_but_not_soon(now, seconds) - now <= seconds * 1.001


@given(now=st.floats(0, 1e7), seconds=st.floats(0.05, FINEST_GRID, exclude_max=True))
def test_an_interval_too_short_for_a_grid_lies_between_two_looks(now: float, seconds: float) -> None:
    for due in (next_tick(now, seconds), next_but_not_soon(now, seconds)):
        assert due - now == pytest.approx(max(seconds, EARLY), abs=1e-6)


@pytest.fixture
def waiter() -> Iterator[Waiter]:
    loop = new_event_loop()
    yield Waiter(instance_id=instance(1), log=Recorder(), verdict=loop.create_future())
    loop.close()


def seen(status: str, *, start_time: Any = None) -> JobInstance:
    return JobInstance.from_answer({**row(status), "id": instance(1), "startTime": start_time})


def verdicts(waiter: Waiter, rows: list[tuple[float, JobInstance | None]]) -> list[str | None]:
    """Judge what was read at each time; gives the kinds of the verdicts."""
    judged = [judge(waiter, row, at, link=lambda: "the link") for at, row in rows]
    return [type(verdict).__name__ if verdict else None for verdict in judged]


def test_only_two_nulls_one_after_the_other_make_an_instance_gone(waiter: Waiter) -> None:
    there = seen("RUNNING")
    assert verdicts(waiter, [(0, None), (10, there), (20, None), (30, there), (40, None), (50, None)]) == [None] * 5 + [
        "Failed"
    ]


def test_the_grace_of_unknown_begins_anew_after_any_other_status(waiter: Waiter) -> None:
    odd, there = seen("UNKNOWN"), seen("RUNNING")
    rows: list[tuple[float, JobInstance | None]] = [(0, odd), (50, odd), (55, there), (60, odd), (119, odd), (120, odd)]
    assert verdicts(waiter, rows) == [None] * 5 + ["Ended"]


@pytest.mark.parametrize(
    ("start_time", "age"),
    [
        ("2026-01-01T00:00:00+00:00", 3600.0),  # it had run for long before somebody waited
        ("2026-01-01T00:59:55Z", 30.0),
        ("2026-01-01T02:00:00+00:00", 30.0),  # the platform's clock is ahead
        ("2026-01-01T00:00:00", 30.0),  # of no known zone
        ("soon", 30.0),
        (7, 30.0),
        (None, 30.0),
    ],
)
def test_an_instance_is_as_old_as_its_start_says_or_as_long_as_it_was_watched(
    waiter: Waiter, start_time: Any, age: float
) -> None:
    now = datetime(2026, 1, 1, 1, tzinfo=UTC).timestamp()
    judge(waiter, seen("RUNNING", start_time=start_time), 100.0, link=lambda: "the link")
    assert age_of(waiter, 130.0, now) == age
