"""The calls about a job's versions, once they are made."""

from __future__ import annotations

from typing import Any

from airflow_provider_saagie.client import answers, checks
from airflow_provider_saagie.client.calls import Call, Steps

__all__ = ["delete_versions", "rollback"]


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


def delete_versions(job_id: str, versions: list[str] | list[int]) -> Steps[dict[str, Any]]:
    """Delete versions that are not the current one (``deleteJobVersions``); the answer says of each whether it went.

    :param job_id: the job's UUID.
    :param versions: the versions' numbers, as numbers or as texts.
    """
    variables = {
        "jobId": checks.identifier("job_id", job_id),
        "jobVersionNumbers": checks.numbers("versions", versions),
    }
    return (yield Call("deleteJobVersions", variables))
