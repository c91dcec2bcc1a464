"""The sensor's decisions about the event of its trigger: what ends the task, and how."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException, AirflowTaskTimeout

from airflow_provider_saagie import exceptions as errors
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor
from airflow_provider_saagie.triggers.events import InstanceEvent
from tests.support.executed_tasks import TaskRun

ID, JOB, PROJECT = (f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))
URL = f"http://127.0.0.1:1/projects/platform/1/project/{PROJECT}/job/{JOB}/instances/{ID}"


def event(status: str = "error", message: str = "It happened.", **fields: Any) -> dict[str, Any]:
    return InstanceEvent(status, ID, message, JOB, PROJECT, number=7, **fields).as_event()


def complete(payload: dict[str, Any], **options: Any) -> TaskRun:
    """Resume a deferred sensor, two minutes after its try began."""
    sensor = SaagieJobInstanceSensor(task_id="wait", instance_id=ID, deferrable=True, **options)
    return TaskRun(sensor, age=120).resume_at("execute_complete", event=payload)


def test_target_status_succeeds() -> None:
    for target, status in [("SUCCEEDED", "success"), ("KILLED", "error"), ("UNKNOWN", "error")]:
        run = complete(event(status, instance_status=target), target_statuses=["SKIPPED", target])
        assert (run.error, run.result, run.xcoms) == (None, ID, {"instance_status": target}), target


FAILED = {"instance_status": "FAILED", "reason": "GENERIC_ERROR", "details": "no input"}
FAILURES: list[tuple[dict[str, Any], type[Exception], str]] = [
    (FAILED, errors.SaagieJobFailed, "FAILED (GENERIC_ERROR: no input)"),
    ({"instance_status": "KILLED", "stopped_by": "airflow"}, errors.SaagieInstanceKilled, "KILLED, stopped by airflow"),
    ({"instance_status": "UNKNOWN"}, errors.SaagieInfrastructureError, "UNKNOWN"),
    ({"error_kind": "gone"}, errors.SaagieInstanceGone, ""),
    ({"error_kind": "api"}, errors.SaagieError, ""),
]


def test_other_end_fails_for_good_or_skips() -> None:
    given = {"target_statuses": ["SUCCEEDED", "QUEUED"]}
    for fields, cause, end in FAILURES:
        ended = f"Saagie's instance 7 ended as {end}, not as SUCCEEDED or QUEUED.\n{URL}"
        message = ended if end else "It happened."
        run = complete(event(**fields), **given)
        assert (type(run.error), type(run.error and run.error.__cause__)) == (AirflowFailException, cause), message
        assert str(run.error) == message
        assert run.xcoms.get("instance_status") == fields.get("instance_status"), message
        for option in ("soft_fail", "never_fail"):
            skipped = complete(event(**fields), **given, **{option: True}).error
            assert (type(skipped), str(skipped)) == (AirflowSkipException, message), option
    refused = event(error_kind="auth")
    assert type(complete(refused).error) is type(complete(refused, soft_fail=True).error) is errors.SaagieAuthError
    assert type(complete(refused, never_fail=True).error) is AirflowSkipException


def test_timeout_names_earlier_deadline() -> None:
    for deadlines, kind, error in [
        ({"timeout": 100}, "timeout", AirflowSensorTimeout),
        ({"timeout": 500, "execution_timeout": timedelta(seconds=100)}, "execution_timeout", AirflowTaskTimeout),
    ]:
        late = event("timeout", deadline_kind=kind, instance_status="RUNNING")
        run = complete(late, **deadlines)
        assert type(run.error) is error, kind
        pattern = rf"It happened\. The {kind} of 100 s passed: the try began 1[2-9]\d s ago\."
        assert re.fullmatch(pattern, str(run.error))
        assert type(complete(late, soft_fail=True, **deadlines).error) is AirflowSkipException, kind
