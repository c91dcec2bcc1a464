"""The platform and its projects."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ariadne import MutationType, ObjectType, QueryType

from airflow_provider_saagie.emulator import catalogue
from airflow_provider_saagie.emulator.errors import InvalidError, RefusedError
from airflow_provider_saagie.emulator.resolvers.files import tidied
from airflow_provider_saagie.emulator.store import instances, jobs, projects, versions

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.resolvers.context import Info
    from airflow_provider_saagie.emulator.store.records import Job, Project

query = QueryType()
mutation = MutationType()
project_type = ObjectType("Project")


@query.field("platform")
def platform(_: object, info: Info) -> dict[str, Any]:
    """Describe the platform."""
    context = info.context
    return {
        "id": context.platform,
        "name": f"Platform {context.platform}",
        "counts": {
            "projects": len(projects.list_projects(context.database, context.platform)),
            "jobs": jobs.count_jobs_of_platform(context.database, context.platform),
            "apps": 0,
            "pipelines": 0,
        },
    }


@query.field("projects")
def all_projects(_: object, info: Info, **_not_implemented: object) -> list[Project]:
    """List the platform's projects; like the platform, this heeds none of its arguments."""
    context = info.context
    return projects.list_projects(context.database, context.platform)


@query.field("project")
def one_project(_: object, info: Info, id: str) -> Project | None:  # noqa: A002, the schema's name
    """Look up a project."""
    context = info.context
    return projects.find_project(context.database, context.platform, id)


@query.field("projectByName")
def project_by_name(_: object, info: Info, name: str) -> Project | None:
    """Look up a project by name."""
    context = info.context
    return projects.find_project_by_name(context.database, context.platform, name)


@query.field("technologiesByCategory")
def allowed_technologies(
    _: object, info: Info, project_id: str, job_category: str | None = None
) -> list[dict[str, Any]]:
    """List what a project allows."""
    context = info.context
    found = projects.require_project(context.database, context.platform, project_id)
    return [one for one in technologies(found, info) if job_category in (None, one["job_category"])]


@query.field("rights")
def rights(_: object, info: Info, project_id: str) -> list[dict[str, Any]]:
    """List who may see a project."""
    context = info.context
    projects.require_project(context.database, context.platform, project_id)
    return [
        {"name": name, "role": role, "is_all_projects": False}
        for name, role in projects.groups(context.database, project_id)
    ]


@query.field("jobCategories")
def job_categories(*_: object) -> tuple[str, ...]:
    """List the job categories."""
    return catalogue.CATEGORIES


@query.field("usersByRealm")
def users(_: object, info: Info) -> list[dict[str, str]]:
    """List the realm's users: the one login."""
    login = info.context.settings.login
    return [{"login": login, "email": f"{login}@example.org"}]


@query.field("getClusterCapacity")
def cluster_capacity(*_: object) -> list[dict[str, float]]:
    """Describe the machine that would run the jobs."""
    return [{"cpu": 4.0, "gpu": 0.0, "memory": 16.0}]


@mutation.field("createProject")
def create_project(_: object, info: Info, project: dict[str, Any]) -> Project:
    """Make a project."""
    context = info.context
    return projects.create_project(
        context.database,
        context.platform,
        project["name"],
        context.login,
        project.get("description"),
        _chosen_technologies(project) or {},
        _chosen_app_technologies(project) or (),
        _chosen_groups(project),
    )


@mutation.field("editProject")
def edit_project(_: object, info: Info, project: dict[str, Any]) -> Project:
    """Change a project."""
    context = info.context
    return projects.edit_project(
        context.database,
        projects.require_project(context.database, context.platform, project["id"]),
        project.get("name"),
        project.get("description"),
        _chosen_technologies(project),
        _chosen_app_technologies(project),
        _chosen_groups(project),
    )


@mutation.field("deleteProject")
def delete_project(_: object, info: Info, project_id: str) -> bool:
    """Delete a project; what runs in it is stopped."""
    context = info.context
    projects.require_project(context.database, context.platform, project_id)
    found = jobs.list_jobs(context.database, project_id)
    for job in found:
        for instance in instances.list_instances(context.database, job.id):
            if instance.ended_at is None:
                with suppress(RefusedError):  # it has ended in this moment
                    instances.ask_to_stop(context.database, instance.id, context.login)
                    context.engine.stop(instance.id)
    with tidied(context, [key for job in found for key in versions.artifacts_of(context.database, job.id)]):
        projects.delete_project(context.database, project_id)
    return True


@project_type.field("jobsCount")
def jobs_count(found: Project, info: Info) -> int:
    """Count a project's jobs."""
    return jobs.count_jobs(info.context.database, found.id)


@project_type.field("jobs")
def jobs_of(found: Project, info: Info, limit: int | None = None) -> list[Job]:
    """List a project's jobs."""
    return jobs.list_jobs(info.context.database, found.id)[:limit]


@project_type.field("technologiesByCategory")
def technologies(found: Project, info: Info) -> list[dict[str, Any]]:
    """List what a project allows for jobs."""
    allowed = projects.technologies_by_category(info.context.database, found.id)
    return [
        {"job_category": category, "technologies": [{"id": one} for one in allowed.get(category, ())]}
        for category in catalogue.CATEGORIES
    ]


@project_type.field("appTechnologies")
def technologies_for_apps(found: Project, info: Info) -> list[dict[str, str]]:
    """List what a project allows for apps."""
    return [{"id": one} for one in projects.app_technologies(info.context.database, found.id)]


for _name, _value in {"status": "READY", "apps": (), "pipelines": ()}.items():
    project_type.set_field(_name, lambda *_, value=_value: value)


def _chosen_technologies(project: dict[str, Any]) -> dict[str, list[str]] | None:
    given = project.get("technologies_by_category")
    if given is None:
        return None
    chosen: dict[str, list[str]] = {}
    for entry in given:
        if entry["job_category"] not in catalogue.CATEGORIES:
            raise InvalidError(f"There is no job category {entry['job_category']!r}")
        chosen.setdefault(entry["job_category"], []).extend(_known(entry.get("technologies"), for_apps=False))
    return chosen


def _chosen_app_technologies(project: dict[str, Any]) -> list[str] | None:
    given = project.get("app_technologies")
    return None if given is None else _known(given, for_apps=True)


def _known(given: list[dict[str, str]] | None, for_apps: bool) -> list[str]:
    ids = [entry["id"] for entry in given or ()]
    for one in ids:
        technology = catalogue.technologies().get(one)
        if technology is None or (technology.kind == "AppTechnology") is not for_apps:
            raise InvalidError(f"Technology {one} does not exist or can't be used here")
    return ids


def _chosen_groups(project: dict[str, Any]) -> dict[str, str | None] | None:
    given = project.get("authorized_groups")
    return None if given is None else {group["name"]: group.get("role") for group in given if group}


BINDABLES = (query, mutation, project_type)
