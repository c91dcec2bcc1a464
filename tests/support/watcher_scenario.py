"""A fake Saagie, a connection to it and waiters, in virtual time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import pytest

from airflow_provider_saagie.triggers import watcher
from airflow_provider_saagie.triggers.waiter import Ended, Failed, Verdict, Waiter
from tests.support.fake_saagie import HOUR, FakeSaagie, connection, fake_saagie, instance
from tests.support.recording_logger import RecordingLogger
from tests.support.virtual_time import VirtualTimeLoop, run

__all__ = ["HOUR", "Scenario", "Waiting", "all_end", "cancel_all"]

Main = Callable[[], Coroutine[Any, Any, None]]


class Waiting:
    """A waiter in a task of its own."""

    def __init__(
        self, conn_id: str, number: int, deadline: float | None = None, log: RecordingLogger | None = None, **more: Any
    ) -> None:
        self.log = log or RecordingLogger()
        self.waiter = Waiter(instance_id=instance(number), log=self.log, **more)
        limit = None if deadline is None else time.time() + deadline
        self.task: asyncio.Task[Verdict] = asyncio.create_task(watcher.wait(conn_id, self.waiter, deadline=limit))

    async def verdict(self) -> Verdict:
        return await self.task

    async def status(self) -> str:
        """Wait for the end; return the instance's status."""
        verdict = await self.task
        assert isinstance(verdict, Ended)
        return verdict.instance.status

    async def failure(self, message: str = "") -> str:
        """Wait for a failure whose message contains a text; return its kind."""
        verdict = await self.task
        assert isinstance(verdict, Failed)
        assert message in verdict.message
        return verdict.kind

    async def leave(self) -> None:
        await cancel_all([self])
        assert self.task.cancelled()


class Scenario:
    """A fake Saagie, a connection to it and waiters.

    :param start: the loop's first time; polls fall on multiples of their interval.
    """

    conn_id: str

    def __init__(self, monkeypatch: pytest.MonkeyPatch, start: float = 0.0) -> None:
        self.monkeypatch = monkeypatch
        self.start = start
        self.saagie = FakeSaagie()

    def run(self, main: Main, *, loop: type[VirtualTimeLoop] = VirtualTimeLoop, debug: bool = False) -> None:
        """Run a scenario. At its end the watcher must be gone, with its tasks and its connections."""

        async def run_and_check() -> None:
            async with fake_saagie(self.saagie):
                self.conn_id = connection(self.saagie.url, self.monkeypatch)
                await main()
                await asyncio.sleep(0.1 + self.saagie.latency)
                assert self.saagie.connections() == 0

        run(run_and_check(), debug=debug, loop=lambda: loop(start=self.start))

    def wait(self, number: int, **more: Any) -> Waiting:
        return Waiting(self.conn_id, number, **more)

    def wait_many(self, first: int, last: int, **more: Any) -> list[Waiting]:
        return [self.wait(number, **more) for number in range(first, last + 1)]

    async def stop(self, number: int, log: RecordingLogger | None = None, **more: Any) -> list[str]:
        """Stop an instance; return what is logged after the reason."""
        log = log or RecordingLogger()
        await watcher.stop(self.conn_id, Waiter(instance_id=instance(number), log=log, **more), why="why")
        assert log.lines[0] == "why"
        return log.lines[1:]

    def edit_connection(self, **changes: Any) -> None:
        connection(self.saagie.url, self.monkeypatch, conn_id=self.conn_id, **changes)


async def all_end(waiting: Iterable[Waiting]) -> bool:
    return all([isinstance(await one.verdict(), Ended) for one in waiting])


async def cancel_all(waiting: Iterable[Waiting]) -> None:
    tasks = {one.task for one in waiting}
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
