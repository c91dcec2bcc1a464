"""Jobs."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.emulator.clock import now_ms
from airflow_provider_saagie.emulator.errors import InvalidError, NotFoundError, RefusedError
from airflow_provider_saagie.emulator.store.database import packed, unpacked
from airflow_provider_saagie.emulator.store.instances import settle
from airflow_provider_saagie.emulator.store.records import Job

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from airflow_provider_saagie.emulator.store.database import Database

_JOB = (
    "SELECT jobs.id, project_id, jobs.name, alias, jobs.description, category, technology_id, is_scheduled, cron,"
    " timezone, is_streaming, uses_gpu, alerting, resources, original_job_id, jobs.created_at FROM jobs "
)
_ON_PLATFORM = _JOB + "JOIN projects ON projects.id = project_id WHERE platform = ? AND "

# Which column holds which setting of `edit_job`, and how a value is written into it.
_EDITABLE: dict[str, Callable[[Any], Any]] = {
    "name": str.strip,
    "alias": str,
    "description": lambda value: value,
    "is_scheduled": bool,
    "cron": lambda value: value,
    "timezone": lambda value: value,
    "is_streaming": bool,
    "uses_gpu": bool,
    "alerting": packed,
    "resources": packed,
}


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is needed to make a job."""

    project_id: str
    name: str
    category: str
    technology_id: str
    alias: str | None = None
    description: str | None = None
    is_scheduled: bool = False
    cron: str | None = None
    timezone: str | None = None
    is_streaming: bool = False
    uses_gpu: bool = False
    alerting: dict[str, Any] | None = None
    resources: dict[str, Any] | None = None
    original_job_id: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


def create_job(database: Database, new: NewJob) -> Job:
    """Make a job without versions.

    :param new: its settings; without an alias one is made from the name.
    :return: the job.
    :raises InvalidError: where its name or alias is taken or malformed, or a schedule lacks its cron.
    """
    with database.writing() as connection:
        check_name(database, new.project_id, new.name, except_id=None)
        alias = new.alias or _free_alias(database, new.project_id, new.name)
        _check_alias(database, new.project_id, alias, except_id=None)
        _check_schedule(new.is_scheduled, new.cron)
        connection.execute(
            "INSERT INTO jobs (id, project_id, name, name_key, alias, description, category, technology_id,"
            " is_scheduled, cron, timezone, is_streaming, uses_gpu, alerting, resources, original_job_id, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                new.id, new.project_id, new.name.strip(), new.name.strip().casefold(), alias, new.description,
                new.category, new.technology_id, new.is_scheduled, new.cron, new.timezone, new.is_streaming,
                new.uses_gpu, packed(new.alerting), packed(new.resources), new.original_job_id, now_ms(),
            ),
        )  # fmt: skip
    job = get_job(database, new.id)
    assert job is not None  # noqa: S101, it was just written
    return job


def edit_job(database: Database, job: Job, changes: Mapping[str, Any]) -> Job:
    """Change a job's settings.

    :param job: the job as it is.
    :param changes: the new value of each setting that changes, by the name of `Job`'s field.
    :return: the job as it is now.
    :raises InvalidError: where its name or alias is taken or malformed, or a schedule lacks its cron.
    """
    with database.writing() as connection:
        if "name" in changes:
            check_name(database, job.project_id, changes["name"], except_id=job.id)
            connection.execute(
                "UPDATE jobs SET name_key = ? WHERE id = ?", (changes["name"].strip().casefold(), job.id)
            )
        if "alias" in changes:
            _check_alias(database, job.project_id, changes["alias"], except_id=job.id)
        _check_schedule(changes.get("is_scheduled", job.is_scheduled), changes.get("cron", job.cron))
        for name, write in _EDITABLE.items():
            if name in changes:
                # The column's name comes from the table above, never from outside.
                connection.execute(f"UPDATE jobs SET {name} = ? WHERE id = ?", (write(changes[name]), job.id))  # noqa: S608
    edited = get_job(database, job.id)
    if edited is None:
        raise NotFoundError(f"Job {job.id} does not exist")
    return edited


def delete_job(database: Database, job_id: str) -> None:
    """Delete a job that has no instance on its way, with all its versions and instances.

    :param job_id: its id.
    :raises RefusedError: where an instance is on its way.
    """
    with database.writing() as connection:
        if has_unfinished(database, job_id):
            raise RefusedError(f"Job {job_id} has instances on their way: stop them first")
        connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))


def find_job(database: Database, platform: int, job_id: str) -> Job | None:
    """Look up a job by its id.

    :param platform: the platform's number.
    :param job_id: its id.
    :return: the job, or None.
    """
    return _one(database.row(_ON_PLATFORM + "jobs.id = ?", (platform, job_id)))


def require_job(database: Database, platform: int, job_id: str) -> Job:
    """Look up a job that has to exist.

    :param platform: the platform's number.
    :param job_id: its id.
    :return: the job.
    :raises NotFoundError: where there is none.
    """
    job = find_job(database, platform, job_id)
    if job is None:
        raise NotFoundError(f"Job {job_id} does not exist on platform {platform}")
    return job


def get_job(database: Database, job_id: str) -> Job | None:
    """Look up a job on whichever platform.

    :param job_id: its id.
    :return: the job, or None.
    """
    return _one(database.row(_JOB + "WHERE jobs.id = ?", (job_id,)))


def platform_of(database: Database, job_id: str) -> int:
    """Tell on which platform a job is.

    :param job_id: its id.
    :return: the platform's number, 0 where there is no such job.
    """
    return database.number(
        "SELECT platform FROM jobs JOIN projects ON projects.id = project_id WHERE jobs.id = ?", (job_id,)
    )


def find_job_by_alias(database: Database, platform: int, project_id: str, alias: str) -> Job | None:
    """Look up a job by its alias.

    :param platform: the platform's number.
    :param project_id: its project's id.
    :param alias: its alias.
    :return: the job, or None.
    """
    return _one(database.row(_ON_PLATFORM + "project_id = ? AND alias = ?", (platform, project_id, alias)))


def list_jobs(
    database: Database, project_id: str, category: str | None = None, technology_id: str | None = None
) -> list[Job]:
    """List a project's jobs by name.

    :param project_id: its id.
    :param category: only those of this category.
    :param technology_id: only those of this technology.
    :return: the jobs.
    """
    rows = database.rows(
        _JOB + "WHERE project_id = ? AND category = ifnull(?, category) AND technology_id = ifnull(?, technology_id)"
        " ORDER BY name_key",
        (project_id, category, technology_id),
    )
    return [job for job in map(_one, rows) if job]


def list_scheduled(database: Database) -> list[Job]:
    """List the jobs, of all platforms, that are started by a schedule.

    :return: the jobs.
    """
    return [job for job in map(_one, database.rows(_JOB + "WHERE is_scheduled")) if job]


def count_jobs(database: Database, project_id: str) -> int:
    """Count a project's jobs.

    :param project_id: its id.
    :return: how many there are.
    """
    return database.number("SELECT count(*) FROM jobs WHERE project_id = ?", (project_id,))


def count_jobs_of_platform(database: Database, platform: int) -> int:
    """Count a platform's jobs.

    :param platform: its number.
    :return: how many there are.
    """
    return database.number(
        "SELECT count(*) FROM jobs JOIN projects ON projects.id = project_id WHERE platform = ?", (platform,)
    )


def has_unfinished(database: Database, job_id: str) -> bool:
    """Tell whether a job has an instance on its way.

    :param job_id: its id.
    :return: True where it has.
    """
    settle(database)
    return bool(database.number("SELECT 1 FROM instances WHERE job_id = ? AND ended_at IS NULL LIMIT 1", (job_id,)))


def free_name(database: Database, project_id: str, wanted: str) -> str:
    """Find a name that no job of a project has yet.

    :param project_id: its id.
    :param wanted: the name to begin with.
    :return: that name, with a number behind it where needed.
    """
    taken = {row[0] for row in database.rows("SELECT name_key FROM jobs WHERE project_id = ?", (project_id,))}
    name, count = wanted, 1
    while name.casefold() in taken:
        count += 1
        name = f"{wanted} {count}"
    return name


def check_name(database: Database, project_id: str, name: str, except_id: str | None) -> None:
    """Check that a job may have a name.

    :param project_id: its project's id.
    :param name: the name.
    :param except_id: the id of the job that would have it, where it exists already.
    :raises InvalidError: where it is empty, too long or taken.
    """
    if not name.strip() or len(name) >= 255:
        raise InvalidError("A job's name must not be empty and must be shorter than 255 characters")
    row = database.row(
        "SELECT id FROM jobs WHERE project_id = ? AND name_key = ?", (project_id, name.strip().casefold())
    )
    if row is not None and row[0] != except_id:
        raise InvalidError(f"A job named {name.strip()!r} exists already in project {project_id}")


def _check_alias(database: Database, project_id: str, alias: str, except_id: str | None) -> None:
    if not re.fullmatch(r"\w+", alias, re.ASCII):
        raise InvalidError("A job's alias may hold only letters, digits and underscores")
    row = database.row("SELECT id FROM jobs WHERE project_id = ? AND alias = ?", (project_id, alias))
    if row is not None and row[0] != except_id:
        raise InvalidError(f"A job with the alias {alias!r} exists already in project {project_id}")


def _check_schedule(is_scheduled: bool, cron: str | None) -> None:
    if is_scheduled and not cron:
        raise InvalidError("A scheduled job needs a cronScheduling")


def _free_alias(database: Database, project_id: str, name: str) -> str:
    wanted = re.sub(r"\W+", "_", name.strip(), flags=re.ASCII).strip("_") or "job"
    taken = {row[0] for row in database.rows("SELECT alias FROM jobs WHERE project_id = ?", (project_id,))}
    alias, count = wanted, 0
    while alias in taken:
        count += 1
        alias = f"{wanted}_{count}"
    return alias


def _one(row: sqlite3.Row | None) -> Job | None:
    if row is None:
        return None
    structures = {name: unpacked(row[name]) for name in ("alerting", "resources")}
    marks = {name: bool(row[name]) for name in ("is_scheduled", "is_streaming", "uses_gpu")}
    return Job(**{**dict(row), **structures, **marks})
