"""What SaagieRunJobOperator does with its instance when its time is over, or its trigger ends without an event."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferralError, TaskDeferred

from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.exceptions import SaagieJobFailed, SaagieWaitTimeout
from airflow_provider_saagie.operators.deadlines import BACKSTOP
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator
from tests.integration.airflow.operators.conftest import Alarm, Statuses
from tests.support.executed_tasks import TaskRun, run_task
from tests.support.held_jobs import Hold
from tests.support.scripted_jobs import job_that_ends
from tests.support.waiting import wait_until

HOUR = 3600.0  # the limit of each task; its try began an hour ago, or just now
MakeJob = Callable[..., str]

pytestmark = pytest.mark.usefixtures("set_connection")


def run_operator(job_id: str, **given: Any) -> SaagieRunJobOperator:
    return SaagieRunJobOperator(task_id="run", job_id=job_id, poll_interval=0.2, **given)


@pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "in the worker"])
def test_passed_deadline_stops_or_leaves_the_instance(
    make_job: MakeJob, hold: Hold, statuses: Statuses, deferrable: bool
) -> None:
    limit = {"execution_timeout": timedelta(seconds=HOUR)}
    rows: list[tuple[dict[str, Any], type, str, str]] = [
        ({"timeout": HOUR}, SaagieWaitTimeout, "asked to stop", "KILLED"),
        (limit, AirflowTaskTimeout, "asked to stop", "KILLED"),
        ({"timeout": HOUR, "on_timeout": "leave"}, SaagieWaitTimeout, "left as it is", "RUNNING"),
        ({**limit, "stop_on_kill": False}, AirflowTaskTimeout, "left as it is", "RUNNING"),
    ]
    for given, kind, left, status in rows:
        job_id = make_job(hold.code())
        run = run_task(run_operator(job_id, deferrable=deferrable, **given), age=HOUR)
        error = run.resume().error if deferrable else run.error
        assert type(error) is kind, given
        pattern = (
            r"The job instance \S+ did not end in time.*\. The \w*timeout of 3600 s passed: the try began \d+ s ago\. "
            rf"The instance was {left}\.\nhttp\S+/instances/\S+$"
        )
        assert re.match(pattern, str(error), re.DOTALL), given
        assert statuses(job_id) == [status], given


# The alarm raises wherever Python is, which may be in a finalizer, whose errors are only reported.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_alarm_in_the_worker_stops_the_instance(
    make_job: MakeJob, hold: Hold, emulator: Emulator, statuses: Statuses, alarm: Alarm
) -> None:
    """The alarm strikes while the task waits, and while Saagie is asked to stop the instance."""
    for operation, age in (("watchInstances", 0.0), ("stopJobInstance", HOUR)):
        emulator.clear_faults()
        job_id = make_job(hold.code())
        emulator.fault("delay", operation, seconds=20, when="before")
        alarm(lambda: emulator.faults()[0]["struck"])
        task = run_operator(job_id, deferrable=False, execution_timeout=timedelta(seconds=HOUR))
        error = run_task(task, age=age).error
        assert type(error) is AirflowTaskTimeout, operation
        assert "/instances/" in str(error), operation
        assert statuses(job_id) == ["KILLED"], operation


def deferred(job_id: str, **given: Any) -> TaskRun:
    """Run a task up to its deferral, which Airflow's backstop is to end a while after the deadline."""
    before = time.time()
    run = run_task(run_operator(job_id, deferrable=True, timeout=HOUR, **given))
    deferral = run.error
    assert isinstance(deferral, TaskDeferred)
    deadline = run.ti.start_date.timestamp() + HOUR
    assert deferral.trigger.deadline == pytest.approx(deadline), "the same after a hand-over"
    assert deadline - time.time() <= deferral.timeout - BACKSTOP <= deadline - before
    return run


def test_backstop_stops_or_leaves_the_instance(make_job: MakeJob, hold: Hold, statuses: Statuses) -> None:
    for on_timeout, status in (("stop", "KILLED"), ("leave", "RUNNING")):
        job_id = make_job(hold.code())
        error = deferred(job_id, on_timeout=on_timeout).end_deferral().error
        assert type(error) is SaagieWaitTimeout
        for part in ("No triggerer has told", "The timeout of 3600 s passed", "/instances/"):
            assert part in str(error), on_timeout
        assert statuses(job_id) == [status]


def test_end_counts_though_it_is_noticed_late(make_job: MakeJob, emulator: Emulator, statuses: Statuses) -> None:
    """The backstop finds it, or the trigger had found it in time, but the worker slot comes late."""
    for status, kind in (("SUCCEEDED", type(None)), ("FAILED", SaagieJobFailed)):
        for resume in (TaskRun.end_deferral, TaskRun.resume):
            job_id = job_that_ends(make_job, emulator, status)
            run = deferred(job_id)
            wait_until(lambda: statuses(job_id) == [status])  # noqa: B023 - called at once
            run.ti.start_date -= timedelta(seconds=HOUR)
            assert type(resume(run).error) is kind
            assert run.xcoms["instance_status"] == status


def test_broken_trigger_leaves_the_instance_to_the_retry(make_job: MakeJob, hold: Hold, statuses: Statuses) -> None:
    job_id = make_job(hold.code())
    run = deferred(job_id, retries=1)
    for note in ("the next try takes it up", "asked to stop"):
        error = run.resume_at("__fail__", error="Trigger failure").error
        assert type(error) is TaskDeferralError
        assert note in " ".join(error.__notes__)
        if run.ti.try_number == 1:
            assert isinstance(run.retry().error, TaskDeferred)
    assert statuses(job_id) == ["KILLED"]
