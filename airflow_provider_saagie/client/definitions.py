"""The calls that read and delete jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_saagie.client import answers, checks
from airflow_provider_saagie.client.calls import Call, Steps
from airflow_provider_saagie.client.instances import with_status
from airflow_provider_saagie.client.projects import get_project_id, listed, named
from airflow_provider_saagie.exceptions import SaagieNotFound

__all__ = [
    "JobSummary",
    "delete",
    "duplicate",
    "find_by_name",
    "generate_description_by_ai",
    "get_id",
    "get_info",
    "get_info_by_alias",
    "list_for_project",
    "list_for_project_minimal",
    "move_job",
    "read_summary",
]


@dataclass(frozen=True)
class JobSummary:
    """What running, watching and linking need to know of a job.

    :param last_number: the number of its newest instance; 0 where it has none.
    """

    id: str
    name: str
    project_id: str
    project_name: str
    is_streaming: bool
    last_number: int

    @classmethod
    def from_answer(cls, row: dict[str, Any]) -> JobSummary:
        """Read the answer to ``jobSummary``."""
        project = row.get("project") or {}
        return cls(
            id=str(row.get("id")),
            name=str(row.get("name")),
            project_id=str(answers.needed(project, "id", operation="jobSummary")),
            project_name=str(project.get("name")),
            is_streaming=bool(row.get("isStreaming")),
            last_number=max((instance.get("number") or 0 for instance in answers.rows(row, "instances")), default=0),
        )


def read_summary(job_id: str) -> Steps[JobSummary]:
    """Read what running a job needs to know of it (``job``)."""
    job_id = checks.identifier("job_id", job_id)
    data = yield Call("jobSummary", {"jobId": job_id})
    return JobSummary.from_answer(answers.known(data, "job", operation="jobSummary", what=f"job {job_id}"))


def list_for_project_minimal(project_id: str) -> Steps[dict[str, Any]]:
    """List ids, names and aliases of a project's jobs (``jobs``)."""
    data = yield Call("jobNames", {"projectId": checks.identifier("project_id", project_id)})
    jobs = answers.known_rows(data, "jobs", operation="jobNames", what=f"project {project_id}")
    return {"jobs": jobs}


def list_for_project(
    project_id: str, instances_limit: int | None, versions_limit: int | None, versions_only_current: bool
) -> Steps[dict[str, Any]]:
    """List a project's jobs with instances and versions (``jobs``)."""
    data = yield Call(
        "jobs",
        {
            "projectId": checks.identifier("project_id", project_id),
            **_limits(instances_limit, versions_limit, versions_only_current),
        },
    )
    jobs = answers.known_rows(data, "jobs", operation="jobs", what=f"project {project_id}")
    return {"jobs": [_as_the_reference_shows(job) for job in jobs]}


def find_by_name(job_name: str, project_id: str) -> Steps[str | None]:
    """Find a job's id by its name in a project, in any case; None where there is none."""
    name = checks.text("job_name", job_name)
    found = named((yield from list_for_project_minimal(project_id))["jobs"], name)
    return str(answers.needed(found, "id", operation="jobNames")) if found else None


def get_id(job_name: str, project_name: str) -> Steps[str]:
    """Find a job's id by its name and its project's name (``projects``, ``jobs``)."""
    name = checks.text("job_name", job_name)
    project_id = yield from get_project_id(project_name)
    jobs = (yield from list_for_project_minimal(project_id))["jobs"]
    found = named(jobs, name)
    if found is None:
        raise SaagieNotFound(
            f"jobs: the project {project_name!r} has no job named {name!r}. "
            f"It has: {listed(job.get('name') for job in jobs)}.",
            operation="jobs",
        )
    return str(answers.needed(found, "id", operation="jobs"))


def get_info(
    job_id: str, instances_limit: int | None, versions_limit: int | None, versions_only_current: bool
) -> Steps[dict[str, Any]]:
    """Read a job with instances and versions (``job``)."""
    job_id = checks.identifier("job_id", job_id)
    data = yield Call("job", {"jobId": job_id, **_limits(instances_limit, versions_limit, versions_only_current)})
    return {"job": _as_the_reference_shows(answers.known(data, "job", operation="job", what=f"job {job_id}"))}


def get_info_by_alias(
    project_id: str,
    job_alias: str,
    instances_limit: int | None,
    versions_limit: int | None,
    versions_only_current: bool,
) -> Steps[dict[str, Any]]:
    """Read a job by its alias (``jobByAlias``)."""
    project_id = checks.identifier("project_id", project_id)
    alias = checks.text("job_alias", job_alias)
    limits = _limits(instances_limit, versions_limit, versions_only_current)
    data = yield Call("jobByAlias", {"projectId": project_id, "alias": alias, **limits})
    what = f"job with the alias {alias!r} in project {project_id}"
    return {"jobByAlias": _as_the_reference_shows(answers.known(data, "jobByAlias", operation="jobByAlias", what=what))}


def delete(job_id: str) -> Steps[dict[str, Any]]:
    """Delete a job with its versions and instances (``deleteJob``)."""
    data = yield Call("deleteJob", {"jobId": checks.identifier("job_id", job_id)})
    return {"deleteJob": answers.changed(data, "deleteJob", operation="deleteJob")}


def duplicate(job_id: str) -> Steps[dict[str, Any]]:
    """Copy a job within its project (``duplicateJob``)."""
    data = yield Call("duplicateJob", {"jobId": checks.identifier("job_id", job_id)})
    return {"duplicateJob": answers.changed(data, "duplicateJob", operation="duplicateJob")}


def move_job(job_id: str, target_platform_id: int, target_project_id: str) -> Steps[dict[str, Any]]:
    """Move a job to another project, which may be on another platform (``moveJob``)."""
    variables = {
        "jobId": checks.identifier("job_id", job_id),
        "targetPlatformId": checks.number("target_platform_id", target_platform_id),
        "targetProjectId": checks.identifier("target_project_id", target_project_id),
    }
    return {"moveJob": answers.changed((yield Call("moveJob", variables)), "moveJob", operation="moveJob")}


def generate_description_by_ai(job_id: str) -> Steps[dict[str, Any]]:
    """Have the platform write the job's description (``editJobWithAiGeneratedDescription``)."""
    operation = "editJobWithAiGeneratedDescription"
    data = yield Call(operation, {"jobId": checks.identifier("job_id", job_id)})
    return {operation: answers.changed(data, operation, operation=operation)}


def _limits(instances_limit: int | None, versions_limit: int | None, only_current: bool) -> dict[str, Any]:
    return {
        "instancesLimit": None if instances_limit is None else checks.number("instances_limit", instances_limit),
        "versionsLimit": None if versions_limit is None else checks.number("versions_limit", versions_limit),
        "versionsOnlyCurrent": checks.flag("versions_only_current", only_current),
    }


def _as_the_reference_shows(job: dict[str, Any]) -> dict[str, Any]:
    """Fill the fields that the schema calls deprecated from their replacements."""
    instances = [with_status(instance) for instance in answers.rows(job, "instances")]
    for instance in instances:
        if isinstance(instance.get("version"), dict):
            instance["version"] = {**instance["version"], "doesUseGPU": job.get("doesUseGPU")}
    return {**job, "instances": instances}
