"""What SaagieRunJobOperator decides without a request: arguments, deadlines, the meaning of an end, stored records."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_saagie import airflow_compat
from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.session import Session
from airflow_provider_saagie.client.status import OUTCOMES, Meaning, is_final, outcome_of
from airflow_provider_saagie.exceptions import SaagieJobFailed, SaagieValidationError
from airflow_provider_saagie.hooks.saagie import SaagieHook
from airflow_provider_saagie.operators import run_record, tries
from airflow_provider_saagie.operators.deadlines import BACKSTOP, earlier_deadline
from airflow_provider_saagie.operators.ending import raise_unless_good
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator
from airflow_provider_saagie.triggers.events import InstanceEvent
from tests.support.executed_tasks import StateStore, run_task

ID = "00000000-0000-4000-8000-000000000000"
JOB = {"job_id": ID}


def test_wrong_argument_is_refused_before_a_request() -> None:
    """A mistake must not leave an instance behind; how the task would wait makes no difference."""
    rows: list[tuple[dict[str, Any], str]] = [
        ({}, "it gives none of them"),
        ({"job_id": "x"}, "UUID"),
        ({"job_id": "None"}, "`job_id` is 'None': its template found nothing"),
        ({"job_alias": "x", "project_id": "None"}, "`project_id` is 'None': its template found nothing"),
        ({"job_name": "x"}, "project_name"),
        ({"job_alias": "x"}, "project_id"),
        ({"job_id": "a", "job_name": "b", "project_name": "c"}, "job_id, and job_name"),
        ({**JOB, "timeout": timedelta(seconds=-30)}, "`timeout` is"),
        ({**JOB, "timeout": "30"}, "`timeout` is"),
        ({**JOB, "timeout": float("nan")}, "`timeout` is"),
        ({**JOB, "timeout": -1}, "`timeout` is"),
        ({**JOB, "poll_interval": None}, "`poll_interval` is"),
        ({**JOB, "poll_interval": timedelta(0)}, "`poll_interval` is"),
        ({**JOB, "on_timeout": "wait"}, "`on_timeout` is 'wait'"),
        ({**JOB, "if_running": "perhaps"}, "`if_running` is 'perhaps'"),
        ({**JOB, "on_lost_submit": "perhaps"}, "`on_lost_submit` is 'perhaps'"),
        ({**JOB, "stop_timeout": "perhaps"}, "`stop_timeout` is 'perhaps'"),
        ({**JOB, "skip_on": "KILLED"}, "`skip_on` is"),
        ({**JOB, "skip_on": 5}, "`skip_on` is"),
        (
            {**JOB, "skip_on": ["KILLED", "evicted"]},
            "`skip_on` holds 'evicted': statuses and reasons",
        ),
        ({**JOB, "skip_on": [None]}, "`skip_on` holds None"),
    ]
    for given, expected in rows:
        for deferrable in (True, False):
            error = run_task(SaagieRunJobOperator(task_id="run", deferrable=deferrable, **given)).error
            assert isinstance(error, SaagieValidationError), (given, error)
            assert expected in str(error), (given, error)


def test_earlier_limit_counts_from_the_start_of_the_try() -> None:
    start = datetime(2026, 6, 1, tzinfo=UTC)
    context: Any = {"ti": SimpleNamespace(start_date=start)}
    minute = timedelta(minutes=1)
    for timeout, execution_timeout, kind, allowed in [
        (30, minute, "timeout", 30),
        (timedelta(minutes=2), minute, "execution_timeout", 60),
        (None, minute, "execution_timeout", 60),
        (30, None, "timeout", 30),
    ]:
        found = earlier_deadline(context, timeout=timeout, execution_timeout=execution_timeout)
        assert found, (timeout, execution_timeout)
        assert (found.kind, found.allowed, found.at) == (kind, allowed, start.timestamp() + allowed)
        assert found.backstop == 1 + BACKSTOP, "it has passed: Airflow ends the deferral soon"
    assert earlier_deadline(context, timeout=None, execution_timeout=None) is None


def test_duration_is_left_out_if_times_are_unusable() -> None:
    at = "2026-11-26T08:00:00"
    with Session(SaagieHook().settings) as session:
        for start, end, expected in [
            (f"{at}Z", "2026-11-26T08:00:05Z", ", after 5.0 s."),
            (f"{at}Z", at, "FAILED."),
            (f"{at}Z", None, "FAILED."),
            (None, None, "FAILED."),
            ("yesterday", f"{at}Z", "FAILED."),
        ]:
            event = InstanceEvent(
                status="error", instance_id=ID, message="", instance_status="FAILED", start_time=start, end_time=end
            )
            with pytest.raises(SaagieJobFailed) as raised:
                raise_unless_good(event, session=session, url="https://saagie", retry_killed=False, skip_on=())
            assert str(raised.value).splitlines()[0].endswith(expected), (start, end)


def instance(status: str, reason: str | None = None) -> JobInstance:
    return JobInstance(id="i", number=1, job_id="j", status=status, reason=reason)


def test_outcome_depends_on_reason_and_parameters() -> None:
    for status, reason in OUTCOMES:
        outcome, good = outcome_of(instance(status, reason)), status == "SUCCEEDED"
        assert outcome_of(instance(status, "NEW")) == outcome_of(instance(status)), "an unknown reason counts as none"
        for skip_on, applies in (([status], True), ([reason or "NEW"], bool(reason)), (["OTHER"], False)):
            found = outcome_of(instance(status, reason), skip_on=skip_on)
            meaning = Meaning.SKIP if applies and not good else outcome.meaning
            assert (found.meaning, found.error) == (meaning, outcome.error), (status, reason, skip_on)
        for change in ({"retry_killed": True}, {"stopped_by_us": True}):
            meaning = Meaning.RETRY if status == "KILLED" else outcome.meaning
            assert outcome_of(instance(status, reason), **change).meaning is meaning, (status, reason, change)
    assert outcome_of(instance("FAILED", "NEW"), skip_on=["NEW"]).meaning is Meaning.SKIP
    assert outcome_of(instance("KILLED")).meaning is Meaning.FAIL
    assert not is_final("PAUSED"), "a status that the schema does not know"


def test_record_of_another_release_is_read() -> None:
    known = json.loads('{"job_id": "j", "project_id": "p", "instance_id": "i", "owned": true, "of_a_later": 1}')
    context: Any = {"task_state_store": StateStore(saagie_run=known)}
    found = run_record.load(context)
    assert found
    assert (found.instance_id, found.owned, found.tried_by.clear_number) == ("i", True, 0)


def test_retry_recalls_what_a_clear_forgets() -> None:
    store = StateStore()

    def context(max_tries: int, **more: Any) -> Any:
        return {"ti": SimpleNamespace(max_tries=max_tries), **more}

    first, cleared = context(1, task_state_store=store), context(3, task_state_store=store)
    tries.remember(first, "key", {"job_id": "one", "version": 2})
    assert tries.recall(first, "key") == {"job_id": "one", "version": 2}
    assert tries.recall(cleared, "key") is None
    assert tries.recall(first, "another") is None
    tries.forget(first, "key")
    assert tries.recall(first, "key") is None
    without_store = context(1)  # before Airflow 3.3
    tries.remember(without_store, "key", {"job_id": "one"})
    tries.forget(without_store, "key")
    assert tries.recall(without_store, "key") is None


def test_event_of_another_try_is_recognized() -> None:
    """Airflow 3.0 resumes a retry with the event that the earlier try waited for."""
    context: Any = {"ti": SimpleNamespace(try_number=2)}
    assert [airflow_compat.is_another_try(context, number) for number in (1, 2, None)] == [True, False, False]
