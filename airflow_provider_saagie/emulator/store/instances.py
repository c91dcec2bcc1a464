"""Instances of jobs: what they are, and how they change."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from airflow_provider_saagie.emulator.clock import now_ms
from airflow_provider_saagie.emulator.errors import NotFoundError, RefusedError
from airflow_provider_saagie.emulator.states import ENDS, Status, may_follow, simulated_statuses
from airflow_provider_saagie.emulator.store.database import packed, unpacked
from airflow_provider_saagie.emulator.store.records import Instance, StatusRecord

if TYPE_CHECKING:
    import sqlite3

    from airflow_provider_saagie.emulator.store.database import Database

# What can start an instance here, as TriggerType calls it.
BY_HAND, BY_SCHEDULE = "MANUAL_JOB", "CRON_JOB"

_INSTANCE = (
    "SELECT instances.id, job_id, number, version_number, status, reason, details, recorded_at, started_at, ended_at,"
    " trigger, author, stop_author, outputs, simulated_ms FROM instances "
)
_ON_PLATFORM = (
    _INSTANCE + "JOIN jobs ON jobs.id = job_id JOIN projects ON projects.id = project_id"
    " WHERE platform = ? AND instances.id = ?"
)


def create_instance(
    database: Database, job_id: str, author: str, simulated_ms: int | None = None, trigger: str = BY_HAND
) -> Instance:
    """Ask for an instance of a job's current version.

    :param job_id: the job's id.
    :param author: who wants it: a login, or the schedule.
    :param simulated_ms: how long its life is to be, where nothing really runs.
    :param trigger: what started it, a value of TriggerType.
    :return: the instance, AWAITING.
    :raises NotFoundError: where there is no such job, or it has no version.
    """
    instance_id, moment = str(uuid.uuid4()), now_ms()
    with database.writing() as connection:
        row = connection.execute(
            "UPDATE jobs SET next_instance = next_instance + 1 WHERE id = ? RETURNING next_instance - 1", (job_id,)
        ).fetchone()
        current = "SELECT number FROM versions WHERE job_id = ? AND is_current"
        version = connection.execute(current, (job_id,)).fetchone()
        if row is None or version is None:
            raise NotFoundError(f"Job {job_id} does not exist" if row is None else f"Job {job_id} has no version")
        connection.execute(
            "INSERT INTO instances (id, job_id, number, version_number, status, recorded_at, started_at, trigger,"
            " author, simulated_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (instance_id, job_id, row[0], version[0], Status.AWAITING, moment, moment, trigger, author, simulated_ms),
        )
        if simulated_ms is None:
            _record(connection, instance_id, StatusRecord(Status.AWAITING, None, None, moment))
    return require_instance(database, instance_id)


def move(
    database: Database,
    instance_id: str,
    status: Status,
    reason: str | None = None,
    details: str | None = None,
    by_hand: bool = False,
) -> bool:
    """Give an instance its next status.

    :param instance_id: the instance's id.
    :param status: the status it gets.
    :param reason: a value of StatusReason.
    :param details: free text.
    :param by_hand: for tests: any status may follow any other.
    :return: False where the table of states forbids it, or the instance is gone; nothing has changed then.
    """
    with database.writing() as connection:
        settle(database, instance_id)
        row = connection.execute("SELECT status FROM instances WHERE id = ?", (instance_id,)).fetchone()
        if row is None or not (by_hand or may_follow(Status(row[0]), status)):
            return False
        moment = now_ms()
        connection.execute(
            "UPDATE instances SET status = ?, reason = ?, details = ?, recorded_at = ?, ended_at = ? WHERE id = ?",
            (status, reason, details, moment, moment if status in ENDS else None, instance_id),
        )
        _record(connection, instance_id, StatusRecord(status, reason, details, moment))
    return True


def ask_to_stop(database: Database, instance_id: str, author: str) -> Instance:
    """Record that somebody wants an instance stopped: it is KILLING from then on.

    :param instance_id: the instance's id.
    :param author: a login.
    :return: the instance.
    :raises NotFoundError: where there is none.
    :raises RefusedError: where it has ended.
    """
    with database.writing() as connection:
        settle(database, instance_id)  # from here on no clock ends it
        instance = require_instance(database, instance_id)
        if instance.ended_at is not None:
            raise RefusedError(f"Job instance {instance_id} has ended already: {instance.current.status}")
        if instance.current.status is Status.KILLING:
            return instance
        move(database, instance_id, Status.KILLING)
        connection.execute("UPDATE instances SET stop_author = ? WHERE id = ?", (author, instance_id))
    return require_instance(database, instance_id)


def set_outputs(database: Database, instance_id: str, outputs: dict[str, str]) -> None:
    """Record what an instance hands on.

    :param instance_id: the instance's id.
    :param outputs: its variables.
    """
    with database.writing() as connection:
        connection.execute("UPDATE instances SET outputs = ? WHERE id = ?", (packed(outputs), instance_id))


def settle(database: Database, instance_id: str | None = None) -> None:
    """Write down what simulated instances have been through by now, as far as it changes what they are.

    :param instance_id: only this one, even where it is still on its way; without it, all that have ended.
    """
    moment = now_ms()
    with database.writing() as connection:
        rows = connection.execute(
            "SELECT id, started_at, simulated_ms FROM instances WHERE ended_at IS NULL AND simulated_ms IS NOT NULL"
            " AND (id = ? OR (? IS NULL AND started_at + simulated_ms <= ?))",
            (instance_id, instance_id, moment),
        ).fetchall()
        for found, started_at, duration in rows:
            history = simulated_statuses(started_at, duration, moment)
            for status, since in history:
                _record(connection, found, StatusRecord(status, None, None, since))
            status, since = history[-1]
            connection.execute(
                "UPDATE instances SET status = ?, recorded_at = ?, ended_at = ?, simulated_ms = NULL WHERE id = ?",
                (status, since, since if status in ENDS else None, found),
            )


def find_instance(database: Database, platform: int, instance_id: str) -> Instance | None:
    """Look up an instance.

    :param platform: the platform's number.
    :param instance_id: the instance's id.
    :return: the instance, or None.
    """
    return _one(database.row(_ON_PLATFORM, (platform, instance_id)))


def require_instance(database: Database, instance_id: str) -> Instance:
    """Look up an instance that has to exist, on whichever platform.

    :param instance_id: the instance's id.
    :return: the instance.
    :raises NotFoundError: where there is none.
    """
    instance = _one(database.row(_INSTANCE + "WHERE instances.id = ?", (instance_id,)))
    if instance is None:
        raise NotFoundError(f"Job instance {instance_id} does not exist")
    return instance


def list_instances(database: Database, job_id: str, limit: int | None = None, skip: int = 0) -> list[Instance]:
    """List a job's instances, newest first.

    :param job_id: the job's id.
    :param limit: at most so many.
    :param skip: leave out so many of the newest.
    :return: the instances.
    """
    rows = database.rows(
        _INSTANCE + "WHERE job_id = ? ORDER BY number DESC LIMIT ? OFFSET ?",
        (job_id, -1 if limit is None else limit, skip),
    )
    return [instance for instance in map(_one, rows) if instance]


def list_unfinished(database: Database) -> list[Instance]:
    """List the instances, of all platforms, that are on their way and not simulated.

    :return: the instances, oldest first.
    """
    rows = database.rows(_INSTANCE + "WHERE ended_at IS NULL AND simulated_ms IS NULL ORDER BY started_at")
    return [instance for instance in map(_one, rows) if instance]


def count_instances(database: Database, job_id: str) -> int:
    """Count a job's instances.

    :param job_id: the job's id.
    :return: how many there are.
    """
    return database.number("SELECT count(*) FROM instances WHERE job_id = ?", (job_id,))


def history(database: Database, instance: Instance) -> list[StatusRecord]:
    """List what an instance has been through.

    :param instance: the instance.
    :return: its statuses, oldest first.
    """
    if instance.simulated_ms is not None:
        steps = simulated_statuses(instance.started_at, instance.simulated_ms, now_ms())
        return [StatusRecord(status, None, None, since) for status, since in steps]
    rows = database.rows(
        "SELECT status, reason, details, recorded_at FROM statuses WHERE instance_id = ? ORDER BY position",
        (instance.id,),
    )
    return [StatusRecord(Status(row[0]), row[1], row[2], row[3]) for row in rows]


def _record(connection: sqlite3.Connection, instance_id: str, record: StatusRecord) -> None:
    connection.execute(
        "INSERT INTO statuses SELECT ?, count(*), ?, ?, ?, ? FROM statuses WHERE instance_id = ?",
        (instance_id, record.status, record.reason, record.details, record.recorded_at, instance_id),
    )


def _one(row: sqlite3.Row | None) -> Instance | None:
    if row is None:
        return None
    (instance_id, job_id, number, version, status, reason, details, since, started, ended, trigger, author, stopper,
     outputs, simulated) = row  # fmt: skip
    if simulated is not None and ended is None:
        status, since = simulated_statuses(started, simulated, now_ms())[-1]
        ended = since if status in ENDS else None
    current = StatusRecord(Status(status), reason, details, since)
    return Instance(
        instance_id,
        job_id,
        number,
        version,
        current,
        started,
        ended,
        trigger,
        author,
        stopper,
        unpacked(outputs),
        simulated,
    )
