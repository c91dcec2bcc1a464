"""Versions of jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.emulator.clock import now_ms
from airflow_provider_saagie.emulator.errors import NotFoundError
from airflow_provider_saagie.emulator.store.database import packed, unpacked
from airflow_provider_saagie.emulator.store.instances import settle
from airflow_provider_saagie.emulator.store.records import Version

if TYPE_CHECKING:
    import sqlite3

    from airflow_provider_saagie.emulator.store.database import Database

_VERSION = (
    "SELECT job_id, number, created_at, creator, release_note, runtime_version, command_line, artifact, artifact_name,"
    " docker, extra_technology, source_url, is_current, is_major FROM versions "
)


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What is needed to add a version."""

    creator: str
    release_note: str | None = None
    runtime_version: str | None = None
    command_line: str | None = None
    artifact: str | None = None
    artifact_name: str | None = None
    docker: dict[str, Any] | None = None
    extra_technology: dict[str, Any] | None = None
    source_url: str | None = None


def add_version(database: Database, job_id: str, new: NewVersion) -> Version:
    """Add a version and make it the current one.

    :param job_id: the job's id.
    :param new: its settings.
    :return: the version.
    :raises NotFoundError: where there is no such job.
    """
    with database.writing() as connection:
        row = connection.execute(
            "UPDATE jobs SET next_version = next_version + 1 WHERE id = ? RETURNING next_version - 1", (job_id,)
        ).fetchone()
        if row is None:
            raise NotFoundError(f"Job {job_id} does not exist")
        connection.execute("UPDATE versions SET is_current = 0 WHERE job_id = ?", (job_id,))
        connection.execute(
            "INSERT INTO versions (job_id, number, created_at, creator, release_note, runtime_version, command_line,"
            " artifact, artifact_name, docker, extra_technology, source_url, is_current)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
            (
                job_id, row[0], now_ms(), new.creator, new.release_note, new.runtime_version, new.command_line,
                new.artifact, new.artifact_name, packed(new.docker), packed(new.extra_technology), new.source_url,
            ),
        )  # fmt: skip
    return require_version(database, job_id, row[0])


def find_version(database: Database, job_id: str, number: int) -> Version | None:
    """Look up a version.

    :param job_id: the job's id.
    :param number: the version's number.
    :return: the version, or None.
    """
    return _one(database.row(_VERSION + "WHERE job_id = ? AND number = ?", (job_id, number)))


def require_version(database: Database, job_id: str, number: int) -> Version:
    """Look up a version that has to exist.

    :param job_id: the job's id.
    :param number: the version's number.
    :return: the version.
    :raises NotFoundError: where there is none.
    """
    version = find_version(database, job_id, number)
    if version is None:
        raise NotFoundError(f"Version {number} of job {job_id} does not exist")
    return version


def current_version(database: Database, job_id: str) -> Version:
    """Look up the version that runs next.

    :param job_id: the job's id.
    :return: the version.
    :raises NotFoundError: where the job has none.
    """
    version = _one(database.row(_VERSION + "WHERE job_id = ? AND is_current", (job_id,)))
    if version is None:
        raise NotFoundError(f"Job {job_id} has no version")
    return version


def list_versions(
    database: Database, job_id: str, limit: int | None = None, only_current: bool = False
) -> list[Version]:
    """List a job's versions, newest first.

    :param job_id: the job's id.
    :param limit: at most so many.
    :param only_current: only the one that runs next.
    :return: the versions.
    """
    rows = database.rows(
        _VERSION + "WHERE job_id = ? AND (is_current OR NOT ?) ORDER BY number DESC LIMIT ?",
        (job_id, only_current, -1 if limit is None else limit),
    )
    return [version for version in map(_one, rows) if version]


def make_current(database: Database, job_id: str, number: int) -> None:
    """Roll a job back, or forward, to a version.

    :param job_id: the job's id.
    :param number: the version's number.
    :raises NotFoundError: where there is no such version.
    """
    with database.writing() as connection:
        require_version(database, job_id, number)
        connection.execute("UPDATE versions SET is_current = (number = ?) WHERE job_id = ?", (number, job_id))


def set_major(database: Database, job_id: str, number: int, is_major: bool) -> Version:
    """Mark a version as major, or not.

    :param job_id: the job's id.
    :param number: the version's number.
    :param is_major: the mark.
    :return: the version.
    :raises NotFoundError: where there is no such version.
    """
    with database.writing() as connection:
        connection.execute(
            "UPDATE versions SET is_major = ? WHERE job_id = ? AND number = ?", (is_major, job_id, number)
        )
    return require_version(database, job_id, number)


def undeletable_because(database: Database, version: Version) -> list[str]:
    """Tell why a version can't be deleted.

    :param version: the version.
    :return: values of JobVersionDeletableStateReason; none means that it can be.
    """
    settle(database)
    reasons = ["CURRENT_VERSION"] if version.is_current else []
    if database.number(
        "SELECT 1 FROM instances WHERE job_id = ? AND version_number = ? AND ended_at IS NULL LIMIT 1",
        (version.job_id, version.number),
    ):
        reasons.append("VERSION_HAS_UNFINISHED_INSTANCES")
    elif database.number(
        "SELECT 1 FROM instances WHERE job_id = ? AND version_number = ? LIMIT 1", (version.job_id, version.number)
    ):
        reasons.append("VERSION_INSTANCES_NOT_YET_CLEANED")
    return reasons


def delete_version(database: Database, job_id: str, number: int) -> bool:
    """Delete a version, where nothing speaks against it.

    :param job_id: the job's id.
    :param number: the version's number.
    :return: whether it went.
    """
    with database.writing() as connection:
        version = find_version(database, job_id, number)
        if version is None or undeletable_because(database, version):
            return False
        connection.execute("DELETE FROM versions WHERE job_id = ? AND number = ?", (job_id, number))
    return True


def artifacts_of(database: Database, job_id: str) -> set[str]:
    """Tell which stored files a job's versions need.

    :param job_id: the job's id.
    :return: their keys.
    """
    sql = "SELECT DISTINCT artifact FROM versions WHERE job_id = ? AND artifact IS NOT NULL"
    return {row[0] for row in database.rows(sql, (job_id,))}


def used_artifacts(database: Database) -> set[str]:
    """Tell which stored files some version still needs; copies of a job share its files.

    :return: their keys.
    """
    return {row[0] for row in database.rows("SELECT DISTINCT artifact FROM versions WHERE artifact IS NOT NULL")}


def _one(row: sqlite3.Row | None) -> Version | None:
    if row is None:
        return None
    structures = {name: unpacked(row[name]) for name in ("docker", "extra_technology")}
    marks = {name: bool(row[name]) for name in ("is_current", "is_major")}
    return Version(**{**dict(row), **structures, **marks})
