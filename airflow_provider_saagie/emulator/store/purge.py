"""Counting and deleting instances that have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_saagie.emulator.states import SELECTORS
from airflow_provider_saagie.emulator.store.instances import settle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_saagie.emulator.store.database import Database


def ended_by_selector(database: Database, job_id: str, selector: str) -> list[str]:
    """Find a job's ended instances by how they ended.

    :param job_id: the job's id.
    :param selector: a value of JobInstanceSelector.
    :return: their ids.
    """
    settle(database)
    wanted = SELECTORS[selector]
    rows = database.rows("SELECT id, status FROM instances WHERE job_id = ? AND ended_at IS NOT NULL", (job_id,))
    return [row[0] for row in rows if wanted is None or row[1] in wanted]


def ended_before(database: Database, job_id: str, moment: int) -> list[str]:
    """Find a job's ended instances by when they had started.

    :param job_id: the job's id.
    :param moment: milliseconds since 1970.
    :return: the ids of those that started earlier.
    """
    settle(database)
    rows = database.rows(
        "SELECT id FROM instances WHERE job_id = ? AND ended_at IS NOT NULL AND started_at < ?", (job_id, moment)
    )
    return [row[0] for row in rows]


def choose(found: Iterable[str], exclude: Iterable[str], include: Iterable[str]) -> list[str]:
    """Put together which instances a deletion means.

    :param found: ids that its criterion found.
    :param exclude: ids to leave out of those.
    :param include: ids to add; where an id is also excluded, this wins.
    :return: the ids.
    """
    return list(dict.fromkeys([*(one for one in found if one not in set(exclude)), *include]))


def delete_instances(database: Database, job_id: str, ids: Iterable[str]) -> list[str]:
    """Delete those instances that have ended and belong to the job.

    :param job_id: the job's id.
    :param ids: the instances' ids.
    :return: the ids of those that went.
    """
    settle(database)
    gone = []
    with database.writing() as connection:
        for instance_id in ids:
            done = connection.execute(
                "DELETE FROM instances WHERE id = ? AND job_id = ? AND ended_at IS NOT NULL", (instance_id, job_id)
            )
            if done.rowcount:
                gone.append(instance_id)
    return gone
