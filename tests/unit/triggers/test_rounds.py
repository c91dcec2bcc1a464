"""The decisions without I/O: what a response says about each waiter, and what that means for it."""

from __future__ import annotations

from asyncio import AbstractEventLoop, new_event_loop
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
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
from airflow_provider_saagie.triggers.waiter import Failed, Waiter
from tests.support.fake_saagie import instance, row
from tests.support.recording_logger import RecordingLogger

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


ITEMS: list[tuple[dict[str, Any], tuple[Any, ...], list[str]]] = [
    ({"i0": RUNNING, "i1": RUNNING}, (), ["JobInstance", "JobInstance"]),
    ({"i0": RUNNING, "i1": None}, (), ["JobInstance", "null"]),
    ({"i0": RUNNING, "i1": None}, (error("i1"),), ["JobInstance", "RowError"]),
    ({"i0": RUNNING, "i1": None}, (error("i1", classification="NOT_FOUND"),), ["JobInstance", "null"]),
    # An error below the instance matters only if it leaves the status unknown.
    ({"i0": RUNNING, "i1": RUNNING}, (error("i1", "stopTrigger"),), ["JobInstance", "JobInstance"]),
    ({"i0": RUNNING, "i1": NO_STATUS}, (error("i1", "history"),), ["JobInstance", "RowError"]),
    ({"i0": RUNNING, "i1": NO_STATUS}, (), ["JobInstance", "JobInstance"]),
    # Null beside an error without a path proves nothing: it must not make an instance gone.
    ({"i0": RUNNING, "i1": None}, ({"message": "odd"},), ["JobInstance", "RowError"]),
    ({"i0": RUNNING}, (), ["JobInstance", "RowError"]),
    ({"i0": RUNNING, "i1": "odd"}, (), ["JobInstance", "RowError"]),
    ({"i0": RUNNING, "i1": {"id": "x", "history": "odd"}}, (), ["JobInstance", "RowError"]),
    ({"i0": None, "i1": None}, (error("i0"), error("i1")), ["RowError", "RowError"]),
]
FAILURES: list[tuple[Any, type]] = [
    (Answer(None, ({"message": "too complex"},)), TooMuch),
    (Answer({"i0": None, "i1": None}, ({"message": "no path"},)), TooMuch),
    (Answer(None, ({"message": "who?", "extensions": {"classification": "UNAUTHORIZED"}},)), Denied),
    (Answer(None, ()), Away),
    *((Refused(status), TooMuch) for status in (400, 413, 414, 422)),
    *((Refused(status), Denied) for status in (401, 403)),
    *((Refused(status), Away) for status in (404, 500)),
    (Refused(429, {"Retry-After": "7"}), Away),
    (Refused(302, {"Location": "https://elsewhere.example"}), Away),
    (Refused(200, {}, "<html>maintenance</html>"), Away),
    (Broken(Fault.TIMEOUT), Away),
    (Broken(Fault.TLS), Away),
    (SaagieAuthError("refused"), Denied),
    (SaagieConnectionError("away"), Away),
]


def test_read_items() -> None:
    for data, errors, expected in ITEMS:
        reading = read(Answer(data, errors), INSTANCES, [None, None], SETTINGS)
        assert isinstance(reading, Rows), (data, errors)
        kinds = ["null" if item is None else type(item).__name__ for item in reading.rows]
        assert kinds == expected, (data, errors)


def test_read_failures() -> None:
    for outcome, expected in FAILURES:
        assert type(read(outcome, INSTANCES, [None, None], SETTINGS)) is expected, outcome


@pytest.fixture(scope="module")
def loop() -> Iterator[AbstractEventLoop]:
    loop = new_event_loop()
    yield loop
    loop.close()


SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "RUNNING", "SUCCEEDED", "x", "2026"])
JUNK = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner))
ODD_STATUSES = JUNK | st.fixed_dictionaries({"status": JUNK, "reason": JUNK, "details": JUNK})
ODD_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "id": SCALARS,
        **dict.fromkeys(("number", "jobId", "startTime", "endTime", "executionVariablesOutput"), JUNK),
        "history": JUNK | st.fixed_dictionaries({"currentStatus": ODD_STATUSES}),
        "runTrigger": JUNK | st.fixed_dictionaries({"__typename": JUNK, "author": JUNK}),
        "stopTrigger": JUNK | st.fixed_dictionaries({"author": JUNK}),
    },
)
ODD_ITEMS = JUNK | ODD_FIELDS | ODD_FIELDS.map(lambda odd: RUNNING | odd) | st.sampled_from([None, RUNNING, NO_STATUS])
ODD_DATA = JUNK | st.dictionaries(st.sampled_from([*TWO, "x"]), ODD_ITEMS)
ODD_ERRORS = JUNK | st.sampled_from(
    [{"message": None}, {"message": 1, "extensions": 2, "path": 3}, error("i0"), error("i1"), error("x")]
)


@given(
    data=ODD_DATA, errors=st.lists(ODD_ERRORS, max_size=3), known=st.none() | st.just(JobInstance.from_answer(RUNNING))
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_read_and_judge_survive_any_answer(
    loop: AbstractEventLoop, data: Any, errors: list[Any], known: JobInstance | None
) -> None:
    """And null alone means that the platform doesn't have an instance."""
    reading = read(Answer(data, tuple(errors)), INSTANCES, [known, None], SETTINGS)
    assert isinstance(reading, (Rows, TooMuch, Away, Denied))
    for alias, item in zip(TWO, reading.rows if isinstance(reading, Rows) else (), strict=False):
        assert isinstance(item, (JobInstance, RowError, type(None)))
        assert item is not None or (alias in data and data[alias] is None)
        waiter = Waiter(instance_id=instance(1), log=RecordingLogger(), verdict=loop.create_future())
        assert not isinstance(judge(waiter, item, 0.0, link=lambda: "the link"), Failed)
        assert age_of(waiter, 10.0, 10.0) >= 10


def test_pause_follows_retry_after_or_is_a_minute() -> None:
    reading = read(Refused(429, {"Retry-After": "7"}), INSTANCES, [None, None], SETTINGS)
    assert isinstance(reading, Away)
    assert pause(reading, 1) == 7
    assert pause(Denied(SaagieAuthError("no")), 5) == 60
    assert pause(Away(SaagieConnectionError("away"), retry_after=1e6), 1) == 600


@given(attempt=st.integers(1, 10_000))
def test_pause_is_a_minute_at_most(attempt: int) -> None:
    assert 1 <= pause(Away(SaagieConnectionError("away")), attempt) <= 60


@pytest.fixture
def waiter(loop: AbstractEventLoop) -> Waiter:
    return Waiter(instance_id=instance(1), log=RecordingLogger(), verdict=loop.create_future())


def seen(status: str, *, start_time: Any = None) -> JobInstance:
    return JobInstance.from_answer({**row(status), "id": instance(1), "startTime": start_time})


def verdicts(waiter: Waiter, rows: list[tuple[float, JobInstance | None]]) -> list[str | None]:
    """Judge what was read at each time; gives the kinds of the verdicts."""
    judged = [judge(waiter, row, at, link=lambda: "the link") for at, row in rows]
    return [type(verdict).__name__ if verdict else None for verdict in judged]


def test_judge_two_consecutive_nulls_mean_gone(waiter: Waiter) -> None:
    there = seen("RUNNING")
    assert verdicts(waiter, [(0, None), (10, there), (20, None), (30, there), (40, None), (50, None)]) == [None] * 5 + [
        "Failed"
    ]


def test_judge_other_status_restarts_grace_of_unknown(waiter: Waiter) -> None:
    odd, there = seen("UNKNOWN"), seen("RUNNING")
    rows: list[tuple[float, JobInstance | None]] = [(0, odd), (50, odd), (55, there), (60, odd), (119, odd), (120, odd)]
    assert verdicts(waiter, rows) == [None] * 5 + ["Ended"]


AGES = {
    "2026-01-01T00:00:00+00:00": 3600.0,  # it ran long before it was watched
    "2026-01-01T00:59:55Z": 30.0,
    "2026-01-01T02:00:00+00:00": 30.0,  # the platform's clock is ahead
    "2026-01-01T00:00:00": 30.0,  # without a time zone
    "soon": 30.0,
    7: 30.0,
    None: 30.0,
}


def test_age_is_since_start_or_since_first_seen(waiter: Waiter) -> None:
    now = datetime(2026, 1, 1, 1, tzinfo=UTC).timestamp()
    for start_time, age in AGES.items():
        judge(waiter, seen("RUNNING", start_time=start_time), 100.0, link=lambda: "the link")
        assert age_of(waiter, 130.0, now) == age, start_time
