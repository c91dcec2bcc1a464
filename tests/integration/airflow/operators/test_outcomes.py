"""Each row of the table of outcomes, run by Airflow against the emulator: the same of everything, deferred or not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import chain
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_saagie import exceptions
from airflow_provider_saagie.client import instances, submit
from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.status import OUTCOMES, Meaning, is_final, outcome_of
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator
from tests.support.scripted_jobs import LAST_WORDS, job_that_ends

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient
    from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger
    from tests.integration.airflow.operators.conftest import TaskResult
    from airflow_provider_saagie.emulator.testing import Emulator

RETRIES = 1
GRACE = 0.5  # seconds for which UNKNOWN is a passing state, 60 otherwise


class ShortGrace(SaagieRunJobOperator):
    """A run task that believes UNKNOWN soon."""

    def _trigger(self, *given: Any) -> SaagieJobInstanceTrigger:
        trigger = super()._trigger(*given)
        trigger.unknown_grace = GRACE
        return trigger


@dataclass(frozen=True)
class Row:
    """An end, and what it is to mean.

    :param given: parameters of the task.
    """

    status: str
    reason: str | None
    meaning: Meaning
    error: type[exceptions.SaagieInstanceFailed] | None
    given: dict[str, Any] = field(default_factory=dict)

    @property
    def task_id(self) -> str:
        return "_".join(str(part).lower() for part in (self.status, self.reason, *self.given) if part)


TABLE = [Row(status, reason, outcome.meaning, outcome.error) for (status, reason), outcome in OUTCOMES.items()]
BY_PARAMETERS = [
    Row("KILLED", None, Meaning.RETRY, exceptions.SaagieInstanceKilled, {"retry_killed": True}),
    Row("KILLED", None, Meaning.SKIP, exceptions.SaagieInstanceKilled, {"skip_on": ["KILLED"]}),
    Row("FAILED", "EVICTED", Meaning.SKIP, exceptions.SaagieInfrastructureError, {"skip_on": ["EVICTED"]}),
    Row("SUCCEEDED", None, Meaning.SUCCESS, None, {"skip_on": ["SUCCEEDED"], "retry_killed": True}),
]
A_FEW = [
    row for row in TABLE if (row.status, row.reason) in {("FAILED", "OUT_OF_MEMORY"), ("FAILED", "INVALID_IMAGE_NAME")}
]
STATES = {Meaning.SUCCESS: "success", Meaning.SKIP: "skipped", Meaning.RETRY: "failed", Meaning.FAIL: "failed"}


CHANGES = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"dag_[0-9a-f]{32}"), "DAG"),
    (re.compile(r"after [0-9.]+ s"), "after N s"),
)
# What Airflow prints of a line: time, level, words, logger, and values that it adds.
PRINTED = re.compile(
    r"^\S+ \[(\w+) *\] (.*?) *\[(airflow\.task\.operators\.)?(airflow_provider_saagie|task)\S*\](?:.*( reason=.*))?"
)
OF_THE_DEFERRAL = ("Waiting in the triggerer", "Pausing task as DEFERRED", "::")


def without_ids(text: str) -> str:
    for pattern, instead in CHANGES:
        text = pattern.sub(instead, text)
    return text


@dataclass
class Told:
    """What a run of some rows told, each by its task's id.

    :param raised: the errors that Airflow's callbacks for failures were given.
    :param runs: how many instances were started.
    :param log: all lines of ours, in order.
    """

    states: dict[str, str]
    xcoms: dict[str, dict[str, Any]]
    raised: dict[str, list[BaseException]]
    runs: dict[str, int]
    log: list[str]

    def without_ids(self) -> list[str]:
        """Give all of it as lines that two runs can share."""
        errors = {
            task_id: [(type(error), str(error), type(error.__cause__), sorted(_attributes(error))) for error in errors]
            for task_id, errors in self.raised.items()
        }
        return [without_ids(repr(one)) for one in (self.states, _sorted(self.xcoms), errors, self.runs, *self.log)]


def _sorted(xcoms: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {task_id: sorted(found.items()) for task_id, found in xcoms.items()}


def _attributes(error: BaseException) -> list[tuple[str, str]]:
    ours = error if isinstance(error, exceptions.SaagieError) else error.__cause__
    return [(name, str(value)) for name, value in vars(ours).items() if not name.startswith("_")]


@pytest.fixture
def run_rows(
    run_dag: Callable[[DAG], dict[str, TaskResult]],
    new_dag: Callable[[], DAG],
    make_job: Callable[..., str],
    emulator: Emulator,
    client: SaagieClient,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Told]:
    """A function that runs a task for each row, one after the other, and tells what came of them."""
    caplog.set_level("INFO")
    monkeypatch.setattr(submit, "UNKNOWN_GRACE", -10.0)  # over for the next try, whatever the clocks say

    def run(rows: list[Row], *, deferrable: bool) -> Told:
        raised: dict[str, list[BaseException]] = {row.task_id: [] for row in rows}
        jobs: dict[str, str] = {}
        dag = new_dag()
        tasks = []

        def see(context: Any) -> None:
            raised[context["ti"].task_id].append(context["exception"])

        with dag:
            for row in rows:
                name = f"{row.task_id} {dag.dag_id}"
                jobs[row.task_id] = job_that_ends(
                    make_job, emulator, row.status, row.reason, details="as told", name=name
                )
                operator = ShortGrace if row.status == "UNKNOWN" else SaagieRunJobOperator
                tasks.append(
                    operator(
                        task_id=row.task_id,
                        job_id=jobs[row.task_id],
                        poll_interval=0.2,
                        deferrable=deferrable,
                        retries=RETRIES,
                        retry_delay=timedelta(0),
                        on_failure_callback=see,
                        on_retry_callback=see,
                        trigger_rule="all_done",
                        **row.given,
                    )
                )
            chain(*tasks)
        caplog.clear()
        capfd.readouterr()
        ended = run_dag(dag)
        # Airflow prints what its tasks say; what uses Python's own logging is with pytest.
        printed = [found for line in capfd.readouterr().out.splitlines() if (found := PRINTED.match(line))]
        lines = [f"{one[1]} {one[2]}{one[5] or ''}" for one in printed if not one[2].startswith(OF_THE_DEFERRAL)]
        lines += [record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider_saagie")]
        return Told(
            states={row.task_id: ended[row.task_id].state for row in rows},
            xcoms={row.task_id: ended[row.task_id].xcoms for row in rows},
            raised=raised,
            runs={
                task_id: len(client.session.run(instances.list_instances(job_id, limit=9)))
                for task_id, job_id in jobs.items()
            },
            log=lines,
        )

    return run


def assert_as_told(row: Row, told: Told) -> None:
    tries = 1 + RETRIES if row.meaning is Meaning.RETRY else 1
    assert told.states[row.task_id] == STATES[row.meaning]
    assert told.runs[row.task_id] == tries, "a retry runs the job again, and nothing else does"
    xcoms = told.xcoms[row.task_id]
    assert xcoms["instance_status"] == row.status
    assert xcoms["instance_url"] == xcoms["_link_SaagieLink"]
    errors = told.raised[row.task_id]
    assert len(errors) == (tries if STATES[row.meaning] == "failed" else 0)
    for error in errors:
        ours = error.__cause__ if row.meaning is Meaning.FAIL else error
        assert type(error) is (AirflowFailException if row.meaning is Meaning.FAIL else row.error)
        assert type(ours) is row.error
        assert isinstance(ours, exceptions.SaagieInstanceFailed)
        assert (ours.status, ours.reason, ours.details) == (row.status, row.reason, "as told")
        assert str(ours) == str(error)
        for part in (row.status, row.reason or "", "as told", str(ours.url), LAST_WORDS):
            assert part in str(error)


def same_in_both_ways(run_rows: Callable[..., Told], rows: list[Row]) -> None:
    deferred, here = run_rows(rows, deferrable=True), run_rows(rows, deferrable=False)
    for row in rows:
        assert_as_told(row, deferred)
    assert deferred.without_ids() == here.without_ids()
    assert sum("what it said first" in line for line in here.log) == sum(here.runs.values())


def test_ends_have_their_outcomes_deferred_or_not(run_rows: Callable[..., Told]) -> None:
    same_in_both_ways(run_rows, A_FEW)


@pytest.mark.long
@pytest.mark.parametrize("rows", [TABLE, BY_PARAMETERS], ids=["the table", "by parameters"])
def test_every_end_has_its_outcome_deferred_or_not(run_rows: Callable[..., Told], rows: list[Row]) -> None:
    same_in_both_ways(run_rows, rows)


@pytest.mark.parametrize("status", ["FAILED", "KILLED", "ERROR", "SKIPPED", "UNKNOWN"])
def test_a_reason_that_the_schema_does_not_know_counts_as_none(status: str) -> None:
    told, plain = (JobInstance(id="i", number=1, job_id="j", status=status, reason=reason) for reason in ("NEW", None))
    assert outcome_of(told) == outcome_of(plain)
    assert outcome_of(told, skip_on=["NEW"]).meaning is Meaning.SKIP


def test_what_the_task_itself_had_stopped_is_no_reason_against_a_retry() -> None:
    killed = JobInstance(id="i", number=1, job_id="j", status="KILLED")
    assert outcome_of(killed).meaning is Meaning.FAIL
    assert outcome_of(killed, stopped_by_us=True).meaning is Meaning.RETRY
    failed = JobInstance(id="i", number=1, job_id="j", status="FAILED", reason="INVALID_IMAGE_NAME")
    assert outcome_of(failed, stopped_by_us=True).meaning is Meaning.FAIL


def test_a_status_that_the_schema_does_not_know_is_on_its_way() -> None:
    assert not is_final("PAUSED")


@pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "in the worker"])
def test_an_instance_that_is_gone_is_not_silently_run_again(
    run_dag: Any, new_dag: Any, make_job: Any, client: SaagieClient, emulator: Emulator, deferrable: bool
) -> None:
    job_id = job_that_ends(make_job, emulator, "UNKNOWN")
    raised: list[BaseException] = []

    class DeletesIt(SaagieRunJobOperator):
        """A run task whose instance is deleted by somebody, as it waits."""

        def _trigger(self, *given: Any) -> SaagieJobInstanceTrigger:
            (instance,) = client.session.run(instances.list_instances(job_id, limit=9))
            emulator.set_instance(instance.id, "FAILED")
            client.jobs.delete_instances(job_id, [instance.id])
            return super()._trigger(*given)

    def see(context: Any) -> None:
        raised.append(context["exception"])

    with new_dag() as dag:
        DeletesIt(
            task_id="run", job_id=job_id, deferrable=deferrable, poll_interval=0.2, retries=1,
            retry_delay=timedelta(0), on_failure_callback=see, on_retry_callback=see,
        )  # fmt: skip
    assert run_dag(dag)["run"].state == "failed"
    assert [type(error) for error in raised] == [exceptions.SaagieInstanceGone] * 2
    assert client.session.run(instances.list_instances(job_id, limit=9)) == []
    for error in raised:
        assert "clear the task to run it" in str(error)
        assert str(error).count("/instances/") == 1


class OfAnotherVersion(SaagieRunJobOperator):
    """Its triggerer tells something that it does not know."""

    def execute_complete(self, context: Any, event: dict[str, Any], try_number: int | None = None) -> str:
        self._running = None  # as in the process that resumes it
        return super().execute_complete(context, {**event, "status": "new"}, try_number)


def test_an_event_that_cant_be_used_leaves_no_instance_behind(
    run_dag: Any, new_dag: Any, make_job: Any, client: SaagieClient
) -> None:
    job_id = make_job("import time; time.sleep(300)")
    with new_dag() as dag:
        OfAnotherVersion(task_id="run", job_id=job_id, deferrable=True, timeout=2, on_timeout="leave", poll_interval=1)
    assert run_dag(dag)["run"].state == "failed"
    (instance,) = client.session.run(instances.list_instances(job_id, limit=5))
    assert instance.status in ("KILLING", "KILLED")
