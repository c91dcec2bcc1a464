"""Jobs: asking for them, making, changing, moving and deleting them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ariadne import MutationType, ObjectType, QueryType

from airflow_provider_saagie.emulator import catalogue
from airflow_provider_saagie.emulator.clock import now_ms
from airflow_provider_saagie.emulator.engine.schedule import next_tick
from airflow_provider_saagie.emulator.errors import InvalidError, RefusedError
from airflow_provider_saagie.emulator.resolvers.files import tidied
from airflow_provider_saagie.emulator.resolvers.versions import as_new_version, copied
from airflow_provider_saagie.emulator.store import instances, jobs, projects, versions

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.resolvers.context import Context, Info
    from airflow_provider_saagie.emulator.store.records import Instance, Job, Project, Version

query = QueryType()
mutation = MutationType()
job_type = ObjectType("Job")

# How the schema's settings of a job are called in the store.
_SETTINGS = {
    "name": "name",
    "alias": "alias",
    "description": "description",
    "is_scheduled": "is_scheduled",
    "cron_scheduling": "cron",
    "schedule_timezone": "timezone",
    "is_streaming": "is_streaming",
    "does_use_gpu": "uses_gpu",
    "alerting": "alerting",
    "resources": "resources",
}
_NEVER_NULL = ("name", "alias", "is_scheduled", "is_streaming", "uses_gpu")


@query.field("jobs")
def all_jobs(
    _: object, info: Info, project_id: str, category: str | None = None, technology_id: str | None = None
) -> list[Job]:
    """List a project's jobs."""
    context = info.context
    projects.require_project(context.database, context.platform, project_id)
    return jobs.list_jobs(context.database, project_id, category, technology_id)


@query.field("job")
def one_job(_: object, info: Info, id: str) -> Job | None:  # noqa: A002, the schema's name
    """Look up a job."""
    context = info.context
    return jobs.find_job(context.database, context.platform, id)


@query.field("jobByAlias")
def job_by_alias(_: object, info: Info, project_id: str, alias: str) -> Job | None:
    """Look up a job by its alias."""
    context = info.context
    return jobs.find_job_by_alias(context.database, context.platform, project_id, alias)


@mutation.field("createJob")
def create_job(_: object, info: Info, job: dict[str, Any], job_version: dict[str, Any], file: Any = None) -> Job:
    """Make a job with its first version."""
    context = info.context
    project = projects.require_project(context.database, context.platform, job["project_id"])
    category, technology_id = job["category"], job["technology"]["id"]
    check_allowed(context, project.id, category, technology_id)
    jobs.check_name(context.database, project.id, job["name"], except_id=None)  # before a file is stored
    version = as_new_version(context, technology_id, job_version, file, previous=None)
    with tidied(context, [version.artifact]), context.database.writing():
        created = jobs.create_job(
            context.database,
            jobs.NewJob(project_id=project.id, category=category, technology_id=technology_id, **_given(job)),
        )
        versions.add_version(context.database, created.id, version)
    return created


@mutation.field("editJob")
def edit_job(_: object, info: Info, job: dict[str, Any]) -> Job:
    """Change what is given of a job."""
    context = info.context
    found = jobs.require_job(context.database, context.platform, job["id"])
    return jobs.edit_job(context.database, found, _given(job))


@mutation.field("deleteJob")
def delete_job(_: object, info: Info, job_id: str) -> bool:
    """Delete a job that has no instance on its way."""
    context = info.context
    jobs.require_job(context.database, context.platform, job_id)
    with tidied(context, versions.artifacts_of(context.database, job_id)):
        jobs.delete_job(context.database, job_id)
    return True


@mutation.field("duplicateJob")
def duplicate_job(_: object, info: Info, original_job_id: str) -> Job:
    """Copy a job, with its current version, inside its project."""
    context = info.context
    original = jobs.require_job(context.database, context.platform, original_job_id)
    with context.database.writing():
        copy = jobs.create_job(
            context.database,
            _like(
                original,
                project_id=original.project_id,
                name=jobs.free_name(context.database, original.project_id, f"Copy of {original.name}"),
                alias=None,
                is_scheduled=False,
                original_job_id=original.id,
            ),
        )
        version = versions.current_version(context.database, original.id)
        versions.add_version(context.database, copy.id, copied(version, context.login))
    return copy


@mutation.field("moveJob")
def move_job(
    _: object,
    info: Info,
    job_id: str,
    target_platform_id: int,
    target_project_id: str,
    target_category: str | None = None,
) -> str:
    """Move a job, with all its versions, to another project; its id changes."""
    context = info.context
    job = jobs.require_job(context.database, context.platform, job_id)
    target = projects.require_project(context.database, target_platform_id, target_project_id)
    if target.id == job.project_id:
        raise RefusedError(f"Job {job_id} is in project {target.id} already")
    if job.is_scheduled or job.is_streaming:
        raise RefusedError(f"Job {job_id} is scheduled or streaming and can't be moved")
    category = target_category or job.category
    check_allowed(context, target.id, category, job.technology_id)
    with context.database.writing():
        kept = reversed(versions.list_versions(context.database, job.id))
        moved = jobs.create_job(
            context.database, _like(job, project_id=target.id, category=category, name=job.name, alias=None)
        )
        for version in kept:
            added = versions.add_version(context.database, moved.id, copied(version, version.creator))
            if version.is_current:
                current = added.number
        versions.make_current(context.database, moved.id, current)
        jobs.delete_job(context.database, job.id)
    return moved.id


@job_type.field("project")
def project_of(job: Job, info: Info) -> Project:
    """Look up a job's project."""
    context = info.context
    return projects.require_project(context.database, context.platform, job.project_id)


@job_type.field("instances")
def instances_of(
    job: Job,
    info: Info,
    limit: int | None = None,
    skip: int | None = None,
    last_execution: bool | None = None,
    check_in_pipeline_instance: bool | None = None,  # noqa: ARG001, deprecated: the platform heeds it no more
) -> list[Instance]:
    """List a job's instances, newest first."""
    wanted = 1 if last_execution else limit
    return instances.list_instances(info.context.database, job.id, wanted, skip or 0)


@job_type.field("versions")
def versions_of(job: Job, info: Info, limit: int | None = None, only_current: bool | None = None) -> list[Version]:
    """List a job's versions, newest first."""
    return versions.list_versions(info.context.database, job.id, limit, bool(only_current))


@job_type.field("countJobInstance")
def count_instances(job: Job, info: Info) -> int:
    """Count a job's instances."""
    return instances.count_instances(info.context.database, job.id)


@job_type.field("alerting")
def alerting(job: Job, info: Info) -> dict[str, Any] | None:
    """Tell who is told about what."""
    if job.alerting is None:
        return None
    login = info.context.settings.login
    return {
        "emails": job.alerting.get("emails") or [],
        "status_list": job.alerting["status_list"],
        "login_emails": [
            {"login": one, "email": f"{one}@example.org"} for one in job.alerting.get("logins") or () if one == login
        ],
    }


@job_type.field("scheduleStatus")
def schedule_status(job: Job, *_: object) -> str | None:
    """Tell whether a job's schedule will start it."""
    if not job.is_scheduled:
        return None
    return "READY" if next_tick(job.cron or "", job.timezone, now_ms()) else "IMPOSSIBLE_TO_SCHEDULE"


@job_type.field("deletableState")
def deletable_state(job: Job, info: Info) -> dict[str, Any]:
    """Tell whether a job can be deleted, and why not."""
    reasons = [] if is_deletable(job, info) else ["HAS_UNFINISHED_INSTANCES"]
    return {"deletable": not reasons, "reasons": reasons}


@job_type.field("isDeletable")
def is_deletable(job: Job, info: Info) -> bool:
    """Tell whether a job can be deleted."""
    return not jobs.has_unfinished(info.context.database, job.id)


# Fields that are called otherwise in the store, or that are always the same here.
for _name, _resolve in {
    "technology": lambda job, *_: {"id": job.technology_id},
    "cronScheduling": lambda job, *_: job.cron,
    "scheduleTimezone": lambda job, *_: job.timezone,
    "doesUseGPU": lambda job, *_: job.uses_gpu,
    "creationDate": lambda job, *_: job.created_at,
    "pipelines": lambda *_, **__: (),
    "graphPipelines": lambda *_, **__: (),
}.items():
    job_type.set_field(_name, _resolve)


def check_allowed(context: Context, project_id: str, category: str, technology_id: str) -> None:
    """Check that a project allows a technology in a category.

    :param context: the request's context.
    :param project_id: the project's id.
    :param category: a job category.
    :param technology_id: the technology's id.
    :raises InvalidError: where it does not.
    """
    if category not in catalogue.CATEGORIES:
        raise InvalidError(f"There is no job category {category!r}")
    if technology_id not in projects.technologies_by_category(context.database, project_id).get(category, ()):
        raise InvalidError(f"Technology {technology_id} is not allowed in category {category!r} of this project")


def _given(job: dict[str, Any]) -> dict[str, Any]:
    """Take what was sent of a job's settings; a null for what can't be null counts as not sent."""
    found = {ours: job[theirs] for theirs, ours in _SETTINGS.items() if theirs in job}
    return {name: value for name, value in found.items() if value is not None or name not in _NEVER_NULL}


def _like(job: Job, **changes: Any) -> jobs.NewJob:
    same = jobs.NewJob(
        project_id=job.project_id,
        name=job.name,
        category=job.category,
        technology_id=job.technology_id,
        alias=job.alias,
        description=job.description,
        is_scheduled=job.is_scheduled,
        cron=job.cron,
        timezone=job.timezone,
        is_streaming=job.is_streaming,
        uses_gpu=job.uses_gpu,
        alerting=job.alerting,
        resources=job.resources,
    )
    return replace(same, **changes)


BINDABLES = (query, mutation, job_type)
