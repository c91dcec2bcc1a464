"""Cuts output into lines and keeps them, up to a limit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from airflow_provider_saagie.emulator.store import logs

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.store.database import Database

_LONGEST_LINE = 16_384  # bytes; a longer one is cut into several
_FLUSH_EVERY = 0.1  # seconds between writes, so that a chatty job doesn't own the disk
_FLUSH_EVERY_WHILE_BUSY = 0.5
_FLUSH_LINES = 1_000
_FLUSH_BYTES = 1 << 20
_MOST_BYTES = 64 << 20  # of an instance, however long its lines are


class LogWriter:
    """Writes the log of one instance; leaving it as a context manager writes what is left.

    :param database: the store.
    :param instance_id: the instance's id.
    :param limit: how many lines are kept.
    """

    def __init__(self, database: Database, instance_id: str, limit: int) -> None:
        self._database = database
        self._instance_id = instance_id
        self._limit = limit
        self._is_full = False
        self._taken = self._bytes = self._pending_bytes = 0
        self._written = logs.next_index(database, instance_id)
        self._pending: list[tuple[str, str]] = []
        self._parts: dict[str, bytes] = {}
        self._flushed_at = 0.0

    def write(self, stream: str, chunk: bytes) -> None:
        """Take what was read from a stream.

        :param stream: a value of LogStream.
        :param chunk: bytes that may begin or end within a line.
        """
        if self._is_full:
            return
        *lines, rest = (self._parts.get(stream, b"") + chunk).split(b"\n")
        while len(rest) > _LONGEST_LINE:
            lines.append(rest[:_LONGEST_LINE])
            rest = rest[_LONGEST_LINE:]
        self._parts[stream] = rest
        for line in lines:
            self._take(stream, line)

    def flush(self, idle: bool) -> None:
        """Write what waits, if it has waited long enough.

        :param idle: nothing more can be read right now.
        """
        moment = time.monotonic()
        patience = _FLUSH_EVERY if idle else _FLUSH_EVERY_WHILE_BUSY
        many = len(self._pending) >= _FLUSH_LINES or self._pending_bytes >= _FLUSH_BYTES
        if self._pending and (many or moment - self._flushed_at >= patience):
            self._write_pending()
            self._flushed_at = moment

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for stream, rest in [*self._parts.items()]:
            if rest:
                self._take(stream, rest)
        self._write_pending()

    def _write_pending(self) -> None:
        logs.append_lines(self._database, self._instance_id, self._written, self._pending)
        self._written += len(self._pending)
        self._pending = []
        self._pending_bytes = 0

    def _take(self, stream: str, line: bytes) -> None:
        if self._is_full:
            return
        self._bytes += len(line)
        too_long = self._bytes > _MOST_BYTES
        if self._taken == self._limit or too_long:
            self._is_full = True
            self._parts.clear()
            why = f": they hold {_MOST_BYTES >> 20} MB" if too_long else ""
            self._pending.append(("ORCHESTRATION_STDERR", f"Only the first {self._taken} lines are kept{why}"))
            return
        self._taken += 1
        self._pending_bytes += len(line)
        self._pending.append((stream, line.rstrip(b"\r").decode("utf-8", "replace")))
