"""SaagieJobInstanceSensor with the emulator: what it finds at each poll, and the three ways to wait."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import DAG, chain
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_saagie import exceptions as errors
from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.links.saagie import URL_XCOM_KEY, SaagieLink
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor
from tests.support.executed_tasks import TaskRun
from tests.support.held_jobs import Hold
from tests.support.waiting import wait_until

MISSING = "00000000-0000-4000-8000-000000000000"
MODES: dict[str, dict[str, Any]] = {
    "deferred": {"deferrable": True},
    "worker": {"deferrable": False},
    "reschedule": {"deferrable": False, "mode": "reschedule"},
}


@pytest.fixture(autouse=True)
def connection(set_connection: Any, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send each request once; the connection `saagie_wrong` has a wrong password."""
    set_connection(retries=0)
    wrong = {**json.loads(emulator.connection()), "password": "wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_SAAGIE_WRONG", json.dumps(wrong))


@pytest.fixture
def start(make_job: Any, client: SaagieClient, emulator: Emulator, hold: Hold) -> Callable[..., str]:
    """A function that starts an instance of a job, and sets its status."""
    jobs: dict[str, str] = {}

    def run(*status: str | None, job: str = "watched") -> str:
        if job not in jobs:
            jobs[job] = make_job(hold.code(), job_name=job)
        instance_id: str = client.jobs.run(jobs[job])["runJob"]["id"]
        wait_until(lambda: client.jobs.get_instance(instance_id)["jobInstance"]["status"] == "RUNNING")
        if status:
            emulator.set_instance(instance_id, *status)
        return instance_id

    return run


def sensor(**given: Any) -> TaskRun:
    age = given.pop("age", 0)
    return TaskRun(SaagieJobInstanceSensor(task_id="wait", **{"timeout": 600, "poke_interval": 0.05, **given}), age=age)


def test_poke_succeeds_at_target_status(start: Any, emulator: Emulator) -> None:
    instance_id = start("QUEUED")
    for targets, statuses in [
        (["SUCCEEDED"], ["QUEUED", "RUNNING", "UNKNOWN", "SUCCEEDED"]),
        (["RUNNING", "SUCCEEDED"], ["QUEUED", "RUNNING"]),
        (["FAILED"], ["QUEUED", "FAILED"]),
    ]:
        run = sensor(instance_id=instance_id, target_statuses=targets, never_fail=True)
        for status in statuses:
            emulator.set_instance(instance_id, status)
            assert run.poke().error is None, status
            if status != statuses[-1]:
                assert run.result is False, status
        assert (run.result.xcom_value, run.xcoms["instance_status"]) == (instance_id, statuses[-1])
        assert run.link.endswith(f"/instances/{instance_id}")


def test_other_end_fails_for_good_or_skips(start: Any) -> None:
    instance_id = start("FAILED", "GENERIC_ERROR", "no input")
    message = "Saagie's instance 1 ended as FAILED (GENERIC_ERROR: no input), not as SUCCEEDED."
    for name, mode in MODES.items():
        run = sensor(instance_id=instance_id, **mode).execute()
        assert (type(run.error), type(run.error.__cause__)) == (AirflowFailException, errors.SaagieJobFailed), name
        assert str(run.error) == f"{message}\n{run.link}"
        assert run.xcoms["instance_status"] == "FAILED"
        skipped = sensor(instance_id=instance_id, soft_fail=True, **mode).execute().error
        assert (type(skipped), str(skipped)) == (AirflowSkipException, str(run.error)), name


def test_missing_instance_or_refused_login_skips_or_fails() -> None:
    error = sensor(instance_id=MISSING, soft_fail=True).execute().error
    assert type(error) is AirflowSkipException
    assert MISSING in str(error)
    assert type(error.__cause__) is AirflowFailException
    assert type(error.__cause__.__cause__) is errors.SaagieInstanceGone
    for name, mode in MODES.items():
        for option, expected in [("soft_fail", errors.SaagieAuthError), ("never_fail", AirflowSkipException)]:
            run = sensor(instance_id=MISSING, saagie_conn_id="saagie_wrong", **{option: True}, **mode).execute()
            assert type(run.error) is expected, (name, option)


def test_silent_fail_polls_on_and_logs_error(start: Any, emulator: Emulator, capfd: pytest.CaptureFixture[str]) -> None:
    run = sensor(instance_id=start("SUCCEEDED"), silent_fail=True)
    emulator.fault("error", "jobInstance", message="Not now", times=0)
    assert [run.poke().result, run.poke().result] == [False, False]
    emulator.clear_faults()
    assert run.poke().result
    shown = "".join(capfd.readouterr())
    assert shown.count("The look failed, and silent_fail has the sensor look on.") == 1
    assert "Not now" in shown
    assert "Saagie is away" not in shown
    assert "Saagie answers again." in shown


def test_unfinished_instance_defers_or_reschedules(start: Any, emulator: Emulator) -> None:
    instance_id = start("RUNNING")
    waits = sensor(instance_id=instance_id, never_fail=True, deferrable=True).execute()
    assert isinstance(waits.error, TaskDeferred)
    watched = {"instance_id": instance_id, "owned": False, "poll_interval": 0.05}
    deadline = {"deadline": waits.ti.start_date.timestamp() + 600, "deadline_kind": "timeout"}
    assert waits.error.trigger.serialize()[1].items() >= (watched | deadline).items()
    emulator.set_instance(instance_id, "FAILED", None, "no input")
    assert "ended as FAILED (no input)" in str(waits.resume().error)
    emulator.set_instance(instance_id, "RUNNING")
    waits = sensor(instance_id=instance_id, never_fail=True, **MODES["reschedule"]).execute()
    assert isinstance(waits.error, AirflowRescheduleException)


def test_newer_than_run_ignores_older_instance(start: Any) -> None:
    named = {"job_name": "watched", "project_name": "Demo"}
    _, latest = start("FAILED"), start("SUCCEEDED")
    assert sensor(**named).execute().result == latest
    run = sensor(**named, newer_than_run=True)
    assert run.poke().result is False
    assert start("SUCCEEDED") == run.poke().result.xcom_value != latest


def test_timeout_stops_nothing(start: Any, emulator: Emulator) -> None:
    instance_id = start()
    for name, mode in list(MODES.items())[:2]:
        for options, error in [({}, AirflowSensorTimeout), ({"soft_fail": True}, AirflowSkipException)]:
            run = sensor(instance_id=instance_id, age=700, **options, **mode).execute()
            assert type(run.error) is error, (name, options)
            assert re.search(r"The timeout of 600 s passed: the try began 7\d\d s ago\.$", str(run.error))
    in_worker = sensor(instance_id=instance_id, timeout=0.5).execute()
    assert type(in_worker.error) is AirflowSensorTimeout
    assert "The timeout of 0.5 s passed" in str(in_worker.error)
    assert emulator.jobs()["watched"].instances[0].status == "RUNNING"


def test_timeout_of_airflow_finds_end(start: Any, client: SaagieClient, emulator: Emulator) -> None:
    """No triggerer has taken the deferral: Airflow resumes the sensor, which polls once more."""
    instance_id = start("RUNNING")
    hit, missed = (
        sensor(instance_id=instance_id, deferrable=True, target_statuses=targets).execute()
        for targets in (["KILLED"], ["SUCCEEDED"])
    )
    client.jobs.stop(instance_id)
    wait_until(lambda: emulator.jobs()["watched"].instances[0].status == "KILLED")
    for run in (hit, missed):
        assert run.end_deferral().xcoms["instance_status"] == "KILLED"
    assert (hit.error, hit.result) == (None, instance_id)
    assert ", stopped by airflow, not as SUCCEEDED." in str(missed.error)
    emulator.set_instance(instance_id, "RUNNING")
    assert type(missed.end_deferral().error) is AirflowSensorTimeout


def test_pause_hands_deadline_and_link_to_next_poll(start: Any, emulator: Emulator) -> None:
    """A status that isn't final can't be left to the trigger: the sensor defers for a pause and polls again."""
    instance_id = start("RUNNING")
    run = sensor(instance_id=instance_id, deferrable=True, target_statuses=["KILLING"]).execute()
    deferral = run.error
    assert isinstance(deferral, TaskDeferred)
    assert deferral.kwargs == {"deadline": run.ti.start_date.timestamp() + 600, "link": run.link}
    assert run.link.endswith(f"/instances/{instance_id}")
    emulator.fault("refuse", times=0)
    run.task.shown_link = None  # as in another process
    run.resume(event=True)
    assert isinstance(run.error, TaskDeferred)
    assert (run.error.kwargs, SaagieLink().get_link(run.task, ti_key=None)) == (deferral.kwargs, run.link)
    emulator.clear_faults()
    assert type(run.resume(event=True, deadline=time.time() - 1).error) is AirflowSensorTimeout
    run.error = deferral
    emulator.set_instance(instance_id, "KILLING")
    assert run.resume(event=True).result == instance_id


def test_each_mode_waits_through_outage_for_new_instance(
    run_dag: Any, new_dag: Callable[[], DAG], start: Any, emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each sensor meets an outage, then a job without a new instance, then an unfinished one, which ends."""
    newest: dict[str, str] = {}
    helpers: list[threading.Thread] = []

    def count_polls() -> int:
        requests = emulator.stats()["requests"]
        return sum(requests.get(operation, 0) for operation in ("jobInstances", "watchInstances"))

    def wait_for_poll() -> None:
        before = count_polls()
        wait_until(lambda: count_polls() > before)

    def start_and_end(mode: str) -> None:
        wait_for_poll()
        newest[mode] = start("RUNNING", job=mode)
        wait_for_poll()
        emulator.set_instance(newest[mode], "SUCCEEDED")

    def begin(context: Any) -> None:
        mode = context["ti"].task_id
        if mode not in {helper.name for helper in helpers}:
            emulator.fault("status", "jobs", status=503)
            helpers.append(threading.Thread(target=start_and_end, args=[mode], name=mode))
            helpers[-1].start()

    for name in MODES:
        start("SUCCEEDED", job=name)
    given = {"project_name": "Demo", "newer_than_run": True, "never_fail": True, "poke_interval": 0.1, "timeout": 300}
    with new_dag() as dag:
        chain(
            *(
                SaagieJobInstanceSensor(task_id=name, job_name=name, pre_execute=begin, **given, **mode)
                for name, mode in MODES.items()
            )
        )
    ended = run_dag(dag)
    for helper in helpers:
        helper.join()
    for name in MODES:
        assert (ended[name].state, ended[name].xcoms["return_value"]) == ("success", newest[name]), name
        assert ended[name].xcoms[URL_XCOM_KEY].endswith(f"/instances/{newest[name]}")
        assert "Saagie is away; waiting goes on" in ended[name].text, name
    assert "XCom not found" not in "".join(capfd.readouterr()), "Airflow looked for a link before there was one"
