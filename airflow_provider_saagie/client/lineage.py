"""What is told of a run to those who collect lineage: which job, which version of it, which instance."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_saagie.client import checks
from airflow_provider_saagie.client.calls import Call, Steps

__all__ = ["RunDescription", "describe_run"]


@dataclass(frozen=True)
class RunDescription:
    """A run, as far as the platform tells; each field may be None.

    :param source_url: where the version's source is, as its author gave it.
    """

    job_name: str | None = None
    project_name: str | None = None
    version_number: int | None = None
    source_url: str | None = None
    instance_number: int | None = None
    status: str | None = None


def describe_run(job_id: str, job_instance_id: str) -> Steps[RunDescription]:
    """Describe a run in one request (``job`` and ``jobInstance``)."""
    variables = {
        "jobId": checks.identifier("job_id", job_id),
        "jobInstanceId": checks.identifier("job_instance_id", job_instance_id),
    }
    data = yield Call("runLineage", variables)
    job = data.get("job") or {}
    instance = data.get("jobInstance") or {}
    version = instance.get("version") or {}
    return RunDescription(
        job_name=job.get("name"),
        project_name=(job.get("project") or {}).get("name"),
        version_number=version.get("number"),
        source_url=version.get("sourceUrl") or None,
        instance_number=instance.get("number"),
        status=((instance.get("history") or {}).get("currentStatus") or {}).get("status"),
    )
