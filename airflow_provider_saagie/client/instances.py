"""The calls about a job's instances, and the record that our own code reads of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_saagie.client import answers, checks
from airflow_provider_saagie.client.calls import Call, Pause, Steps

__all__ = [
    "JobInstance",
    "count_by_date",
    "count_by_selector",
    "delete_instances",
    "delete_instances_by_date",
    "delete_instances_by_selector",
    "get_instance",
    "list_instances",
    "list_newer",
    "read_instance",
    "read_twice",
    "run",
    "stop",
    "with_status",
]

PAGE = 100
SECOND_LOOK = 2.0
"""Seconds until an instance that the platform did not have is looked for again."""
SELECTORS = ("ALL", "SUCCEEDED", "FAILED", "STOPPED", "UNKNOWN")


@dataclass(frozen=True)
class JobInstance:
    """An instance as we watch it.

    :param status: as the platform writes it; it may know statuses that we don't.
    :param reason: why it came to this status, where the platform says.
    :param run_by: the login that started it, where a person or a client did.
    :param is_authored: whether a login started it, and no schedule or pipeline; None where the platform doesn't say.
    :param stopped_by: the login that stopped it, where one did.
    :param status_since: when it came to its status, as the platform writes it.
    :param created_at: when it was made, as the platform writes it; None where that was not asked for.
    :param outputs: the variables that the job hands on, passwords left out; None where none were read.
    """

    id: str
    number: int | None
    job_id: str | None
    status: str
    reason: str | None = None
    details: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    run_by: str | None = None
    is_authored: bool | None = None
    stopped_by: str | None = None
    status_since: str | None = None
    created_at: str | None = None
    outputs: dict[str, str | None] | None = None

    @classmethod
    def from_answer(cls, row: Mapping[str, Any]) -> JobInstance:
        """Read the fragment ``WatchedInstance``; whatever is null reads as UNKNOWN or None.

        :raises TypeError: where a field is of another kind than the schema's.
        """
        history = row.get("history") or {}
        current = history.get("currentStatus") or {}
        moments = [record["recordAt"] for record in history.get("statuses") or () if record and record.get("recordAt")]
        run_trigger = row.get("runTrigger") or {}
        variables = row.get("executionVariablesOutput")
        number, status, reason = row.get("number"), current.get("status") or "UNKNOWN", current.get("reason")
        if not (isinstance(status, str) and isinstance(reason, str | None) and isinstance(number, int | None)):
            raise TypeError("an instance's status, reason or number is of another kind than the schema's")
        return cls(
            id=str(row.get("id")),
            number=number,
            job_id=row.get("jobId"),
            status=status,
            reason=reason,
            details=current.get("details"),
            start_time=row.get("startTime"),
            end_time=row.get("endTime"),
            run_by=run_trigger.get("author"),
            is_authored=run_trigger["__typename"] == "AuthoredTrigger" if "__typename" in run_trigger else None,
            stopped_by=(row.get("stopTrigger") or {}).get("author"),
            status_since=current.get("recordAt"),
            created_at=min(moments) if moments else None,
            outputs={v["key"]: v.get("value") for v in variables if v and not v.get("isPassword")}
            if variables
            else None,
        )

    def is_told_by(self, row: object) -> bool:
        """Say whether an answer tells of this very state, as far as one is watched; much cheaper than to read it."""
        try:
            current = row["history"]["currentStatus"]  # type: ignore[index]  # whatever is amiss is caught below
            stopped = row["stopTrigger"]  # type: ignore[index]
            return (
                current["recordAt"] == self.status_since
                and current["status"] == self.status
                and current["reason"] == self.reason
                and current["details"] == self.details
                and row["endTime"] == self.end_time  # type: ignore[index]
                and row["startTime"] == self.start_time  # type: ignore[index]
                and row["id"] == self.id  # type: ignore[index]
                and (stopped["author"] if stopped else None) == self.stopped_by
            )
        except (KeyError, TypeError, IndexError):
            return False


def with_status(instance: dict[str, Any]) -> dict[str, Any]:
    """Fill the deprecated field ``status`` from its replacement, as the reference shows it."""
    current = (instance.get("history") or {}).get("currentStatus") or {}
    return {"id": instance.get("id"), "status": current.get("status"), **instance}


def get_instance(job_instance_id: str) -> Steps[dict[str, Any]]:
    """Read an instance as the reference shows it (``jobInstance``)."""
    instance_id = checks.identifier("job_instance_id", job_instance_id)
    data = yield Call("jobInstance", {"jobInstanceId": instance_id})
    found = answers.known(data, "jobInstance", operation="jobInstance", what=f"job instance {instance_id}")
    return {"jobInstance": with_status(found)}


def read_instance(job_instance_id: str) -> Steps[JobInstance | None]:
    """Read an instance as a record (``jobInstance``); None where it is gone."""
    instance_id = checks.identifier("job_instance_id", job_instance_id)
    row = (yield Call("watchedInstance", {"jobInstanceId": instance_id})).get("jobInstance")
    return JobInstance.from_answer(row) if row else None


def read_twice(job_instance_id: str) -> Steps[JobInstance | None]:
    """Read an instance that is thought to be there: it is gone only where it is null twice."""
    found = yield from read_instance(job_instance_id)
    if found is None:
        yield Pause(SECOND_LOOK)
        found = yield from read_instance(job_instance_id)
    return found


def list_instances(job_id: str, *, limit: int, skip: int = 0) -> Steps[list[JobInstance]]:
    """Read a job's newest instances (``job.instances``), the newest first."""
    job_id = checks.identifier("job_id", job_id)
    data = yield Call("jobInstances", {"jobId": job_id, "limit": limit, "skip": skip})
    job = answers.known(data, "job", operation="jobInstances", what=f"job {job_id}")
    return [JobInstance.from_answer(row) for row in answers.rows(job, "instances")]


def list_newer(job_id: str, number: int) -> Steps[list[JobInstance]]:
    """Read a job's instances above a number, with the time when each was made (``job.instances``)."""
    found: dict[str, JobInstance] = {}
    skip = 0
    while True:
        variables = {"jobId": checks.identifier("job_id", job_id), "limit": PAGE, "skip": skip}
        data = yield Call("submittedInstances", variables)
        job = answers.known(data, "job", operation="submittedInstances", what=f"job {job_id}")
        page = [JobInstance.from_answer(row) for row in answers.rows(job, "instances")]
        found |= {one.id: one for one in page}  # instances that start meanwhile move the pages: none counts twice
        if len(page) < PAGE or any(one.number is not None and one.number <= number for one in page):
            return [one for one in found.values() if one.number is None or one.number > number]
        skip += PAGE


def run(job_id: str, *, before_send: Callable[[], None] | None = None) -> Steps[dict[str, Any]]:
    """Start a job (``runJob``).

    :param before_send: called before each time that it is sent.
    :raises SaagieOutcomeUnknown: where the answer was lost: look at the job's instances before you try again.
    """
    data = yield Call("runJob", {"jobId": checks.identifier("job_id", job_id)}, before_send=before_send)
    started = answers.changed(data, "runJob", operation="runJob", kind=dict)
    answers.changed(started, "id", operation="runJob", kind=str)
    return {"runJob": {"id": started["id"], "status": with_status(started)["status"]}}


def stop(job_instance_id: str) -> Steps[dict[str, Any]]:
    """Ask for an instance to be stopped (``stopJobInstance``)."""
    data = yield Call("stopJobInstance", {"jobInstanceId": checks.identifier("job_instance_id", job_instance_id)})
    return {"stopJobInstance": with_status(answers.changed(data, "stopJobInstance", operation="stopJobInstance"))}


def count_by_selector(job_id: str) -> Steps[dict[str, Any]]:
    """Count the instances that could be deleted, by selector (``countJobInstancesBySelector``)."""
    operation, job_id = "countJobInstancesBySelector", checks.identifier("job_id", job_id)
    data = yield Call(operation, {"jobId": job_id})
    return {operation: answers.known_rows(data, operation, operation=operation, what=f"job {job_id}")}


def count_by_date(job_id: str, date_before: str) -> Steps[dict[str, Any]]:
    """Count the instances before a date that could be deleted (``countJobInstancesByDate``)."""
    variables = {"jobId": checks.identifier("job_id", job_id), "beforeAt": checks.date_before(date_before)}
    operation = "countJobInstancesByDate"
    return {operation: answers.needed((yield Call(operation, variables)), operation, operation=operation)}


def delete_instances(job_id: str, job_instances_id: list[str]) -> Steps[dict[str, Any]]:
    """Delete instances (``deleteJobInstances``); the answer says of each whether it went."""
    ids = checks.identifiers("job_instances_id", job_instances_id, may_be_none=False)
    job_id = checks.identifier("job_id", job_id)
    return (yield from _change("deleteJobInstances", {"jobId": job_id, "jobInstanceIds": ids}))


def delete_instances_by_selector(
    job_id: str, selector: str, exclude_instances_id: list[str] | None, include_instances_id: list[str] | None
) -> Steps[dict[str, Any]]:
    """Delete instances by how they ended (``deleteJobInstancesBySelector``)."""
    variables = {
        "jobId": checks.identifier("job_id", job_id),
        "selector": checks.one_of("selector", selector, SELECTORS),
        **_exceptions(exclude_instances_id, include_instances_id),
    }
    return (yield from _change("deleteJobInstancesBySelector", variables))


def delete_instances_by_date(
    job_id: str, date_before: str, exclude_instances_id: list[str] | None, include_instances_id: list[str] | None
) -> Steps[dict[str, Any]]:
    """Delete instances that started before a date (``deleteJobInstancesByDate``)."""
    variables = {
        "jobId": checks.identifier("job_id", job_id),
        "beforeAt": checks.date_before(date_before),
        **_exceptions(exclude_instances_id, include_instances_id),
    }
    return (yield from _change("deleteJobInstancesByDate", variables))


def _exceptions(exclude: list[str] | None, include: list[str] | None) -> dict[str, list[str]]:
    return {
        "excludeJobInstanceIds": checks.identifiers("exclude_instances_id", exclude),
        "includeJobInstanceIds": checks.identifiers("include_instances_id", include),
    }


def _change(operation: str, variables: dict[str, Any]) -> Steps[dict[str, Any]]:
    return {operation: answers.changed((yield Call(operation, variables)), operation, operation=operation)}
