"""Submit once, run by Airflow against the emulator: lost answers, retries, and a job that runs already."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.operators import run_record
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator
from tests.integration.airflow.operators.conftest import connection
from tests.support.pages import DOCS, blocks

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient
    from tests.integration.airflow.operators.conftest import TaskResult
    from airflow_provider_saagie.emulator.testing import Emulator

QUICK = "print('hello from the job')"
both_ways = pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "in the worker"])


def lasts(seconds: float) -> str:
    return f"import time\nprint('started', flush=True)\ntime.sleep({seconds})"


@pytest.fixture
def run_task(
    run_dag: Callable[[DAG], dict[str, TaskResult]],
    new_dag: Callable[[], DAG],
    emulator: Emulator,
    deferrable: bool,
) -> Callable[..., TaskResult]:
    """A function that runs one run operator over a connection with short time limits, and tells how it ended."""

    def run(
        operator: type[SaagieRunJobOperator] = SaagieRunJobOperator, time_limit: float = 3, **given: Any
    ) -> TaskResult:
        extra = {"realm": emulator.realm, "platform_id": emulator.platform, "timeout": time_limit}
        os.environ["AIRFLOW_CONN_SAAGIE_DEFAULT"] = connection(emulator, extra=extra)
        dag = new_dag()
        with dag:
            operator(task_id="run", poll_interval=1, retry_delay=timedelta(0), deferrable=deferrable, **given)
        return run_dag(dag)["run"]

    return run


@pytest.fixture
def shown(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """A function that gives what was logged since: Airflow prints what an operator says only."""
    caplog.set_level("INFO")
    return lambda: "".join(capfd.readouterr()) + caplog.text


def started(client: SaagieClient, job_id: str) -> list[instances.JobInstance]:
    return client.session.run(instances.list_instances(job_id, limit=10))


def ends(client: SaagieClient, instance_id: str) -> str:
    deadline = time.monotonic() + 10
    while True:
        found = client.session.run(instances.read_instance(instance_id))
        assert found
        if found.end_time:
            return found.status
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.long  # twenty seconds, until a lost request must have arrived
@pytest.mark.parametrize("deferrable", [True])
def test_a_lost_answer_starts_no_second_run(
    run_task: Any, make_job: Any, client: SaagieClient, emulator: Emulator, shown: Callable[[], str]
) -> None:
    job_id = make_job(QUICK)
    emulator.fault("drop", "runJob", times=1)
    result = run_task(job_id=job_id)
    (instance,) = started(client, job_id)
    assert (result.state, result.xcoms["return_value"]) == ("success", instance.id)
    log = shown()
    for part in ("The answer to runJob was lost", "adopted it", "hello from the job"):
        assert part in log


@pytest.mark.long  # as above
@pytest.mark.parametrize("deferrable", [False])
def test_a_lost_request_is_sent_again_once_that_is_sure(
    run_task: Any, make_job: Any, client: SaagieClient, emulator: Emulator
) -> None:
    job_id = make_job(QUICK)
    emulator.fault("refuse", "runJob", times=1)
    assert run_task(job_id=job_id).state == "success"
    assert len(started(client, job_id)) == 1
    assert emulator.faults()[0]["struck"] == 1


@pytest.mark.long  # as above
@pytest.mark.parametrize("deferrable", [False])
def test_what_was_started_as_the_execution_timeout_struck_is_stopped(
    run_task: Any, make_job: Any, client: SaagieClient, emulator: Emulator, shown: Callable[[], str]
) -> None:
    job_id = make_job(lasts(300))
    emulator.fault("delay", "runJob", seconds=7, when="after")
    assert run_task(job_id=job_id, time_limit=8, execution_timeout=timedelta(seconds=4)).state == "failed"
    (instance,) = started(client, job_id)
    assert ends(client, instance.id) == "KILLED"
    assert "looking for what it has started, to stop it" in shown()


class FailsAtItsEnd(SaagieRunJobOperator):
    """Its first try fails once the job has ended, as one does whose worker dies then."""

    def execute_complete(self, context: Any, event: dict[str, Any], try_number: int | None = None) -> str:
        if context["ti"].try_number == 1:
            raise RuntimeError("the worker died")
        return super().execute_complete(context, event, try_number)


@both_ways
def test_a_retry_ends_with_what_has_succeeded_and_shows_its_lines(
    run_task: Any, make_job: Any, client: SaagieClient, shown: Callable[[], str]
) -> None:
    job_id = make_job(QUICK)
    result = run_task(FailsAtItsEnd, job_id=job_id, retries=1)
    (instance,) = started(client, job_id)
    assert (result.state, result.xcoms["return_value"]) == ("success", instance.id)
    assert result.xcoms["instance_status"] == "SUCCEEDED"
    assert shown().count("[job] hello from the job") == 2  # each try's log holds them


@both_ways
def test_a_retry_takes_up_what_the_try_before_left(
    run_task: Any, make_job: Any, client: SaagieClient, shown: Callable[[], str]
) -> None:
    job_id = make_job(lasts(4))
    result = run_task(job_id=job_id, timeout=2, on_timeout="leave", retries=4)
    (instance,) = started(client, job_id)
    assert (result.state, result.xcoms["return_value"]) == ("success", instance.id)
    assert (result.xcoms["job_id"], result.xcoms["instance_status"]) == (job_id, "SUCCEEDED")
    assert result.xcoms["_link_SaagieLink"] == result.xcoms["instance_url"]
    (quoted,) = blocks(DOCS / "submit_once.md", "text")
    assert quoted.removesuffix("https://…\n") in shown()


@both_ways
def test_a_retry_runs_a_failed_job_again(run_task: Any, make_job: Any, client: SaagieClient) -> None:
    job_id = make_job("import sys\nsys.exit(1)")
    assert run_task(job_id=job_id, retries=1).state == "failed"
    assert len(started(client, job_id)) == 2


@both_ways
def test_without_reattach_a_retry_starts_another(run_task: Any, make_job: Any, client: SaagieClient) -> None:
    job_id = make_job(lasts(30))
    run_task(job_id=job_id, timeout=1, on_timeout="leave", retries=1, reattach=False)
    found = started(client, job_id)
    assert len(found) == 2
    for instance in found:
        client.jobs.stop(instance.id)


@both_ways
@pytest.mark.parametrize(
    ("if_running", "state", "runs"),
    [("submit", "success", 2), ("attach", "success", 1), ("skip", "skipped", 1), ("fail", "failed", 1)],
)  # fmt: skip
def test_a_job_that_runs_already(
    run_task: Any,
    make_job: Any,
    client: SaagieClient,
    if_running: str,
    state: str,
    runs: int,
    shown: Callable[[], str],
) -> None:
    holds_back = if_running in ("skip", "fail")
    job_id = make_job(lasts(60 if holds_back else 5))  # on a busy machine the task takes its time to look
    theirs = client.jobs.run(job_id)["runJob"]["id"]
    result = run_task(job_id=job_id, if_running=if_running)
    assert (result.state, len(started(client, job_id))) == (state, runs)
    if if_running == "attach":
        assert result.xcoms["return_value"] == theirs
    if holds_back:
        assert f"/instances/{theirs}" in shown()
        client.jobs.stop(theirs)


@both_ways
def test_an_attached_instance_is_never_stopped(run_task: Any, make_job: Any, client: SaagieClient) -> None:
    job_id = make_job(lasts(30))
    theirs = client.jobs.run(job_id)["runJob"]["id"]
    assert run_task(job_id=job_id, if_running="attach", timeout=1).state == "failed"
    found = client.session.run(instances.read_instance(theirs))
    assert found
    assert found.status == "RUNNING"
    client.jobs.stop(theirs)


class Breaks(SaagieRunJobOperator):
    """A mistake of ours, between runJob and the waiting."""

    def _trigger(self, *_: Any) -> Any:
        raise RuntimeError("a mistake")


@both_ways
@pytest.mark.parametrize(("given", "status"), [({}, "KILLED"), ({"stop_on_kill": False}, "RUNNING")], ids=["", "left"])
def test_a_mistake_of_ours_leaves_nothing_running_behind(
    run_task: Any, make_job: Any, client: SaagieClient, given: Any, status: str, shown: Callable[[], str]
) -> None:
    job_id = make_job(lasts(30))
    assert run_task(Breaks, job_id=job_id, **given).state == "failed"
    (instance,) = started(client, job_id)
    if status == "KILLED":
        assert ends(client, instance.id) == status
    else:
        assert instance.end_time is None
        client.jobs.stop(instance.id)
    assert f"/instances/{instance.id}" in shown()


@both_ways
def test_a_mistake_of_ours_leaves_the_instance_to_the_retry(
    run_task: Any, make_job: Any, client: SaagieClient, shown: Callable[[], str]
) -> None:
    job_id = make_job(lasts(30))
    assert run_task(Breaks, job_id=job_id, retries=1).state == "failed"
    (instance,) = started(client, job_id)
    assert "the next try takes it up" in shown()
    assert ends(client, instance.id) == "KILLED"


@both_ways
def test_a_mistake_of_ours_leaves_nothing_to_a_retry_that_would_not_take_it_up(
    run_task: Any, make_job: Any, client: SaagieClient, shown: Callable[[], str]
) -> None:
    job_id = make_job(lasts(30))
    assert run_task(Breaks, job_id=job_id, retries=1, reattach=False).state == "failed"
    assert [ends(client, one.id) for one in started(client, job_id)] == ["KILLED", "KILLED"]
    assert "the next try takes it up" not in shown()


@both_ways
@pytest.mark.parametrize("wrong", ["if_running", "on_lost_submit", "stop_timeout"])
def test_wrong_wishes_are_refused_before_anything_is_sent(
    run_task: Any, make_job: Any, client: SaagieClient, wrong: str, shown: Callable[[], str]
) -> None:
    job_id = make_job(QUICK)
    assert run_task(job_id=job_id, **{wrong: "perhaps"}).state == "failed"
    assert started(client, job_id) == []
    assert f"`{wrong}` is 'perhaps'" in shown()


def test_what_a_first_release_has_stored_is_read() -> None:
    class Store:
        def get(self, key: str) -> Any:
            return json.loads('{"job_id": "j", "project_id": "p", "instance_id": "i", "owned": true, "of_a_later": 1}')

    found = run_record.load({"task_state_store": Store()})  # type: ignore[typeddict-unknown-key]
    assert found
    assert (found.instance_id, found.owned, found.tried_by.clear_number) == ("i", True, 0)
