"""What the end of an instance means for its task: each row of the table of outcomes, run by Airflow."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_saagie import exceptions
from airflow_provider_saagie.client import submit
from airflow_provider_saagie.client.status import OUTCOMES, Meaning
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator
from airflow_provider_saagie.triggers import saagie as triggers
from tests.support.executed_tasks import run_task
from tests.support.scripted_jobs import FIRST_LINE, LAST_LINE, job_that_ends

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.testing import Emulator
    from tests.support.dag_runs import RunTasks, TaskResult
    from tests.support.held_jobs import Hold

MakeJob = Callable[..., str]
RETRIES = 1


@dataclass(frozen=True)
class Row:
    """An end and its meaning.

    :param given: parameters of the task.
    """

    status: str
    reason: str | None
    meaning: Meaning
    error: type[exceptions.SaagieInstanceFailed] | None
    given: dict[str, Any] = field(default_factory=dict)

    @property
    def task_id(self) -> str:
        """The id of its task."""
        return "_".join(str(part).lower() for part in (self.status, self.reason, *self.given) if part)


TABLE = [Row(status, reason, outcome.meaning, outcome.error) for (status, reason), outcome in OUTCOMES.items()]
BY_PARAMETERS = [
    Row("KILLED", None, Meaning.RETRY, exceptions.SaagieInstanceKilled, {"retry_killed": True}),
    Row("KILLED", None, Meaning.SKIP, exceptions.SaagieInstanceKilled, {"skip_on": ["KILLED"]}),
    Row("FAILED", "EVICTED", Meaning.SKIP, exceptions.SaagieInfrastructureError, {"skip_on": ["EVICTED"]}),
    Row("SUCCEEDED", None, Meaning.SUCCESS, None, {"skip_on": ["SUCCEEDED"], "retry_killed": True}),
]
A_FEW = [row for row in TABLE if (row.status, row.reason) in [("FAILED", "OUT_OF_MEMORY"), ("UNKNOWN", None)]]
A_FEW += BY_PARAMETERS
STATES = {Meaning.SUCCESS: "success", Meaning.SKIP: "skipped", Meaning.RETRY: "failed", Meaning.FAIL: "failed"}

OF_THE_DEFERRAL = ("Waiting in the triggerer", "Pausing task as DEFERRED")
CHANGES = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"dag_[0-9a-f]{32}"), "DAG"),
    (re.compile(r"after [0-9.]+ s"), "after N s"),
)


@pytest.fixture
def run_rows(
    run_tasks: RunTasks, make_job: MakeJob, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, TaskResult]]:
    """A function that runs a task for each row; UNKNOWN is believed at once, since only time makes it final."""
    monkeypatch.setattr(submit, "UNKNOWN_GRACE", -10.0)  # whatever the clocks say
    monkeypatch.setitem(triggers.SaagieJobInstanceTrigger.__init__.__kwdefaults__, "unknown_grace", 0.0)

    def run(rows: list[Row], *, deferrable: bool) -> dict[str, TaskResult]:
        jobs = {
            row.task_id: job_that_ends(make_job, emulator, row.status, row.reason, details="as requested")
            for row in rows
        }
        tasks = [
            SaagieRunJobOperator(
                task_id=row.task_id,
                job_id=jobs[row.task_id],
                poll_interval=0.2,
                deferrable=deferrable,
                retries=RETRIES,
                retry_delay=timedelta(0),
                **row.given,
            )
            for row in rows
        ]
        results = run_tasks(*tasks)
        runs = {job.id: len(job.instances) for job in emulator.jobs().values()}
        for row in rows:
            assert_meaning(row, results[row.task_id], runs[jobs[row.task_id]])
        return results

    return run


def assert_meaning(row: Row, result: TaskResult, runs: int) -> None:
    tries = 1 + RETRIES if row.meaning is Meaning.RETRY else 1
    assert (result.state, runs) == (STATES[row.meaning], tries), "only a retry runs the job again"
    assert result.text.count(FIRST_LINE) == runs
    assert result.xcoms["instance_status"] == row.status
    assert result.xcoms["instance_url"] == result.xcoms["_link_SaagieLink"]
    assert len(result.errors) == (tries if result.state == "failed" else 0)
    for error in result.errors:
        ours = error.__cause__ if row.meaning is Meaning.FAIL else error
        assert type(error) is (AirflowFailException if row.meaning is Meaning.FAIL else row.error)
        assert type(ours) is row.error
        assert isinstance(ours, exceptions.SaagieInstanceFailed)
        assert (ours.status, ours.reason, ours.details) == (row.status, row.reason, "as requested")
        assert str(ours) == str(error)
        for part in (row.status, row.reason or "", "as requested", str(ours.url), LAST_LINE):
            assert part in str(error)


def comparable(results: dict[str, TaskResult]) -> dict[str, str]:
    """Return everything that is known of each task, without what differs between two runs."""
    texts = {}
    for task_id, result in results.items():
        lines = [line for line in result.log if not line.startswith(OF_THE_DEFERRAL)]
        text = "\n".join([repr(sorted(result.xcoms.items())), *map(repr, result.errors), *lines])
        for pattern, replacement in CHANGES:
            text = pattern.sub(replacement, text)
        texts[task_id] = text
    return texts


@pytest.mark.parametrize("rows", [A_FEW, pytest.param(TABLE, marks=pytest.mark.long)], ids=["a few", "all"])
def test_outcome_is_the_same_deferred_and_in_the_worker(run_rows: Any, rows: list[Row]) -> None:
    assert comparable(run_rows(rows, deferrable=True)) == comparable(run_rows(rows, deferrable=False))


@pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "in the worker"])
def test_deleted_instance_is_not_run_again(
    run_tasks: RunTasks,
    make_job: MakeJob,
    hold: Hold,
    emulator: Emulator,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
    deferrable: bool,
) -> None:
    class DeletesInstance(triggers.SaagieJobInstanceTrigger):
        """Deletes the instance before it is polled."""

        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            if next(iter(emulator.jobs().values())).instances:  # the triggerer makes another one
                emulator.set_instance(self.instance_id, "FAILED")
                client.jobs.delete_instances(str(self.job_id), [self.instance_id])

    monkeypatch.setattr(triggers, "SaagieJobInstanceTrigger", DeletesInstance)
    given = {"poll_interval": 0.2, "retries": 1, "retry_delay": timedelta(0), "deferrable": deferrable}
    result = run_tasks(SaagieRunJobOperator(task_id="run", job_id=make_job(hold.code()), **given))["run"]
    assert result.state == "failed"
    assert [type(error) for error in result.errors] == [exceptions.SaagieInstanceGone] * 2
    assert next(iter(emulator.jobs().values())).instances == ()
    for error in result.errors:
        assert "clear the task to run it" in str(error)
        assert str(error).count("/instances/") == 1


def test_unusable_event_stops_the_instance(
    make_job: MakeJob, hold: Hold, emulator: Emulator, set_connection: object
) -> None:
    run = run_task(SaagieRunJobOperator(task_id="run", job_id=make_job(hold.code()), deferrable=True, timeout=60))
    assert "status" in str(run.resume(event={"status": "of another version"}).error)
    (instance,) = next(iter(emulator.jobs().values())).instances
    assert instance.status in ("KILLING", "KILLED")
