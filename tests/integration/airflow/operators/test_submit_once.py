"""Submit once: lost responses, retries, and jobs that are already running."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_provider_saagie.client import run_once, submit
from airflow_provider_saagie.client.calls import Pause
from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator
from airflow_provider_saagie.triggers import saagie as triggers
from tests.integration.airflow.operators.conftest import Alarm, Instances, Statuses
from tests.support.dag_runs import RunTasks
from tests.support.executed_tasks import TaskRun
from tests.support.held_jobs import Hold
from tests.support.pages import DOCS, blocks
from tests.support.waiting import wait_until

QUICK = "print('hello from the job')"
MakeJob = Callable[..., str]
both_ways = pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "in the worker"])


def operator(
    task_id: str, job_id: str, kind: type[SaagieRunJobOperator] = SaagieRunJobOperator, **given: Any
) -> SaagieRunJobOperator:
    return kind(task_id=task_id, job_id=job_id, poll_interval=0.2, retry_delay=timedelta(0), **given)


@pytest.fixture
def pauses(set_connection: object, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that submit-once waits; it does not really wait."""
    seconds: list[float] = []

    def pause(wanted: float) -> Pause:
        seconds.append(wanted)
        return Pause(0.05)

    monkeypatch.setattr(run_once, "Pause", pause)
    return seconds


def test_lost_response_starts_no_second_run(
    pauses: list[float], run_tasks: RunTasks, make_job: MakeJob, emulator: Emulator, instances: Instances
) -> None:
    for fault, deferrable, message in (("drop", True, "adopted it"), ("refuse", False, "Nothing was started then")):
        job_id = make_job(QUICK)
        emulator.fault(fault, "runJob", times=1)
        result = run_tasks(operator("run", job_id, deferrable=deferrable))["run"]
        (instance,) = instances(job_id)
        assert (result.state, result.xcoms["return_value"]) == ("success", instance.id), fault
        assert max(pauses) > submit.FRESH, "as long as the request may still arrive"
        for part in ("The answer to runJob was lost", message, "hello from the job"):
            assert part in result.text, fault
        pauses.clear()


def test_alarm_during_run_job_stops_what_was_started(
    pauses: list[float], alarm: Alarm, make_job: MakeJob, hold: Hold, emulator: Emulator, statuses: Statuses
) -> None:
    job_id = make_job(hold.code())
    emulator.fault("delay", "runJob", seconds=20, when="after")
    alarm(lambda: statuses(job_id))
    run = TaskRun(operator("run", job_id, deferrable=False, execution_timeout=timedelta(hours=1)))
    assert type(run.execute().error) is AirflowTaskTimeout
    assert max(pauses) > submit.FRESH
    assert statuses(job_id) == ["KILLED"]


class FailsAtItsEnd(SaagieRunJobOperator):
    """A task whose worker dies in its first try, once the job has ended."""

    def execute_complete(self, context: Any, event: dict[str, Any], try_number: int | None = None) -> str:
        if context["ti"].try_number == 1:
            raise RuntimeError("the worker died")
        return super().execute_complete(context, event, try_number)


@both_ways
def test_retry_continues_with_the_earlier_instance(
    run_tasks: RunTasks, make_job: MakeJob, tmp_path: Path, instances: Instances, deferrable: bool
) -> None:
    holds = {task_id: Hold(tmp_path / f"release {task_id}") for task_id in ("running", "anew")}
    succeeded, running, anew = make_job(QUICK), *(make_job(one.code()) for one in holds.values())
    left: dict[str, Any] = {"timeout": 0.5, "on_timeout": "leave", "deferrable": deferrable}

    def release(context: Any) -> None:
        """Let the job end, and the last try wait for that."""
        wait_until(lambda: instances(context["ti"].task.job_id)[0].status == "RUNNING")
        if context["ti"].try_number == context["ti"].max_tries:
            context["ti"].task.timeout = None
            holds[context["ti"].task_id].release()

    results = run_tasks(
        operator("succeeded", succeeded, FailsAtItsEnd, retries=1, deferrable=deferrable),
        operator("running", running, retries=2, on_retry_callback=release, **left),
        operator("anew", anew, retries=1, reattach=False, on_retry_callback=release, **left),
    )
    assert {result.state for result in results.values()} == {"success"}
    assert len(instances(anew)) == 2
    for task_id, job_id in (("succeeded", succeeded), ("running", running)):
        (instance,) = instances(job_id)
        xcoms = results[task_id].xcoms
        assert (xcoms["return_value"], xcoms["job_id"]) == (instance.id, job_id)
        assert xcoms["instance_status"] == "SUCCEEDED"
        assert xcoms["_link_SaagieLink"] == xcoms["instance_url"]
    assert results["succeeded"].text.count("[job] hello from the job") == 2, "the log of each try has it"
    (quoted,) = blocks(DOCS / "submit_once.md", "text")
    assert quoted.removesuffix("https://…\n") in results["running"].text


def test_if_running_decides_on_the_instance_of_another_user(
    run_tasks: RunTasks, make_job: MakeJob, hold: Hold, client: Any, emulator: Emulator, instances: Instances,
    tmp_path: Path,
) -> None:  # fmt: skip
    """The other user's instances are held; what a task starts itself ends at once."""
    modes = ("submit", "attach", "skip", "fail")
    attached = Hold(tmp_path / "release")
    jobs, theirs = {}, {}
    for mode in modes:
        held = (attached if mode == "attach" else hold).code()
        code = f"import os, sys\nif os.path.exists({str(tmp_path / mode)!r}): sys.exit()\n{held}"
        jobs[mode] = make_job(code)
        theirs[mode] = client.jobs.run(jobs[mode])["runJob"]["id"]
    wait_until(lambda: all(emulator.log(instance_id) for instance_id in theirs.values()))
    for mode in modes:
        (tmp_path / mode).touch()

    def release(context: Any) -> None:
        """Check that the first try has stopped nothing, and let the retry wait for the end."""
        assert instances(jobs["attach"])[0].status == "RUNNING"
        context["ti"].task.timeout = None
        attached.release()

    given: dict[str, dict[str, Any]] = {"attach": {"timeout": 0.5, "retries": 1, "on_retry_callback": release}}
    results = run_tasks(
        *(
            operator(mode, jobs[mode], if_running=mode, deferrable=False, **given.get(mode, {"timeout": 60}))
            for mode in modes
        )
    )
    states = {mode: result.state for mode, result in results.items()}
    assert states == {"submit": "success", "attach": "success", "skip": "skipped", "fail": "failed"}
    assert {mode: len(instances(jobs[mode])) for mode in modes} == {"submit": 2, "attach": 1, "skip": 1, "fail": 1}
    assert results["attach"].xcoms["return_value"] == theirs["attach"]
    assert "The instance was left as it is" in results["attach"].text
    for mode in ("skip", "fail"):
        assert f"/instances/{theirs[mode]}" in results[mode].text


def test_defect_after_run_job_leaves_nothing_running(
    run_tasks: RunTasks, make_job: MakeJob, hold: Hold, instances: Instances, statuses: Statuses,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    class Broken(triggers.SaagieJobInstanceTrigger):
        """A trigger that can't be made."""

        def __init__(self, **_: Any) -> None:
            raise RuntimeError("a defect")

    monkeypatch.setattr(triggers, "SaagieJobInstanceTrigger", Broken)
    given: dict[str, dict[str, Any]] = {
        "stopped": {"deferrable": True},
        "left": {"stop_on_kill": False},
        "resumed": {"retries": 1},
        "anew": {"retries": 1, "reattach": False},
    }
    jobs = {task_id: make_job(hold.code()) for task_id in given}
    results = run_tasks(*(operator(task_id, jobs[task_id], **more) for task_id, more in given.items()))
    assert {result.state for result in results.values()} == {"failed"}
    for task_id, job_id in jobs.items():
        assert statuses(job_id) == {"left": ["RUNNING"], "anew": ["KILLED"] * 2}.get(task_id, ["KILLED"]), task_id
        assert f"/instances/{instances(job_id)[0].id}" in results[task_id].text
        assert ("the next try takes it up" in results[task_id].text) is (task_id == "resumed")
