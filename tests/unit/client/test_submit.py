"""Submit once, the decisions: the contract's table cell by cell, and what a lost `runJob` may have started."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

from airflow_provider_saagie.client import submit
from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.submit import Do, Found, Since, Submission, TheTry

NOW = 1_000_000.0
STORED = Submission("job", "project", last_number=4, at=NOW - 30, tried_by=TheTry(2, 0), instance_id="i5")
INTENT = replace(STORED, instance_id=None, doubt=5.0, time_limit=40.0)
RUNNING = JobInstance("i5", 5, "job", "RUNNING", run_by="airflow")

RETRY, CLEARED, UNCLEAR = TRIES = (TheTry(2, 0), TheTry(3, 1), TheTry(2, 1))

# What a retry, a try after a clear and an unclear one do. Compare it with the contract's table.
ALWAYS_SUBMIT = (Do.SUBMIT, Do.SUBMIT, Do.SUBMIT)
ATTACH = (Do.ATTACH, Do.STOP_THEN_SUBMIT, Do.ATTACH)
STOP = (Do.STOP_THEN_SUBMIT, Do.STOP_THEN_SUBMIT, Do.STOP_THEN_SUBMIT)
CELLS: dict[str, tuple[Submission | None, JobInstance | None, tuple[Do, Do, Do]]] = {
    "nothing": (None, None, ALWAYS_SUBMIT),
    "intent": (INTENT, None, (Do.SEARCH, Do.SEARCH_TO_STOP, Do.SEARCH)),
    "gone": (STORED, None, (Do.FAIL_AS_GONE, Do.SUBMIT, Do.FAIL_AS_GONE)),
    **{
        status: (STORED, replace(RUNNING, status=status), expected)
        for statuses, expected in (
            ("AWAITING REQUESTED QUEUED RUNNING A_STATUS_OF_A_LATER_SAAGIE", ATTACH),
            ("SUCCEEDED", (Do.END_WITH_IT, Do.SUBMIT, Do.SUBMIT)),
            ("FAILED KILLED ERROR SKIPPED", ALWAYS_SUBMIT),
            ("KILLING", (Do.WAIT_THEN_SUBMIT,) * 3),
        )
        for status in statuses.split()
    },
    **{
        f"UNKNOWN since {moment}": (STORED, replace(RUNNING, status="UNKNOWN", status_since=moment), expected)
        for moment, expected in (
            (datetime.fromtimestamp(NOW - 59, UTC).isoformat(), ATTACH),
            (datetime.fromtimestamp(NOW - 60, UTC).isoformat(), STOP),
            (None, STOP),
            ("2026-01-01T00:00:00", STOP),  # without a timezone
        )
    },
}


def test_decision_follows_every_cell_of_the_contract() -> None:
    for (name, (stored, instance, expected)), (column, this_try), owned, stop_on_kill in product(
        CELLS.items(), enumerate(TRIES), (True, False), (True, False)
    ):
        wanted = expected[column]
        if wanted is Do.STOP_THEN_SUBMIT and not owned:
            wanted = Do.SUBMIT  # an instance of another user is never stopped
        elif wanted is Do.STOP_THEN_SUBMIT and not stop_on_kill:
            wanted = Do.WAIT_THEN_SUBMIT
        submission = stored and replace(stored, owned=owned)
        for job_id, do in (("job", wanted), ("another", Do.SUBMIT)):
            found = submit.decide(submission, instance, this_try, job_id=job_id, now=NOW, stop_on_kill=stop_on_kill)
            assert found is do, f"{name}, {this_try}, {job_id=}, {owned=}, {stop_on_kill=}"


def test_cells_reach_every_row_of_the_table() -> None:
    reached = {submit.what_is_found(stored, instance, "job", NOW) for stored, instance, _ in CELLS.values()}
    assert reached == set(Found) == set(submit.TABLE)
    assert all(set(row) == set(Since) for row in submit.TABLE.values())


def test_clear_differs_from_retry_by_both_numbers() -> None:
    for this_try, expected in (
        (RETRY, Since.RETRY),
        (TheTry(5, 0), Since.RETRY),  # the clear number decides first
        (CLEARED, Since.CLEAR),
        (TheTry(1, 1), Since.CLEAR),  # somebody has edited the retries: the number may decrease
        (UNCLEAR, Since.UNCLEAR),
        (TheTry(2, 7), Since.UNCLEAR),
    ):
        assert submit.since(STORED, this_try) is expected, this_try


def test_candidates_are_newer_own_and_within_the_window() -> None:
    def made(seconds: float, **more: object) -> JobInstance:
        moment = datetime.fromtimestamp(INTENT.at + seconds, UTC).isoformat()
        return replace(RUNNING, **{"created_at": moment, **more})

    assert submit.search_over_at(INTENT) == INTENT.at + 10 + 40 + 5  # until sent, its time limit, the clock's doubt
    for instance, is_possible in (
        (made(1), True),
        (made(55), True),
        (made(56), False),
        (made(-4), True),
        (made(-6), False),
        (made(1, number=4), False),
        (made(1, number=None), True),
        (made(1, run_by="a.person"), False),
        (made(1, run_by="Airflow"), True),  # logins don't differ by case
        (made(1, run_by=None, is_authored=False), False),  # Saagie's own schedule
        (made(1, run_by=None, is_authored=True), True),  # the platform doesn't say who
        (made(1, run_by=None, created_at=None), True),  # nor when
        (made(1, created_at="yesterday"), True),
    ):
        assert submit.candidates(INTENT, [instance], "airflow") == ([instance] if is_possible else []), instance


def test_search_result_is_resolved_as_on_lost_submit_says() -> None:
    other = replace(RUNNING, id="i6")
    for wish, none, one, two in (
        ("adopt", Do.SUBMIT, RUNNING, None),
        ("fail", Do.SUBMIT, None, None),
        ("submit", Do.SUBMIT, Do.SUBMIT, Do.SUBMIT),
    ):
        assert [submit.resolve(found, wish) for found in ([], [RUNNING], [RUNNING, other])] == [none, one, two], wish
