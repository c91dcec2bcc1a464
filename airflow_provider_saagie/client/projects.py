"""The calls about projects and the platform."""

from __future__ import annotations

from typing import Any

from airflow_provider_saagie.client import answers, checks
from airflow_provider_saagie.client.calls import Call, Steps
from airflow_provider_saagie.exceptions import SaagieNotFound

__all__ = ["get_project_id", "get_project_technologies", "listed", "named", "read_platform"]


def read_platform() -> Steps[dict[str, Any]]:
    """Read the platform's id and name (``platform``); null where the platform is not there."""
    data = yield Call("platform")
    return answers.known(data, "platform", operation="platform", what="platform of this number")


def get_project_id(project_name: str) -> Steps[str]:
    """Find a project by its name, in any case (``projects``).

    :raises SaagieNotFound: listing the projects that there are.
    """
    name = checks.text("project_name", project_name)
    projects = answers.rows((yield Call("projects")), "projects")
    found = named(projects, name)
    if found is None:
        raise SaagieNotFound(
            f"projects: the platform has no project named {name!r}, or this login may not see it. "
            f"It sees: {listed(project.get('name') for project in projects)}.",
            operation="projects",
        )
    return str(answers.needed(found, "id", operation="projects"))


def get_project_technologies(project_id: str) -> Steps[dict[str, list[str]]]:
    """Read which technologies a project allows (``project.technologiesByCategory``).

    :return: the ids of the technologies by job category.
    """
    project_id = checks.identifier("project_id", project_id)
    data = yield Call("projectTechnologies", {"projectId": project_id})
    project = answers.known(data, "project", operation="projectTechnologies", what=f"project {project_id}")
    return {
        str(row.get("jobCategory")): [str(technology.get("id")) for technology in answers.rows(row, "technologies")]
        for row in answers.rows(project, "technologiesByCategory")
    }


def named(rows: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """Find the one of a name: to the letter, else in any case, since Saagie lets no two names differ by case alone."""
    exact = [row for row in rows if row.get("name") == name]
    alike = exact or [row for row in rows if str(row.get("name") or "").casefold() == name.casefold()]
    return alike[0] if alike else None


def listed(names: Any, most: int = 20) -> str:
    """Write names for a message: sorted, quoted, not too many."""
    known = sorted({str(name) for name in names if name})
    shown = ", ".join(repr(name) for name in known[:most])
    return (shown + (f" and {len(known) - most} more" if len(known) > most else "")) or "none"
