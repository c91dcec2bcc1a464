"""The lines that instances have written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_saagie.emulator.store.records import LogLine

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow_provider_saagie.emulator.store.database import Database


def append_lines(database: Database, instance_id: str, first: int, lines: Sequence[tuple[str, str]]) -> None:
    """Add lines to an instance's log; where the instance is gone they are dropped.

    :param instance_id: the instance's id.
    :param first: the index of the first of them.
    :param lines: each line's stream and text.
    """
    with database.writing() as connection:
        if connection.execute("SELECT 1 FROM instances WHERE id = ?", (instance_id,)).fetchone():
            connection.executemany(
                "INSERT INTO logs VALUES (?, ?, ?, ?)",
                [(instance_id, index, stream, value) for index, (stream, value) in enumerate(lines, start=first)],
            )


def next_index(database: Database, instance_id: str) -> int:
    """Tell which index an instance's next line has.

    :param instance_id: the instance's id.
    :return: one more than the highest so far.
    """
    return database.number("SELECT max(position) + 1 FROM logs WHERE instance_id = ?", (instance_id,))


def read_lines(
    database: Database, instance_id: str, streams: Collection[str], limit: int | None = None, skip: int = 0
) -> list[LogLine]:
    """Read an instance's log in order of arrival.

    :param instance_id: the instance's id.
    :param streams: only the lines of these.
    :param limit: at most so many lines.
    :param skip: leave out so many of the first.
    :return: the lines.
    """
    marks = ", ".join("?" * len(streams))
    sql = "SELECT position, stream, value FROM logs WHERE instance_id = ? AND stream IN "
    rows = database.rows(
        sql + f"({marks}) ORDER BY position LIMIT ? OFFSET ?",
        (instance_id, *streams, -1 if limit is None else limit, skip),
    )
    return [LogLine(*row) for row in rows]


def count_lines(database: Database, instance_id: str, streams: Collection[str]) -> int:
    """Count an instance's lines.

    :param instance_id: the instance's id.
    :param streams: only the lines of these.
    :return: how many there are.
    """
    marks = ", ".join("?" * len(streams))
    sql = "SELECT count(*) FROM logs WHERE instance_id = ? AND stream IN "
    return database.number(sql + f"({marks})", (instance_id, *streams))
