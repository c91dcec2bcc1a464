"""Submit once: the contract's table, cell by cell."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.submit import (
    TABLE,
    Do,
    Found,
    Since,
    Submission,
    TheTry,
    candidates,
    decide,
    resolve,
    search_over_at,
    since,
    what_is_found,
)

NOW = 1_000_000.0
STORED = Submission("job", "project", last_number=4, at=NOW - 30, tried_by=TheTry(2, 0), instance_id="i5")
INTENT = replace(STORED, instance_id=None, doubt=5.0, time_limit=40.0)
RUNNING = JobInstance("i5", 5, "job", "RUNNING", run_by="airflow")

RETRY, CLEARED, ANOTHER_CLEARED = TheTry(2, 0), TheTry(3, 1), TheTry(2, 1)
AGO = {seconds: datetime.fromtimestamp(NOW - seconds, UTC).isoformat() for seconds in (10, 90)}

# what is stored, the instance: what a retry, a try after a clear and an unclear one do. Read it beside the contract's.
CELLS = {
    "nothing": (None, None, ("submits", "submits", "submits")),
    "an intent": (INTENT, None, ("searches", "searches to stop", "searches")),
    "awaiting": (STORED, replace(RUNNING, status="AWAITING"), ("attaches", "stops", "attaches")),
    "requested": (STORED, replace(RUNNING, status="REQUESTED"), ("attaches", "stops", "attaches")),
    "queued": (STORED, replace(RUNNING, status="QUEUED"), ("attaches", "stops", "attaches")),
    "running": (STORED, RUNNING, ("attaches", "stops", "attaches")),
    "a status of a later Saagie": (STORED, replace(RUNNING, status="PAUSED"), ("attaches", "stops", "attaches")),
    "succeeded": (STORED, replace(RUNNING, status="SUCCEEDED"), ("ends", "submits", "submits")),
    "failed": (STORED, replace(RUNNING, status="FAILED"), ("submits", "submits", "submits")),
    "killed": (STORED, replace(RUNNING, status="KILLED"), ("submits", "submits", "submits")),
    "error": (STORED, replace(RUNNING, status="ERROR"), ("submits", "submits", "submits")),
    "skipped": (STORED, replace(RUNNING, status="SKIPPED"), ("submits", "submits", "submits")),
    "killing": (STORED, replace(RUNNING, status="KILLING"), ("waits", "waits", "waits")),
    "unknown for 10 s": (
        STORED, replace(RUNNING, status="UNKNOWN", status_since=AGO[10]), ("attaches", "stops", "attaches"),
    ),
    "unknown for 90 s": (STORED, replace(RUNNING, status="UNKNOWN", status_since=AGO[90]), ("stops", "stops", "stops")),
    "unknown, nobody knows how long": (STORED, replace(RUNNING, status="UNKNOWN"), ("stops", "stops", "stops")),
    "gone": (STORED, None, ("fails", "submits", "fails")),
}  # fmt: skip
WORDS = {
    "submits": Do.SUBMIT,
    "searches": Do.SEARCH,
    "searches to stop": Do.SEARCH_TO_STOP,
    "attaches": Do.ATTACH,
    "ends": Do.END_WITH_IT,
    "stops": Do.STOP_THEN_SUBMIT,
    "waits": Do.WAIT_THEN_SUBMIT,
    "fails": Do.FAIL_AS_GONE,
}


@pytest.mark.parametrize("which", [0, 1, 2], ids=["a retry", "after a clear", "unclear"])
@pytest.mark.parametrize("name", CELLS)
def test_each_cell_of_the_contract(name: str, which: int) -> None:
    stored, instance, expected = CELLS[name]
    this_try = (RETRY, CLEARED, ANOTHER_CLEARED)[which]
    assert decide(stored, instance, this_try, job_id="job", now=NOW) is WORDS[expected[which]]


def test_no_row_of_the_table_is_without_a_cell_above() -> None:
    reached = {what_is_found(stored, instance, "job", NOW) for stored, instance, _ in CELLS.values()}
    assert reached == set(Found) == set(TABLE)


@pytest.mark.parametrize(
    ("this_try", "expected"),
    [
        (TheTry(2, 0), Since.RETRY),
        (TheTry(5, 0), Since.RETRY),  # the clear number decides first
        (TheTry(3, 1), Since.CLEAR),
        (TheTry(1, 1), Since.CLEAR),  # retries were edited: it may go down
        (TheTry(2, 1), Since.UNCLEAR),
        (TheTry(2, 7), Since.UNCLEAR),
    ],
)
def test_a_retry_is_told_from_a_clear(this_try: TheTry, expected: Since) -> None:
    assert since(STORED, this_try) is expected


@pytest.mark.parametrize("this_try", [RETRY, CLEARED, ANOTHER_CLEARED])
@pytest.mark.parametrize("stored", [STORED, INTENT])
def test_what_was_stored_about_another_job_counts_as_nothing(stored: Submission, this_try: TheTry) -> None:
    assert decide(stored, RUNNING, this_try, job_id="another", now=NOW) is Do.SUBMIT


@pytest.mark.parametrize("status", ["RUNNING", "UNKNOWN"])
def test_what_is_not_our_own_is_never_stopped(status: str) -> None:
    theirs = replace(STORED, owned=False)
    assert decide(theirs, replace(RUNNING, status=status), CLEARED, job_id="job", now=NOW) is Do.SUBMIT


def test_our_own_is_left_where_the_task_says_so() -> None:
    do = decide(STORED, RUNNING, CLEARED, job_id="job", now=NOW, stop_on_kill=False)
    assert do is Do.WAIT_THEN_SUBMIT


def at(seconds: float) -> str:
    return datetime.fromtimestamp(INTENT.at + seconds, UTC).isoformat()


@pytest.mark.parametrize(
    ("instance", "possible"),
    [
        (replace(RUNNING, created_at=at(1)), True),
        (replace(RUNNING, created_at=at(49)), True),
        (replace(RUNNING, created_at=at(56)), False),  # after 10 s, the time limit of 40 s and 5 s of doubt
        (replace(RUNNING, created_at=at(-4)), True),
        (replace(RUNNING, created_at=at(-6)), False),
        (replace(RUNNING, number=4, created_at=at(1)), False),
        (replace(RUNNING, run_by="a.person", created_at=at(1)), False),
        (replace(RUNNING, run_by="Airflow", created_at=at(1)), True),  # logins are no passwords
        (replace(RUNNING, run_by=None, is_authored=False, created_at=at(1)), False),  # Saagie's own schedule
        (replace(RUNNING, run_by=None, is_authored=True, created_at=at(1)), True),  # the platform does not say who
        (replace(RUNNING, run_by=None, created_at=None), True),  # nor when
        (replace(RUNNING, created_at="yesterday"), True),
    ],
)
def test_who_may_be_the_one_that_was_started(instance: JobInstance, possible: bool) -> None:
    assert bool(candidates(INTENT, [instance], "airflow")) is possible


def test_the_search_is_over_when_no_request_can_arrive_any_more() -> None:
    assert search_over_at(INTENT) == INTENT.at + 10 + 40 + 5


@pytest.mark.parametrize(
    ("wish", "none", "one", "two"),
    [
        ("adopt", Do.SUBMIT, RUNNING, None),
        ("fail", Do.SUBMIT, None, None),
        ("submit", Do.SUBMIT, Do.SUBMIT, Do.SUBMIT),
    ],
)
def test_what_a_search_leads_to(wish: str, none: object, one: object, two: object) -> None:
    assert resolve([], wish) is none
    assert resolve([RUNNING], wish) is one
    assert resolve([RUNNING, replace(RUNNING, id="i6")], wish) is two
