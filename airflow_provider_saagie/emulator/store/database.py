"""The SQLite file: its tables, and one connection that every thread shares under a lock."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.emulator.errors import DataFolderError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

FORMAT = 2  # raise it with every change of the tables that an older file doesn't have

_FILE = "saagie.db"
_HEADER, _VERSION_AT = 100, 60  # of an SQLite file: the length of its header, and where that holds the user version
# What may lie in a folder before the database does, where an emulator was killed while it made the folder.
_MADE_BEFORE_IT = {"lock", "password", "password.part", "token.key", "token.key.part"}

_TABLES = """
CREATE TABLE projects (
    id TEXT PRIMARY KEY, platform INTEGER NOT NULL, name TEXT NOT NULL, name_key TEXT NOT NULL, creator TEXT NOT NULL,
    description TEXT, created_at INTEGER NOT NULL, UNIQUE (platform, name_key)
) WITHOUT ROWID;
CREATE TABLE project_technologies (
    project_id TEXT NOT NULL REFERENCES projects ON DELETE CASCADE, category TEXT NOT NULL, technology_id TEXT NOT NULL,
    PRIMARY KEY (project_id, category, technology_id)
) WITHOUT ROWID;
CREATE TABLE project_groups (
    project_id TEXT NOT NULL REFERENCES projects ON DELETE CASCADE, name TEXT NOT NULL, role TEXT,
    PRIMARY KEY (project_id, name)
) WITHOUT ROWID;
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, project_id TEXT NOT NULL REFERENCES projects ON DELETE CASCADE, name TEXT NOT NULL,
    name_key TEXT NOT NULL, alias TEXT NOT NULL, description TEXT, category TEXT NOT NULL, technology_id TEXT NOT NULL,
    is_scheduled INTEGER NOT NULL, cron TEXT, timezone TEXT, is_streaming INTEGER NOT NULL, uses_gpu INTEGER NOT NULL,
    alerting TEXT, resources TEXT, original_job_id TEXT, created_at INTEGER NOT NULL,
    next_instance INTEGER NOT NULL DEFAULT 1, next_version INTEGER NOT NULL DEFAULT 1,
    UNIQUE (project_id, name_key), UNIQUE (project_id, alias)
) WITHOUT ROWID;
CREATE INDEX jobs_scheduled ON jobs (id) WHERE is_scheduled;
CREATE TABLE versions (
    job_id TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE, number INTEGER NOT NULL, created_at INTEGER NOT NULL,
    creator TEXT NOT NULL, release_note TEXT, runtime_version TEXT, command_line TEXT, artifact TEXT,
    artifact_name TEXT, docker TEXT, extra_technology TEXT, source_url TEXT, is_current INTEGER NOT NULL,
    is_major INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job_id, number)
) WITHOUT ROWID;
CREATE TABLE instances (
    id TEXT PRIMARY KEY, job_id TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE, number INTEGER NOT NULL,
    version_number INTEGER NOT NULL, status TEXT NOT NULL, reason TEXT, details TEXT, recorded_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL, ended_at INTEGER, trigger TEXT NOT NULL, author TEXT NOT NULL, stop_author TEXT,
    outputs TEXT, simulated_ms INTEGER, UNIQUE (job_id, number)
) WITHOUT ROWID;
CREATE INDEX instances_unfinished ON instances (job_id) WHERE ended_at IS NULL;
CREATE TABLE statuses (
    instance_id TEXT NOT NULL REFERENCES instances ON DELETE CASCADE, position INTEGER NOT NULL, status TEXT NOT NULL,
    reason TEXT, details TEXT, recorded_at INTEGER NOT NULL, PRIMARY KEY (instance_id, position)
) WITHOUT ROWID;
CREATE TABLE logs (
    instance_id TEXT NOT NULL REFERENCES instances ON DELETE CASCADE, position INTEGER NOT NULL, stream TEXT NOT NULL,
    value TEXT NOT NULL, PRIMARY KEY (instance_id, position)
) WITHOUT ROWID;
"""


class Database:
    """An open data folder.

    :param folder: where everything is kept; made where it is missing.
    :raises DataFolderError: where another emulator uses it, or it is of another version, or can't be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        self._claim = _claim(folder)
        with ExitStack() as on_failure:
            on_failure.callback(self._claim.close)
            self._connection = _connect(folder / _FILE)
            # Also when the file turns out to be damaged: Python 3.13 warns of a connection that is left open.
            on_failure.callback(self._connection.close)
            self.is_new = _prepare(self._connection, folder)
            on_failure.pop_all()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction, or join the one that is open; when the outermost ends well, all of it is on disk.

        :return: the connection, inside the transaction.
        """
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.rollback()
                raise
            self._connection.commit()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Read.

        :param sql: a statement that changes nothing.
        :param values: for its question marks.
        :return: all rows.
        """
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        """Read one row.

        :param sql: a statement that changes nothing.
        :param values: for its question marks.
        :return: the first row, or None.
        """
        with self._lock:
            found: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
            return found

    def number(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Read one number, such as a count.

        :param sql: a statement with one column.
        :param values: for its question marks.
        :return: the number, 0 where there is none.
        """
        found = self.row(sql, values)
        return int(found[0] or 0) if found else 0

    def close(self) -> None:
        """Close the file and let another emulator have the folder."""
        with self._lock:
            self._connection.close()
            self._claim.close()


def packed(value: object) -> str | None:
    """Write a structure into a text column.

    :param value: anything that JSON can hold, or None.
    :return: JSON, or None for None.
    """
    return None if value is None else json.dumps(value, separators=(",", ":"))


def unpacked(text: str | None) -> Any:
    """Read a structure from a text column.

    :param text: JSON, or None.
    :return: what `packed` was given.
    """
    return None if text is None else json.loads(text)


def check_folder(folder: Path) -> None:
    """Check that a folder is an emulator's, or can become one; nothing is changed.

    An emulator deletes what it does not know in some of its folders, so it must never get one that holds other things.

    :param folder: where everything is to be kept.
    :raises DataFolderError: where it holds something else, or can't be read.
    """
    try:
        found = {one.name for one in folder.iterdir()} if folder.exists() else set()
    except OSError as error:
        raise DataFolderError(f"The data folder {folder} can't be read: {error.strerror}.") from error
    if _FILE not in found and found - _MADE_BEFORE_IT:
        raise DataFolderError(
            f"{folder} is not empty and no data folder of an emulator's: give a new or an empty one with --data."
        )
    if _FILE in found and (version := _written_version(folder / _FILE)) not in (0, FORMAT):
        raise _other_version(folder, version)


def _written_version(path: Path) -> int:
    """Read the user version from the file's own header: opening it as a database could change it."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except OSError as error:
        raise DataFolderError(f"{path} can't be read: {error.strerror}.") from error
    if header and not header.startswith(b"SQLite format 3\0"):
        raise DataFolderError(f"{path} is no database that the emulator can use: move it away.")
    return int.from_bytes(header[_VERSION_AT : _VERSION_AT + 4], "big")


def _other_version(folder: Path, version: int) -> DataFolderError:
    return DataFolderError(
        f"{folder} was written by another version of the emulator (format {version}, this one reads {FORMAT}): "
        "give another folder with --data."
    )


def _claim(folder: Path) -> TextIO:
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = (folder / "lock").open("w")
    except OSError as error:
        raise DataFolderError(f"The data folder {folder} can't be used: {error.strerror}.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise DataFolderError(
            f"Another emulator is using {folder}: stop it, or give this one a folder of its own with --data."
        ) from None
    return handle


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5)
    except sqlite3.Error as error:
        raise DataFolderError(f"{path} can't be opened as the emulator's database ({error}).") from error
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # what was answered stays, also through a power cut
        connection.execute("PRAGMA foreign_keys=ON")
    except sqlite3.Error as error:
        connection.close()
        raise DataFolderError(f"{path} is no database that the emulator can use ({error}): move it away.") from error
    return connection


def _prepare(connection: sqlite3.Connection, folder: Path) -> bool:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == FORMAT:
        return False
    if version != 0:
        raise _other_version(folder, version)
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise DataFolderError(f"{folder / _FILE} is another program's: give another folder with --data.")
    connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={FORMAT}; COMMIT;")
    return True
