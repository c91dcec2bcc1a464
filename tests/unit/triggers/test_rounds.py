"""The decisions without I/O: what a response says about each waiter, what that means for it, and what its log gets."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.outcomes import Answer, Broken, Fault, Refused
from airflow_provider_saagie.client.settings import read_settings
from airflow_provider_saagie.exceptions import SaagieAuthError, SaagieConnectionError
from airflow_provider_saagie.triggers.questions import INSTANCES
from airflow_provider_saagie.triggers.rounds import Away, Denied, RowError, Rows, TooMuch, age_of, judge, pause, read
from airflow_provider_saagie.triggers.teller import Teller
from airflow_provider_saagie.triggers.waiter import Failed, Waiter
from tests.support.fake_saagie import JOB, PROJECT, instance, row
from tests.support.recording_logger import BlockedLogger, BrokenLogger, RecordingLogger

SETTINGS = read_settings(
    host="https://acme-workspace.example", login="airflow", password="pw", extra={"platform_id": 1}
)
RUNNING = {**row("RUNNING"), "id": instance(1)}
TWO = ("i0", "i1")
NO_STATUS = {**RUNNING, "history": None}


LOOP = asyncio.new_event_loop()  # a future needs one, even if it never runs
LOOP.close()


def make_waiter(**more: Any) -> Waiter:
    return Waiter(instance_id=instance(1), verdict=LOOP.create_future(), **{"log": RecordingLogger(), **more})


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


@given(ODD_DATA, st.lists(ODD_ERRORS, max_size=3), st.none() | st.just(JobInstance.from_answer(RUNNING)))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_read_and_judge_survive_any_answer(data: Any, errors: list[Any], known: JobInstance | None) -> None:
    """And null alone means that the platform doesn't have an instance."""
    reading = read(Answer(data, tuple(errors)), INSTANCES, [known, None], SETTINGS)
    assert isinstance(reading, (Rows, TooMuch, Away, Denied))
    for alias, item in zip(TWO, reading.rows if isinstance(reading, Rows) else (), strict=False):
        assert isinstance(item, (JobInstance, RowError, type(None)))
        assert item is not None or (alias in data and data[alias] is None)
        waiter = make_waiter()
        assert not isinstance(judge(waiter, item, 0.0, link=lambda: "the link"), Failed)
        assert age_of(waiter, 10.0, 10.0) >= 10


@given(attempt=st.integers(1, 10_000))
def test_pause_is_a_minute_or_as_requested(attempt: int) -> None:
    away = SaagieConnectionError("away")
    assert 1 <= pause(Away(away), attempt) <= 60
    reading = read(Refused(429, {"Retry-After": "7"}), INSTANCES, [None, None], SETTINGS)
    assert isinstance(reading, Away)
    requested = [pause(known, attempt) for known in (reading, Away(away, retry_after=1e6), Denied(SaagieAuthError("")))]
    assert requested == [7, 600, 60]


ODD, SEEN = (JobInstance.from_answer({**row(status), "id": instance(1)}) for status in ("UNKNOWN", "RUNNING"))


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([(0, None), (10, SEEN), (20, None), (30, SEEN), (40, None), (50, None)], "Failed"),
        ([(0, ODD), (50, ODD), (55, SEEN), (60, ODD), (119, ODD), (120, ODD)], "Ended"),
    ],
    ids=["two consecutive nulls", "a minute of UNKNOWN"],
)
def test_doubts_begin_anew_with_a_good_row(rows: list[tuple[float, JobInstance | None]], verdict: str) -> None:
    waiter = make_waiter()
    *verdicts, last = [judge(waiter, row, at, link=lambda: "the link") for at, row in rows]
    assert (verdicts, type(last).__name__) == ([None] * 5, verdict)


AGES = {
    "2026-01-01T00:00:00+00:00": 3600.0,  # it ran long before it was watched
    "2026-01-01T00:59:55Z": 30.0,
    "2026-01-01T02:00:00+00:00": 30.0,  # the platform's clock is ahead
    "2026-01-01T00:00:00": 30.0,  # without a time zone
    **dict.fromkeys(("soon", 7, None), 30.0),
}


def test_age_is_since_start_or_since_first_seen() -> None:
    now, waiter = datetime(2026, 1, 1, 1, tzinfo=UTC).timestamp(), make_waiter()
    for start_time, age in AGES.items():
        judge(waiter, JobInstance.from_answer({**RUNNING, "startTime": start_time}), 100.0, link=lambda: "the link")
        assert age_of(waiter, 130.0, now) == age, start_time


def test_doubt_of_a_refused_document_outlasts_an_outage() -> None:
    waiter = make_waiter(nulls=1, error_since=0.0, unknown_since=0.0)
    doubts = [waiter.is_in_doubt]
    waiter.forget_doubts()
    doubts.append(waiter.is_in_doubt)
    waiter.asked_alone = True
    assert [*doubts, waiter.is_in_doubt] == [True, False, True]


def test_link_is_the_best_available() -> None:
    page = f"{SETTINGS.base_url}/projects/platform/1/project/{PROJECT}/job/{JOB}/instances/{instance(1)}"
    waiter, without_job = make_waiter(project_id=PROJECT, job_id=JOB), make_waiter(project_id=PROJECT)
    assert (waiter.link(SETTINGS), waiter.link(None)) == (page, f"job instance {instance(1)}")
    for incomplete in (without_job, make_waiter(job_id=JOB)):
        assert incomplete.link(SETTINGS) == f"job instance {instance(1)} on {SETTINGS.base_url}"
    without_job.instance = JobInstance.from_answer({**row("RUNNING", jobId=JOB), "id": instance(1)})
    assert without_job.link(SETTINGS) == page


# Lines in a waiter's log


def test_line_is_written_in_the_waiters_context() -> None:
    """By which Airflow selects the log, even while the loop runs the waiter's deadline in the same context."""
    user = contextvars.ContextVar("user", default="nobody")

    class Log(RecordingLogger):
        def handle(self, record: logging.LogRecord) -> None:
            self.lines.append(f"{user.get()}: {record.getMessage()}")

    context = contextvars.copy_context()
    context.run(user.set, "somebody")
    log = Log()
    waiter = context.run(make_waiter, log=log)
    waiter.write(logging.INFO, "100 % done")
    waiter.context.run(waiter.write, logging.INFO, "a second")
    assert log.lines == ["somebody: 100 % done", "somebody: a second"]


def test_time_of_the_last_line_is_kept() -> None:
    for log in (RecordingLogger(), BrokenLogger()):
        waiter, before = make_waiter(log=log), time.monotonic()
        waiter.write(logging.INFO, "a line")
        assert before <= (waiter.last_line_at or 0.0) <= time.monotonic()
    log = RecordingLogger()
    waiter = make_waiter(left=True, log=log)  # nothing is written any more
    waiter.write(logging.INFO, "a line")
    assert (log.lines, waiter.last_line_at) == ([], None)


@pytest.mark.parametrize("leaves", [False, True])
def test_lines_come_in_order_one_thread_at_a_time(leaves: bool) -> None:
    """And those of a waiter that has left meanwhile are dropped."""

    async def main() -> None:
        log, teller = BlockedLogger(), Teller()
        first, second = (Waiter(instance_id=str(n), log=log, teller=teller) for n in (1, 2))
        for n in range(2):  # also in one turn of the loop they are one thread's
            first.say(logging.INFO, "line %d", 2 * n)
        assert await log.is_reached()
        for n in (1, *range(3, 20)):
            (first, second)[n % 2].say(logging.INFO, "line %d", n)
            await asyncio.sleep(0.001)
        assert second.newest_line
        assert not second.newest_line.done()
        second.left = leaves
        log.go_on.set()
        await teller.told([(first, logging.INFO, "100 % done")])
        assert second.newest_line.done()
        await teller.close()
        expected = range(0, 20, 2) if leaves else (0, 2, 1, *range(3, 20))
        assert log.lines == [*(f"line {n}" for n in expected), "100 % done"]
        assert log.most_at_once == 1

    asyncio.run(main())


def test_closed_teller_still_writes_the_lines_of_a_stop() -> None:
    async def main() -> None:
        log, teller = RecordingLogger(), Teller()
        one, left = (Waiter(instance_id=str(n), log=log, teller=teller) for n in (1, 2))
        one.say(logging.INFO, "Stopping it.")
        left.say(logging.INFO, "Saagie is away.")
        await teller.close()
        left.left = True
        await teller.told([(one, logging.INFO, "Saagie was asked to stop it.")])
        assert log.lines == ["Stopping it.", "Saagie was asked to stop it."]

    asyncio.run(main())
