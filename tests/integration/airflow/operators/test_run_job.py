"""SaagieRunJobOperator, run by Airflow against the emulator, deferred and not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient
    from tests.integration.airflow.operators.conftest import TaskResult
    from airflow_provider_saagie.emulator.testing import Emulator

QUICK = "print('hello from the job')"
LONG = "import time\nprint('started', flush=True)\ntime.sleep(60)"
FAILS = "import sys\nprint('out')\nprint('what went wrong', file=sys.stderr)\nsys.exit(3)"

RunDag = Callable[["DAG"], dict[str, "TaskResult"]]
pytestmark = pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "in the worker"])


@pytest.fixture
def run_task(run_dag: RunDag, new_dag: Callable[[], DAG]) -> Callable[..., TaskResult]:
    """A function that runs one run operator, and tells how it ended."""

    def run(**given: Any) -> TaskResult:
        dag = new_dag()
        with dag:
            SaagieRunJobOperator(task_id="run", poll_interval=1, **given)
        return run_dag(dag)["run"]

    return run


def test_a_good_run_returns_the_instance_and_tells_where_it_is(
    run_task: Any, make_job: Any, client: SaagieClient, deferrable: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    job_id = make_job(QUICK)
    result = run_task(job_id=job_id, deferrable=deferrable)
    assert result.state == "success"
    instance = client.session.run(instances.list_instances(job_id, limit=5))[0]
    xcoms = result.xcoms
    assert xcoms["return_value"] == instance.id
    assert (xcoms["job_id"], xcoms["instance_status"]) == (job_id, "SUCCEEDED")
    assert xcoms["instance_url"].endswith(f"/job/{job_id}/instances/{instance.id}")
    assert xcoms["_link_SaagieLink"] == xcoms["instance_url"]
    assert "hello from the job" in "".join(capfd.readouterr())


def test_a_platforms_admin_sees_who_ran_what(
    run_task: Any, make_job: Any, emulator: Emulator, deferrable: bool
) -> None:
    job_id = make_job(QUICK)
    run_task(job_id=job_id, deferrable=deferrable)
    run = next(row for row in reversed(emulator.requests()) if row["operation"] == "runJob")
    assert run["variables"] == {"jobId": job_id}
    for part in ("airflow-provider-saagie/", "dag=dag_", "run=manual__", "task=run", "try=1"):
        assert part in run["user_agent"]


def test_the_outputs_of_the_job_are_an_xcom(run_task: Any, make_job: Any, deferrable: bool) -> None:
    job_id = make_job("import os\nopen(os.environ['SAAGIE_OUTPUT_VARS_PATH'], 'w').write('rows=42\\n')")
    assert run_task(job_id=job_id, deferrable=deferrable).xcoms["outputs"] == {"rows": "42"}


def test_a_failed_job_fails_the_task_with_its_last_words(
    run_task: Any, make_job: Any, deferrable: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    result = run_task(job_id=make_job(FAILS), deferrable=deferrable)
    assert (result.state, result.xcoms["instance_status"]) == ("failed", "FAILED")
    shown = "".join(capfd.readouterr())
    for part in ("SaagieJobFailed", "FAILED", "exit code 3", "what went wrong", "/instances/"):
        assert part in shown


def test_a_job_is_found_by_name_and_by_alias(
    run_task: Any, make_job: Any, client: SaagieClient, deferrable: bool
) -> None:
    job = client.jobs.get_info(make_job(QUICK))["job"]
    by_name = run_task(job_name=job["name"], project_name="Demo", deferrable=deferrable)
    project_id = client.get_project_id("Demo")
    by_alias = run_task(job_alias=job["alias"], project_id=project_id, deferrable=deferrable)
    assert by_name.xcoms["job_id"] == by_alias.xcoms["job_id"] == job["id"]


def test_without_waiting_the_task_ends_at_once(run_task: Any, make_job: Any, client: Any, deferrable: bool) -> None:
    result = run_task(job_id=make_job(LONG), wait_for_completion=False, deferrable=deferrable)
    assert result.state == "success"
    instance_id = result.xcoms["return_value"]
    assert client.session.run(instances.read_instance(instance_id)).end_time is None
    client.jobs.stop(instance_id)


class KilledAtOnce(SaagieRunJobOperator):
    """Its user marks it failed while `runJob` is under way: Airflow calls `on_kill`, and `execute` goes on."""

    def execute(self, context: Any) -> str:
        threading.Timer(0.7, self.on_kill).start()
        return super().execute(context)


def test_a_kill_while_the_job_is_being_started_stops_it(
    run_dag: RunDag, new_dag: Any, make_job: Any, client: Any, emulator: Emulator, deferrable: bool
) -> None:
    job_id = make_job(LONG)
    emulator.fault("delay", "runJob", seconds=2)
    with new_dag() as dag:
        KilledAtOnce(task_id="run", job_id=job_id, deferrable=deferrable, poll_interval=1)
    assert run_dag(dag)["run"].state == "failed"
    (instance,) = client.session.run(instances.list_instances(job_id, limit=5))
    assert instance.status == "KILLED"


class DrainedOnce(SaagieRunJobOperator):
    """Its worker is drained while `runJob` is under way; the retry is left in peace."""

    def execute(self, context: Any) -> str:
        if context["ti"].try_number == 1:
            threading.Timer(0.7, self.on_kill).start()
        return super().execute(context)


@pytest.mark.parametrize("waits", [True, False], ids=["waits", "does not wait"])
def test_a_drain_while_the_job_is_being_started_is_retried(
    run_dag: RunDag, new_dag: Any, make_job: Any, client: Any, emulator: Emulator, deferrable: bool, waits: bool
) -> None:
    job_id = make_job("import time\ntime.sleep(4)")
    emulator.fault("delay", "runJob", seconds=2)
    with new_dag() as dag:
        DrainedOnce(
            task_id="run", job_id=job_id, deferrable=deferrable, wait_for_completion=waits, poll_interval=1, retries=1,
            retry_delay=timedelta(0),
        )  # fmt: skip
    result = run_dag(dag)["run"]
    assert result.state == "success"
    second, first = client.session.run(instances.list_instances(job_id, limit=5))
    assert first.status == "KILLED"
    assert result.xcoms["return_value"] == second.id
    if not waits:
        client.jobs.stop(second.id)


def test_outputs_that_cannot_be_read_do_not_undo_a_good_end(
    run_task: Any, make_job: Any, emulator: Emulator, deferrable: bool, capfd: Any
) -> None:
    """A failed task would be retried, and run the job again, though it has done its work."""
    job_id = make_job(QUICK)
    emulator.fault("error", "watchedInstance", times=0)
    assert run_task(job_id=job_id, deferrable=deferrable).state == "success"
    assert "outputs could not be read" in "".join(capfd.readouterr())
