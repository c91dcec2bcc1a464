"""Writes lines into the logs of those who wait, from a thread: a log that takes no line for now holds up no loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from airflow_provider_saagie.triggers.waiter import Asked

__all__ = ["Line", "Teller"]

Line: TypeAlias = tuple["Asked", int, str]
"""A line for somebody's own log, and its level."""


class Teller:
    """Keeps lines in their order, and has them written: one thread at a time for all logs of a watcher.

    A triggerer's log is a socket, which its other process reads when it has nothing else to do: whoever writes to it
    while that is busy with a thousand events stands still for seconds, and all triggers would with him.
    """

    def __init__(self) -> None:
        self._next: list[Line] = []
        self._writes_next: asyncio.Task[None] | None = None
        self._is_writing: asyncio.Task[None] | None = None

    def tell(self, lines: Iterable[Line]) -> asyncio.Task[None]:
        """Have lines written after all that came before.

        :param lines: each with whose log it belongs into. Those of somebody who has left meanwhile are dropped.
        :return: done when they are written. Wait for it with ``asyncio.wait``: others' lines may go with it.
        """
        if self._writes_next is None:
            work = self._write(self._is_writing)
            self._writes_next = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        for line in lines:
            self._next.append(line)
            line[0].newest_line = self._writes_next
        return self._writes_next

    async def told(self, lines: Sequence[Line]) -> None:
        """Have lines written, and wait until they are.

        :param lines: each with whose log it belongs into.
        """
        if lines:
            await asyncio.wait({self.tell(lines)})

    async def close(self) -> None:
        """Leave no task: whoever waited has left. What a stop under way has told comes with what it tells next."""
        tasks = {task for task in (self._is_writing, self._writes_next) if task}
        self._is_writing = self._writes_next = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _write(self, before: asyncio.Task[None] | None) -> None:
        if before:
            await asyncio.wait({before})
        lines, self._next = self._next, []
        self._is_writing, self._writes_next = self._writes_next, None
        await asyncio.to_thread(_write_all, lines)


def _write_all(lines: Sequence[Line]) -> None:
    for asked, level, line in lines:
        asked.write(level, line)
