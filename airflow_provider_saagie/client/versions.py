"""The calls about a job's versions, once they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_saagie.client import answers, checks
from airflow_provider_saagie.client.calls import Call, Steps
from airflow_provider_saagie.client.definitions import get_info
from airflow_provider_saagie.exceptions import SaagieError, SaagieOutcomeUnknown

__all__ = ["JobVersions", "delete_versions", "make_current", "read_versions", "rollback"]


@dataclass(frozen=True)
class JobVersions:
    """Which versions a job has.

    :param numbers: their numbers, the newest first.
    :param current: the number of the one that runs; None where the platform marks none.
    """

    numbers: tuple[int, ...]
    current: int | None

    @property
    def previous(self) -> int | None:
        """The version before the current one; None where there is none."""
        return max((n for n in self.numbers if self.current is not None and n < self.current), default=None)


def read_versions(job_id: str) -> Steps[JobVersions]:
    """Read which versions a job has (``job``)."""
    job = (yield from get_info(job_id, 1, None, versions_only_current=False))["job"]
    rows = [row for row in answers.rows(job, "versions") if isinstance(row.get("number"), int)]
    return JobVersions(
        numbers=tuple(sorted((row["number"] for row in rows), reverse=True)),
        current=next((row["number"] for row in rows if row.get("isCurrent")), None),
    )


def rollback(job_id: str, version_number: str | int) -> Steps[dict[str, Any]]:
    """Make an earlier version the current one (``rollbackJobVersion``).

    :param job_id: the job's UUID.
    :param version_number: the version's number, as a number or as a text.
    """
    variables = {
        "jobId": checks.identifier("job_id", job_id),
        "versionNumber": checks.number("version_number", version_number),
    }
    data = yield Call("rollbackJobVersion", variables)
    what = f"job {job_id}"
    return {"rollbackJobVersion": answers.known(data, "rollbackJobVersion", operation="rollbackJobVersion", what=what)}


def make_current(job_id: str, version_number: int) -> Steps[None]:
    """Make a version the current one, also where an answer is lost: naming it twice does no harm.

    :param job_id: the job's UUID.
    :param version_number: the version's number.
    :raises SaagieError: the kind that fits.
    """
    try:
        yield from rollback(job_id, version_number)
    except SaagieOutcomeUnknown as lost:
        try:
            there = yield from read_versions(job_id)
        except SaagieError as unreadable:
            raise lost from unreadable
        if there.current != version_number:
            yield from rollback(job_id, version_number)


def delete_versions(job_id: str, versions: list[str] | list[int]) -> Steps[dict[str, Any]]:
    """Delete versions that are not the current one (``deleteJobVersions``); the answer says of each whether it went.

    :param job_id: the job's UUID.
    :param versions: the versions' numbers, as numbers or as texts.
    """
    variables = {
        "jobId": checks.identifier("job_id", job_id),
        "jobVersionNumbers": checks.numbers("versions", versions),
    }
    operation = "deleteJobVersions"
    return {operation: answers.changed((yield Call(operation, variables)), operation, operation=operation)}
