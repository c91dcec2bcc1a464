"""SaagieStopInstanceOperator and SaagiePurgeInstancesOperator with the emulator."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.operators.saagie import SaagiePurgeInstancesOperator, SaagieStopInstanceOperator
from tests.support.executed_tasks import TaskRun, run_task
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_saagie.client.saagie import SaagieClient
    from airflow_provider_saagie.emulator.testing import Emulator
    from tests.support.held_jobs import Hold

MISSING = "f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"

pytestmark = pytest.mark.usefixtures("saagie_connection")


@pytest.fixture
def job_id(make_job: Any, hold: Hold) -> str:
    """A job named `stream`, whose instances run until they are stopped."""
    return str(make_job(hold.code(), job_name="stream"))


@pytest.fixture
def start(job_id: str, client: SaagieClient, emulator: Emulator) -> Callable[..., str]:
    """A function that starts an instance of the job, and sets its status."""

    def run(status: str = "") -> str:
        instance_id: str = client.jobs.run(job_id)["runJob"]["id"]
        wait_until(lambda: client.jobs.get_instance(instance_id)["jobInstance"]["status"] == "RUNNING")
        if status:
            emulator.set_instance(instance_id, status)
        return instance_id

    return run


def stop(**given: Any) -> TaskRun:
    return run_task(SaagieStopInstanceOperator(task_id="stop", **given))


def purge(**given: Any) -> TaskRun:
    return run_task(SaagiePurgeInstancesOperator(task_id="purge", **given))


def statuses(emulator: Emulator) -> dict[str, str]:
    return {instance.id: instance.status for job in emulator.jobs().values() for instance in job.instances}


def stops(emulator: Emulator) -> int:
    return sum(request["operation"] == "stopJobInstance" for request in emulator.requests())


def test_stop_waits_for_end_of_one_or_all(start: Any, job_id: str, emulator: Emulator) -> None:
    ended, one, *others = start("FAILED"), start(), start(), start()
    run = stop(instance_id=one)
    assert (run.error, run.result) == (None, {one: "KILLED"})
    assert run.link.endswith(f"/job/{job_id}/instances/{one}")
    assert run.xcoms == {
        "instance_status": "KILLED",
        "instance_url": run.link,
        "job_id": job_id,
        "job_url": run.link.removesuffix(f"/instances/{one}"),
        "_link_SaagieLink": run.link,
    }
    seen = statuses(emulator)
    assert seen[one] == "KILLED"
    assert not {seen[other] for other in others} & {"KILLED", "KILLING"}
    run = stop(job_name="stream", project_name="Demo")
    assert (run.error, run.result) == (None, dict.fromkeys(others, "KILLED"))
    assert run.link == run.xcoms["job_url"]
    before = stops(emulator)
    assert stop(instance_id=ended).result == {ended: "FAILED"}
    assert stop(job_id=job_id).result == {}
    assert stops(emulator) == before


def test_lost_answer_or_refusal_is_looked_up(start: Any, emulator: Emulator) -> None:
    """`drop` has stopped the instance, `garbage` has not."""
    for fault in ("drop", "garbage"):
        instance_id = start()
        emulator.fault(fault, "stopJobInstance")
        assert stop(instance_id=instance_id).result == {instance_id: "KILLED"}, fault
    instance_id = start()
    emulator.fault("error", "stopJobInstance", times=0, message="Not today")
    run = stop(instance_id=instance_id)
    assert "Not today" in str(run.error)
    assert run.link.endswith(instance_id)


def test_stop_without_wait_only_asks(start: Any, emulator: Emulator) -> None:
    instance_id = start()
    run = stop(instance_id=instance_id, wait_for_stop=False)
    assert (run.error, stops(emulator)) == (None, 1)
    assert run.result[instance_id] in ("KILLING", "KILLED")


def test_stop_times_out(start: Any, emulator: Emulator) -> None:
    instance_id = start("KILLING")
    run = stop(instance_id=instance_id, stop_timeout=0.2)
    assert f"Asked to stop, but not ended after 0.2 s: {instance_id} is KILLING" in str(run.error)
    assert run.link == run.xcoms["instance_url"]
    assert stops(emulator) == 0, "it is being stopped already"


def test_stop_of_missing_instance_or_job_is_an_error(emulator: Emulator) -> None:
    for given, message in [
        ({"instance_id": MISSING}, "no job instance"),
        ({"job_id": MISSING}, "no job"),
        ({"job_name": "nothing", "project_name": "Demo"}, "no job named"),
    ]:
        assert message in str(stop(**given).error), given
    assert emulator.requests() == []


def test_purge_deletes_what_criteria_select(
    start: Any, job_id: str, emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    old, older, running = start("SUCCEEDED"), start("SUCCEEDED"), start("RUNNING")
    newest = start("SUCCEEDED")
    dry = purge(job_id=job_id, older_than=timedelta(0), dry_run=True)
    shown = "".join(capfd.readouterr())
    assert (dry.error, dry.result) == (None, 0)
    assert "Would delete 3 of 3" in shown
    assert all(instance_id in shown for instance_id in (old, older, newest))
    kept = purge(job_id=job_id, selector="ALL", exclude=[i.upper() for i in (old, older, newest)], include=None)
    assert (kept.error, kept.result, len(statuses(emulator))) == (None, 0, 4)
    run = purge(job_id=job_id, selector="SUCCEEDED", keep_last=1)
    assert (run.error, run.result, set(statuses(emulator))) == (None, 2, {running, newest})
    assert run.link.endswith(f"/job/{job_id}")
    assert purge(job_id=job_id, selector="ALL", include=[running]).result == 1
    assert statuses(emulator) == {running: "RUNNING"}, "unfinished instances are never deleted"
