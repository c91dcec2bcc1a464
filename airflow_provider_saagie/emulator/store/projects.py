"""Projects and the technologies that they allow."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from airflow_provider_saagie.emulator.clock import now_ms
from airflow_provider_saagie.emulator.errors import InvalidError, NotFoundError
from airflow_provider_saagie.emulator.store.records import Project

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from airflow_provider_saagie.emulator.store.database import Database

_PROJECT = "SELECT id, platform, name, creator, description, created_at FROM projects "
_APPS = ""  # the category under which a project's app technologies are kept


def create_project(
    database: Database,
    platform: int,
    name: str,
    creator: str,
    description: str | None = None,
    technologies: Mapping[str, Iterable[str]] | None = None,
    app_technologies: Iterable[str] = (),
    groups: Mapping[str, str | None] | None = None,
) -> Project:
    """Make a project.

    :param platform: the platform's number.
    :param name: unique in the platform, whatever its case.
    :param creator: a login.
    :param description: free text.
    :param technologies: for each job category the ids of what it allows.
    :param app_technologies: ids of what it allows for apps.
    :param groups: the role of each group that may see it.
    :return: the project.
    :raises InvalidError: where the name is empty, too long or taken.
    """
    project_id = str(uuid.uuid4())
    with database.writing() as connection:
        _check_name(database, platform, name, except_id=None)
        connection.execute(
            "INSERT INTO projects (id, platform, name, name_key, creator, description, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (project_id, platform, name.strip(), name.strip().casefold(), creator, description, now_ms()),
        )
        for category, ids in (technologies or {}).items():
            _allow(connection, project_id, category, ids)
        _allow(connection, project_id, _APPS, app_technologies)
        _authorize(connection, project_id, groups or {})
    return require_project(database, platform, project_id)


def edit_project(
    database: Database,
    project: Project,
    name: str | None = None,
    description: str | None = None,
    technologies: Mapping[str, Iterable[str]] | None = None,
    app_technologies: Iterable[str] | None = None,
    groups: Mapping[str, str | None] | None = None,
) -> Project:
    """Change what is given; None leaves a thing as it is.

    :param project: the project as it is.
    :param name: as for `create_project`.
    :param description: as for `create_project`.
    :param technologies: the new whole of what it allows.
    :param app_technologies: the new whole of what it allows for apps.
    :param groups: the new whole of its groups.
    :return: the project as it is now.
    :raises InvalidError: where the name is empty, too long or taken.
    """
    with database.writing() as connection:
        if name is not None:
            _check_name(database, project.platform, name, except_id=project.id)
            connection.execute(
                "UPDATE projects SET name = ?, name_key = ? WHERE id = ?",
                (name.strip(), name.strip().casefold(), project.id),
            )
        if description is not None:
            connection.execute("UPDATE projects SET description = ? WHERE id = ?", (description, project.id))
        if technologies is not None:
            connection.execute(
                "DELETE FROM project_technologies WHERE project_id = ? AND category <> ?", (project.id, _APPS)
            )
            for category, ids in technologies.items():
                _allow(connection, project.id, category, ids)
        if app_technologies is not None:
            connection.execute(
                "DELETE FROM project_technologies WHERE project_id = ? AND category = ?", (project.id, _APPS)
            )
            _allow(connection, project.id, _APPS, app_technologies)
        if groups is not None:
            connection.execute("DELETE FROM project_groups WHERE project_id = ?", (project.id,))
            _authorize(connection, project.id, groups)
    return require_project(database, project.platform, project.id)


def delete_project(database: Database, project_id: str) -> None:
    """Delete a project and all that is in it.

    :param project_id: its id.
    """
    with database.writing() as connection:
        connection.execute("DELETE FROM projects WHERE id = ?", (project_id,))


def list_projects(database: Database, platform: int) -> list[Project]:
    """List a platform's projects by name.

    :param platform: the platform's number.
    :return: all of them.
    """
    sql = _PROJECT + "WHERE platform = ? ORDER BY name_key"
    return [Project(*row) for row in database.rows(sql, (platform,))]


def find_project(database: Database, platform: int, project_id: str) -> Project | None:
    """Look up a project by its id.

    :param platform: the platform's number.
    :param project_id: its id.
    :return: the project, or None.
    """
    sql = _PROJECT + "WHERE id = ? AND platform = ?"
    row = database.row(sql, (project_id, platform))
    return Project(*row) if row else None


def require_project(database: Database, platform: int, project_id: str) -> Project:
    """Look up a project that has to exist.

    :param platform: the platform's number.
    :param project_id: its id.
    :return: the project.
    :raises NotFoundError: where there is none.
    """
    project = find_project(database, platform, project_id)
    if project is None:
        raise NotFoundError(f"Project {project_id} does not exist on platform {platform}")
    return project


def find_project_by_name(database: Database, platform: int, name: str) -> Project | None:
    """Look up a project by its name, whatever its case.

    :param platform: the platform's number.
    :param name: its name.
    :return: the project, or None.
    """
    sql = _PROJECT + "WHERE platform = ? AND name_key = ?"
    row = database.row(sql, (platform, name.strip().casefold()))
    return Project(*row) if row else None


def technologies_by_category(database: Database, project_id: str) -> dict[str, list[str]]:
    """Tell what a project allows for jobs.

    :param project_id: its id.
    :return: for each category the technologies' ids.
    """
    found: dict[str, list[str]] = {}
    for category, technology in database.rows(
        "SELECT category, technology_id FROM project_technologies WHERE project_id = ? AND category <> ?",
        (project_id, _APPS),
    ):
        found.setdefault(category, []).append(technology)
    return found


def app_technologies(database: Database, project_id: str) -> list[str]:
    """Tell what a project allows for apps.

    :param project_id: its id.
    :return: the technologies' ids.
    """
    sql = "SELECT technology_id FROM project_technologies WHERE project_id = ? AND category = ?"
    return [row[0] for row in database.rows(sql, (project_id, _APPS))]


def groups(database: Database, project_id: str) -> list[tuple[str, str | None]]:
    """Tell who may see a project.

    :param project_id: its id.
    :return: each group's name and role.
    """
    return [
        (name, role)
        for name, role in database.rows("SELECT name, role FROM project_groups WHERE project_id = ?", (project_id,))
    ]


def _allow(connection: sqlite3.Connection, project_id: str, category: str, ids: Iterable[str]) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO project_technologies VALUES (?, ?, ?)", [(project_id, category, one) for one in ids]
    )


def _authorize(connection: sqlite3.Connection, project_id: str, roles: Mapping[str, str | None]) -> None:
    connection.executemany(
        "INSERT INTO project_groups VALUES (?, ?, ?)", [(project_id, name, role) for name, role in roles.items()]
    )


def _check_name(database: Database, platform: int, name: str, except_id: str | None) -> None:
    if not name.strip() or len(name) >= 255:
        raise InvalidError("A project's name must not be empty and must be shorter than 255 characters")
    namesake = find_project_by_name(database, platform, name)
    if namesake is not None and namesake.id != except_id:
        raise InvalidError(f"A project named {name.strip()!r} exists already on platform {platform}")
