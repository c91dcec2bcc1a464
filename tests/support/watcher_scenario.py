"""A Saagie, a connection to it, and people who wait, in a loop whose time skips ahead."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.triggers import watcher
from airflow_provider_saagie.triggers.waiter import Ended, Verdict, Waiter
from tests.support.fake_saagie import SmallSaagie, connection, instance, small_saagie
from tests.support.recording_logger import Recorder
from tests.support.virtual_time import SkippingLoop, run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    import pytest

HOUR = 3600.0


class Waiting:
    """Somebody who waits, in a task of its own."""

    def __init__(self, conn_id: str, number: int, *, deadline: float | None = None, **more: Any) -> None:
        self.log = Recorder()
        self.waiter = Waiter(instance_id=instance(number), log=self.log, **more)
        limit = None if deadline is None else time.time() + deadline
        self.task: asyncio.Task[Verdict] = asyncio.create_task(watcher.wait(conn_id, self.waiter, deadline=limit))

    async def verdict(self) -> Verdict:
        return await self.task

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})
        assert self.task.cancelled()


class Scene:
    """A Saagie, a connection to it, and people who wait."""

    def __init__(self, saagie: SmallSaagie, monkeypatch: pytest.MonkeyPatch) -> None:
        self.saagie = saagie
        self.monkeypatch = monkeypatch
        self.conn_id = connection(saagie.url, monkeypatch)

    def wait_for(self, number: int, **more: Any) -> Waiting:
        return Waiting(self.conn_id, number, **more)

    def stop(self, number: int, **more: Any) -> asyncio.Task[list[str]]:
        """Stop an instance; the task gives what was logged but the reason, which comes first."""
        log = Recorder()
        waiter = Waiter(instance_id=instance(number), log=log, **more)

        async def stopped() -> list[str]:
            await self.stop_with(waiter)
            assert log.lines.pop(0) == "why"
            return log.lines

        return asyncio.create_task(stopped())

    async def stop_with(self, waiter: Waiter) -> None:
        """Stop an instance, and log with what the waiter has."""
        await watcher.stop(self.conn_id, waiter, why="why")

    def edit_connection(self, **changes: Any) -> None:
        connection(self.saagie.url, self.monkeypatch, conn_id=self.conn_id, **changes)


async def all_end(waiting: Iterable[Waiting]) -> bool:
    verdicts = await asyncio.gather(*(one.verdict() for one in waiting))
    return all(isinstance(verdict, Ended) for verdict in verdicts)


async def all_leave(waiting: Iterable[Waiting]) -> None:
    tasks = {one.task for one in waiting}
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def perform(
    scene: Callable[[Scene], Coroutine[Any, Any, None]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    debug: bool = True,
    loop: Callable[[], asyncio.AbstractEventLoop] = SkippingLoop,
) -> None:
    """Run a scene; at its end the watcher has to be gone, its session closed."""

    async def whole() -> None:
        async with small_saagie() as saagie:
            await scene(Scene(saagie, monkeypatch))
            await asyncio.sleep(0.1)
        assert not watcher._watchers.get(asyncio.get_running_loop())
        assert not watcher._tasks

    run(whole(), debug=debug, loop=loop)
