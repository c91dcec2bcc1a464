"""SaagieRunJobOperator, run by Airflow against the emulator; killed and drained at the worst moments."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.exceptions import SaagieError
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator
from tests.integration.airflow.operators.conftest import Instances
from tests.support.dag_runs import RunTasks
from tests.support.executed_tasks import TaskRun, run_task
from tests.support.held_jobs import Hold
from tests.support.waiting import wait_until

QUICK = "print('hello from the job')"
FAILS = "import sys\nprint('what went wrong', file=sys.stderr)\nsys.exit(3)"
OUTPUTS = "import os\nopen(os.environ['SAAGIE_OUTPUT_VARS_PATH'], 'w').write('rows=42\\n')"
NO_JOB = "00000000-0000-4000-8000-000000000000"

MakeJob = Callable[..., str]
both_ways = pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "in the worker"])


@both_ways
def test_run_job_waits_and_pushes_results(
    run_tasks: RunTasks,
    make_job: MakeJob,
    hold: Hold,
    client: SaagieClient,
    emulator: Emulator,
    instances: Instances,
    deferrable: bool,
) -> None:
    job_id = make_job(QUICK)
    job = client.jobs.get_info(job_id)["job"]
    held = make_job(hold.code())
    jobs: dict[str, dict[str, Any]] = {
        "by_id": {"job_id": job_id},
        "by_name": {"job_name": job["name"], "project_name": "{{ 'Demo' }}"},
        "by_alias": {"job_alias": job["alias"], "project_id": client.get_project_id("Demo")},
        "outputs": {"job_id": make_job(OUTPUTS)},
        "fails": {"job_id": make_job(FAILS)},
        "no_wait": {"job_id": held, "wait_for_completion": False},
        "no_template": {"job_id": "{{ ti.xcom_pull(task_ids='nobody') }}"},
        "no_project": {"job_name": "x", "project_name": "Nowhere"},
        "no_job": {"job_id": NO_JOB},
    }
    results = run_tasks(
        *(
            SaagieRunJobOperator(task_id=task_id, poll_interval=0.2, deferrable=deferrable, **given)
            for task_id, given in jobs.items()
        )
    )
    failed = {task_id for task_id, result in results.items() if result.state == "failed"}
    assert failed == {"fails", "no_template", "no_project", "no_job"}
    assert {result.state for result in results.values()} == {"failed", "success"}

    returned = {results[task_id].xcoms["return_value"] for task_id in ("by_id", "by_name", "by_alias")}
    assert returned == {instance.id for instance in instances(job_id)}
    xcoms = results["by_id"].xcoms
    assert (xcoms["job_id"], xcoms["instance_status"]) == (job_id, "SUCCEEDED")
    assert xcoms["instance_url"].endswith(f"/job/{job_id}/instances/{xcoms['return_value']}")
    assert xcoms["_link_SaagieLink"] == xcoms["instance_url"]
    assert results["by_id"].text.count("hello from the job") == 1
    assert results["outputs"].xcoms["outputs"] == {"rows": "42"}

    (started,) = instances(held)
    assert (results["no_wait"].xcoms["return_value"], started.status == "SUCCEEDED") == (started.id, False)

    assert results["fails"].xcoms["instance_status"] == "FAILED"
    for part in ("SaagieJobFailed", "FAILED", "exit code 3", "what went wrong", "/instances/"):
        assert part in results["fails"].text
    assert "its template found nothing" in results["no_template"].text
    assert "'Demo'" in results["no_project"].text
    assert "has no job" in results["no_job"].text

    runs = [row for row in emulator.requests() if row["operation"] == "runJob"]
    assert len(runs) == 6, "nothing is started by mistake"
    (run,) = (row for row in runs if "task=by_id" in row["user_agent"])
    assert run["variables"] == {"jobId": job_id}
    for part in ("airflow-provider-saagie/", "dag=dag_", "run=manual__", "try=1"):
        assert part in run["user_agent"]


def test_unreadable_outputs_do_not_undo_success(run_tasks: RunTasks, make_job: MakeJob, emulator: Emulator) -> None:
    """A failed task would be retried, and run the job again though it has done its work."""
    emulator.fault("error", "watchedInstance", times=0)
    task = SaagieRunJobOperator(task_id="run", job_id=make_job(QUICK), deferrable=True)
    result = run_tasks(task)["run"]
    assert result.state == "success"
    assert "outputs could not be read" in result.text


@pytest.mark.usefixtures("set_connection")
@pytest.mark.parametrize(
    "given",
    [{"deferrable": True}, {"deferrable": False}, {"wait_for_completion": False}],
    ids=["deferred", "in the worker", "without waiting"],
)
def test_kill_during_run_job_stops_the_instance(
    make_job: MakeJob, hold: Hold, emulator: Emulator, instances: Instances, given: dict[str, bool]
) -> None:
    """The instance is stopped once `runJob` has returned; a retry, as after a drain, runs the job again."""
    job_id = make_job(hold.code())
    task = SaagieRunJobOperator(
        task_id="run",
        job_id=job_id,
        poll_interval=0.2,
        retries=1,
        **given,
    )
    run = TaskRun(task)
    emulator.fault("delay", "runJob", seconds=3)

    def kill() -> None:
        wait_until(lambda: emulator.faults()[0]["struck"])
        task.on_kill()

    killer = threading.Thread(target=kill)
    killer.start()
    error = run.execute().error
    killer.join()
    assert isinstance(error, SaagieError), "in the worker it waits for the end of what it has stopped"
    (first,) = instances(job_id)
    wait_until(lambda: instances(job_id)[0].status == "KILLED")

    hold.release()
    run.retry()
    if isinstance(run.error, TaskDeferred):
        run.resume()
    assert run.error is None
    second, _ = instances(job_id)
    assert (run.result, second.id == first.id) == (second.id, False)


@pytest.mark.usefixtures("set_connection")
def test_kill_while_deferring_leaves_the_instance_to_its_trigger(
    make_job: MakeJob, hold: Hold, instances: Instances
) -> None:
    """Airflow defers the task in spite of the SIGTERM of a drained worker."""
    job_id = make_job(hold.code())
    task = SaagieRunJobOperator(task_id="run", job_id=job_id, deferrable=True, poll_interval=0.2)
    run = run_task(task)
    assert isinstance(run.error, TaskDeferred)
    task.on_kill()
    hold.release()
    run.resume()
    (instance,) = instances(job_id)
    assert (run.error, run.result, instance.status) == (None, instance.id, "SUCCEEDED")
