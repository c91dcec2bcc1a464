"""What the end of an instance means for its task: each row of the table of outcomes, run by Airflow."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_saagie import exceptions
from airflow_provider_saagie.client import submit
from airflow_provider_saagie.client.status import OUTCOMES, Meaning
from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator
from airflow_provider_saagie.triggers import saagie as triggers
from tests.integration.airflow.operators.conftest import Statuses
from tests.support.dag_runs import RunTasks, TaskResult
from tests.support.executed_tasks import run_task
from tests.support.held_jobs import Hold
from tests.support.scripted_jobs import FIRST_LINE, LAST_LINE, job_that_ends

MakeJob = Callable[..., str]
RETRIES = 1


class Row(NamedTuple):
    """An end and its meaning."""

    status: str
    reason: str | None
    meaning: Meaning
    error: type[exceptions.SaagieInstanceFailed] | None
    parameters: Mapping[str, Any] = MappingProxyType({})


TABLE = [Row(status, reason, outcome.meaning, outcome.error) for (status, reason), outcome in OUTCOMES.items()]
BY_PARAMETERS = [
    Row("KILLED", None, Meaning.RETRY, exceptions.SaagieInstanceKilled, {"retry_killed": True}),
    Row("KILLED", None, Meaning.SKIP, exceptions.SaagieInstanceKilled, {"skip_on": ["KILLED"]}),
    Row("FAILED", "EVICTED", Meaning.SKIP, exceptions.SaagieInfrastructureError, {"skip_on": ["EVICTED"]}),
    Row("SUCCEEDED", None, Meaning.SUCCESS, None, {"skip_on": ["SUCCEEDED"], "retry_killed": True}),
]
A_FEW = [row for row in TABLE if row[:2] in (("FAILED", "OUT_OF_MEMORY"), ("FAILED", "INVALID_IMAGE_NAME"))]
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
        jobs = [job_that_ends(make_job, emulator, row.status, row.reason, details="as requested") for row in rows]
        common: dict[str, Any] = {"deferrable": deferrable, "poll_interval": 0.2, "retry_delay": timedelta(0)}
        tasks = [
            SaagieRunJobOperator(task_id=f"row_{n}", job_id=job_id, retries=RETRIES, **common, **row.parameters)
            for n, (row, job_id) in enumerate(zip(rows, jobs, strict=True))
        ]
        results = run_tasks(*tasks)
        runs = {job.id: len(job.instances) for job in emulator.jobs().values()}
        for task, job_id, row in zip(tasks, jobs, rows, strict=True):
            assert_meaning(row, results[task.task_id], runs[job_id])
        return results

    return run


def assert_meaning(row: Row, result: TaskResult, runs: int) -> None:
    tries = 1 + RETRIES if row.meaning is Meaning.RETRY else 1
    assert (result.state, runs) == (STATES[row.meaning], tries), f"{row}: only a retry runs the job again"
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


@pytest.mark.parametrize(
    "rows",
    [A_FEW + BY_PARAMETERS[:2], pytest.param(TABLE + BY_PARAMETERS, marks=pytest.mark.long)],
    ids=["a few", "all"],
)
def test_outcome_is_the_same_deferred_and_in_the_worker(run_rows: Any, rows: list[Row]) -> None:
    assert comparable(run_rows(rows, deferrable=True)) == comparable(run_rows(rows, deferrable=False))


@pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "in the worker"])
def test_deleted_instance_is_not_run_again(
    make_job: MakeJob, hold: Hold, emulator: Emulator, client: Any, set_connection: object, deferrable: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    class DeletesInstance(triggers.SaagieJobInstanceTrigger):
        """Deletes the instance before it is polled."""

        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            emulator.set_instance(self.instance_id, "FAILED")
            client.jobs.delete_instances(str(self.job_id), [self.instance_id])

    monkeypatch.setattr(triggers, "SaagieJobInstanceTrigger", DeletesInstance)
    job_id = make_job(hold.code())
    given: dict[str, Any] = {"deferrable": deferrable, "poll_interval": 0.2, "retries": 1}
    run = run_task(SaagieRunJobOperator(task_id="run", job_id=job_id, **given))
    if deferrable:
        run.resume()
    for error in (run.error, run.retry().error):
        assert type(error) is exceptions.SaagieInstanceGone
        assert "clear the task to run it" in str(error)
        assert str(error).count("/instances/") == 1
    assert next(iter(emulator.jobs().values())).instances == ()


def test_unusable_event_stops_the_instance(
    make_job: MakeJob, hold: Hold, set_connection: object, statuses: Statuses
) -> None:
    job_id = make_job(hold.code())
    run = run_task(SaagieRunJobOperator(task_id="run", job_id=job_id, deferrable=True, timeout=60))
    assert "status" in str(run.resume(event={"status": "of another version"}).error)
    assert statuses(job_id) == ["KILLED"]
