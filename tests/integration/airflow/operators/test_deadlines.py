"""What happens when a run task's time is over, run by Airflow against the emulator, deferred and not."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferralError, TaskDeferred

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.exceptions import SaagieJobFailed, SaagieWaitTimeout
from airflow_provider_saagie.operators.deadlines import BACKSTOP, earlier_deadline
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator
from tests.support.scripted_jobs import job_that_ends

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient
    from tests.integration.airflow.operators.conftest import TaskResult
    from airflow_provider_saagie.emulator.testing import Emulator

LONG = "import time\ntime.sleep(60)"
# Airflow's alarm raises wherever Python is, also in a finalizer, which can only tell of it.
SWALLOWED = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
both_ways = pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "in the worker"])


@pytest.fixture
def run_task(
    run_dag: Callable[[DAG], dict[str, TaskResult]], new_dag: Callable[[], DAG]
) -> Callable[..., tuple[TaskResult, list[BaseException]]]:
    """A function that runs one run operator, and gives how it ended and what it raised."""

    def run(
        operator: type[SaagieRunJobOperator] = SaagieRunJobOperator, **given: Any
    ) -> tuple[TaskResult, list[BaseException]]:
        raised: list[BaseException] = []

        def see(context: Any) -> None:
            raised.append(context["exception"])

        with new_dag() as dag:
            operator(
                task_id="run", poll_interval=0.5, on_failure_callback=see, on_retry_callback=see,
                retry_delay=timedelta(0), **given,
            )  # fmt: skip
        return run_dag(dag)["run"], raised

    return run


def end_of(client: SaagieClient, job_id: str) -> str | None:
    """Wait for the end of the job's one instance and give its status; None where it goes on for a second."""
    deadline = time.monotonic() + 10
    (instance,) = client.session.run(instances.list_instances(job_id, limit=5))
    while time.monotonic() < deadline:
        found = client.session.run(instances.read_instance(instance.id))
        assert found
        if found.end_time:
            return found.status
        if found.status != "KILLING" and time.monotonic() > deadline - 9:
            client.jobs.stop(instance.id)
            return None
        time.sleep(0.1)
    raise AssertionError("it was asked to stop, and did not")


LIMIT = timedelta(seconds=3)  # Airflow's alarm must not strike before the job is started


@SWALLOWED
@both_ways
@pytest.mark.parametrize(
    ("given", "kind", "left"),
    [
        pytest.param({"timeout": 3}, SaagieWaitTimeout, "asked to stop", id="timeout"),
        pytest.param({"execution_timeout": LIMIT}, AirflowTaskTimeout, "asked to stop", id="execution_timeout"),
        pytest.param(
            {"timeout": LIMIT, "on_timeout": "leave"},
            SaagieWaitTimeout,
            "left as it is",
            id="timeout, leave",
            marks=pytest.mark.long,
        ),
        pytest.param(
            {"execution_timeout": LIMIT, "stop_on_kill": False},
            AirflowTaskTimeout,
            "left as it is",
            id="execution_timeout, leave",
            marks=pytest.mark.long,
        ),
    ],
)
def test_when_the_time_is_over_the_instance_is_stopped_or_left(
    run_task: Any, make_job: Any, client: SaagieClient, deferrable: bool, given: Any, kind: type, left: str
) -> None:
    job_id = make_job(LONG)
    result, (error,) = run_task(job_id=job_id, deferrable=deferrable, **given)
    assert result.state == "failed"
    assert type(error) is kind
    words = (
        r"The job instance \S+ did not end in time.*\. The \w*timeout of 3 s passed: the try began \d+(\.\d)? s ago\. "
    )
    assert re.match(words + rf"The instance was {left}\.\nhttp\S+/instances/\S+$", str(error), re.S)
    assert end_of(client, job_id) == ("KILLED" if left == "asked to stop" else None)


@SWALLOWED
def test_airflows_own_alarm_in_the_midst_of_the_stop_leaves_nothing_running(
    run_task: Any, make_job: Any, client: SaagieClient, emulator: Emulator
) -> None:
    """Both deadlines are the same, and Airflow's alarm strikes a moment after ours: while Saagie is being asked."""
    job_id = make_job(LONG)
    emulator.fault("delay", "stopJobInstance", seconds=1, when="before", times=1)
    _, (error,) = run_task(job_id=job_id, execution_timeout=LIMIT, deferrable=False)
    assert type(error) is AirflowTaskTimeout
    assert "/instances/" in str(error)
    assert end_of(client, job_id) == "KILLED"


class LateSlot(SaagieRunJobOperator):
    """A deferred task whose worker slot comes when its time is long over."""

    def resume_execution(self, next_method: str, next_kwargs: Any, context: Any) -> Any:
        """Resume late."""
        time.sleep(max(0.0, context["ti"].start_date.timestamp() + self.timeout + 0.2 - time.time()))
        return super().resume_execution(next_method, next_kwargs, context)


@pytest.mark.long
def test_an_end_in_time_counts_though_the_worker_slot_comes_late(
    run_task: Any, make_job: Any, emulator: Emulator
) -> None:
    result, _ = run_task(LateSlot, job_id=job_that_ends(make_job, emulator, "SUCCEEDED"), deferrable=True, timeout=4)
    assert result.state == "success"


class NoTriggerer(SaagieRunJobOperator):
    """A deferred task that no triggerer takes up: Airflow resumes it as it does where that fails."""

    error = "Trigger timeout"
    waits = 0.0

    def execute(self, context: Any) -> Any:
        """Defer, and be resumed by Airflow's backstop."""
        with pytest.raises(TaskDeferred) as raised:
            super().execute(context)
        deferral, started = raised.value, context["ti"].start_date.timestamp()
        assert deferral.trigger.deadline == pytest.approx(started + self.timeout), "the same after a hand-over"
        assert self.timeout - 10 < deferral.timeout - BACKSTOP <= self.timeout
        self._running = None  # a task that resumes is another process
        time.sleep(self.waits)
        return self.resume_execution("__fail__", {"error": self.error}, context)


class NoTriggererForASecond(NoTriggerer):
    """The same, with time enough for a short job."""

    waits = 1.5


class BrokenTrigger(NoTriggerer):
    """A deferred task whose trigger breaks."""

    error = "Trigger failure"


@pytest.mark.parametrize("on_timeout", ["stop", pytest.param("leave", marks=pytest.mark.long)])
def test_airflows_backstop_stops_too(run_task: Any, make_job: Any, client: SaagieClient, on_timeout: str) -> None:
    job_id = make_job(LONG)
    result, (error,) = run_task(NoTriggerer, job_id=job_id, deferrable=True, timeout=60, on_timeout=on_timeout)
    assert (result.state, type(error)) == ("failed", SaagieWaitTimeout)
    for part in ("No triggerer has told", "The timeout of 60 s passed", "/instances/"):
        assert part in str(error)
    assert end_of(client, job_id) == ("KILLED" if on_timeout == "stop" else None)


@pytest.mark.parametrize(("status", "state"), [("SUCCEEDED", "success"), ("FAILED", "failed")])
def test_an_end_that_airflows_backstop_finds_counts(
    run_task: Any, make_job: Any, emulator: Emulator, status: str, state: str
) -> None:
    job_id = job_that_ends(make_job, emulator, status)
    result, errors = run_task(NoTriggererForASecond, job_id=job_id, deferrable=True, timeout=60)
    assert (result.state, result.xcoms["instance_status"]) == (state, status)
    assert [type(error) for error in errors] == ([SaagieJobFailed] if state == "failed" else [])


def test_a_trigger_that_breaks_leaves_the_instance_to_the_retry_and_stops_it_at_the_last(
    run_task: Any, make_job: Any, client: SaagieClient
) -> None:
    job_id = make_job(LONG)
    result, errors = run_task(BrokenTrigger, job_id=job_id, deferrable=True, timeout=60, retries=1)
    assert result.state == "failed"
    assert [type(error) for error in errors] == [TaskDeferralError, TaskDeferralError]
    first, last = (" ".join(error.__notes__) for error in errors)
    assert "the next try takes it up" in first
    assert "asked to stop" in last
    assert end_of(client, job_id) == "KILLED"


@pytest.mark.parametrize(
    ("timeout", "execution_timeout", "kind", "allowed"),
    [
        (30, timedelta(minutes=1), "timeout", 30),
        (timedelta(minutes=2), timedelta(minutes=1), "execution_timeout", 60),
        (None, timedelta(minutes=1), "execution_timeout", 60),
        (30, None, "timeout", 30),
    ],
)
def test_the_earlier_of_both_limits_counts_from_the_start_of_the_try(
    timeout: Any, execution_timeout: timedelta | None, kind: str, allowed: float
) -> None:
    start = datetime(2026, 6, 1, tzinfo=UTC)
    context: Any = {"ti": SimpleNamespace(start_date=start)}
    found = earlier_deadline(context, timeout=timeout, execution_timeout=execution_timeout)
    assert found
    assert (found.kind, found.allowed, found.at) == (kind, allowed, start.timestamp() + allowed)


def test_without_a_limit_there_is_no_deadline() -> None:
    assert earlier_deadline({"ti": SimpleNamespace(start_date=None)}, timeout=None, execution_timeout=None) is None  # type: ignore[typeddict-item]
