"""One poller per event loop and connection: the first waiter starts it, the last one out closes it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow_provider_saagie import job_log
from airflow_provider_saagie.client import instances
from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.status import is_final
from airflow_provider_saagie.exceptions import SaagieError
from airflow_provider_saagie.triggers import rounds
from airflow_provider_saagie.triggers.job_feed import JobFeed
from airflow_provider_saagie.triggers.metrics import Meter
from airflow_provider_saagie.triggers.poller import Poller
from airflow_provider_saagie.triggers.questions import INSTANCES
from airflow_provider_saagie.triggers.waiter import Failed, StillOnItsWay, Verdict, Waiter

if TYPE_CHECKING:
    from airflow_provider_saagie.client.settings import Settings
    from airflow_provider_saagie.triggers.connection import Connection

__all__ = ["detached", "following", "stop", "wait"]

LAST_LOOK = 3.0
"""Seconds that the last look at a deadline, or before a stop, may take."""
STOP_LIMIT = 10.0
"""Seconds that a stop may take, once it is its turn."""
LAST_LINES = 3.0
"""Seconds that the last lines of a job's log may delay the end of a task."""
LAST_WORD = 0.5
"""Seconds that a line of ours may delay it, where the log takes none for now."""


class Watcher:
    """A poller's task and the count of those who need it.

    :param conn_id: the connection's id in Airflow.
    """

    def __init__(self, conn_id: str) -> None:
        self.members = 0
        loop = asyncio.get_running_loop()
        meters = _meters.setdefault(loop, {})
        meter = meters.setdefault(conn_id, Meter(conn_id, loop.time()))
        self.poller = Poller(lambda: _look_up(conn_id), meter)
        self.task = loop.create_task(self.poller.run(), name=f"saagie watcher {conn_id}", context=contextvars.Context())
        self.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Hand a mistake of ours to the waiters, who would wait for ever."""
        _tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        for waiter in list(self.poller.waiters):
            if waiter.verdict.done():
                continue
            if error is None:
                waiter.verdict.cancel()
            else:
                waiter.verdict.set_exception(error)


_watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Watcher]] = WeakKeyDictionary()
_meters: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Meter]] = WeakKeyDictionary()
_tasks: set[asyncio.Task[Any]] = set()  # asyncio itself only holds them weakly


async def wait(conn_id: str, waiter: Waiter, *, deadline: float | None = None) -> Verdict:
    """Wait for an instance's end, together with all others of the connection.

    :param conn_id: the connection's id in Airflow.
    :param waiter: who waits, and for what.
    :param deadline: when to stop waiting, in seconds since 1970; the status is read once more then.
    :return: what the waiting came to.
    """
    # Thousands wait here at a time: no task, no nested coroutine and no context manager of their own.
    watcher = _join(conn_id)
    poller = watcher.poller
    timer: asyncio.TimerHandle | None = None
    try:
        poller.add(waiter)
        if deadline is not None:
            seconds = max(0.0, deadline - time.time())
            timer = asyncio.get_running_loop().call_later(seconds, _at_deadline, poller, waiter, context=waiter.context)
        verdict = await waiter.verdict
        unread = isinstance(verdict, Failed) or (isinstance(verdict, StillOnItsWay) and not verdict.was_read)
        if waiter.stream_logs and not unread:
            await _last_lines(poller, waiter)
        if waiter.newest_line and not waiter.newest_line.done():
            await asyncio.wait({waiter.newest_line}, timeout=LAST_WORD)  # it may be the log itself that takes no line
    finally:
        if timer:
            timer.cancel()
        poller.remove(waiter)
        _leave(conn_id, watcher)
    if watcher.members == 0:
        await asyncio.wait({watcher.task})  # the connections are closed before the loop may end
    return verdict


def _at_deadline(poller: Poller, waiter: Waiter) -> None:
    if not waiter.verdict.done():
        poller.look_now(waiter)
        give_up = StillOnItsWay(was_read=False)
        asyncio.get_running_loop().call_later(LAST_LOOK, waiter.settle, give_up, context=waiter.context)


async def _last_lines(poller: Poller, waiter: Waiter) -> None:
    done, _ = await asyncio.wait({poller.logs.drain(waiter)}, timeout=LAST_LINES)
    if not done:
        waiter.say(logging.WARNING, "%s", job_log.not_all_read(poller.connection.link(waiter)))


@asynccontextmanager
async def following(conn_id: str, feed: JobFeed) -> AsyncIterator[Connection]:
    """Ask about a job, together with all else of the connection, for the length of a block.

    :param conn_id: the connection's id in Airflow.
    :param feed: who wants to know, and what of.
    :return: the watcher's connection, for links.
    """
    with _membership(conn_id) as watcher:
        watcher.poller.add(feed)
        try:
            yield watcher.poller.connection
        finally:
            watcher.poller.remove(feed)


async def stop(conn_id: str, waiter: Waiter, *, why: str) -> None:
    """Ask for an instance to be stopped, once, over the watcher's connections; a failure is only logged.

    One that has ended already is left in peace: a triggerer that was slow or stood still is told late that a trigger is
    no longer its own, when another one has seen the end and the task has gone on.

    :param conn_id: the connection's id in Airflow.
    :param waiter: whose instance, and whose log.
    :param why: is logged first, but not waited for: the log may take no line for now.
    """
    with _membership(conn_id) as watcher:
        connection, teller = watcher.poller.connection, watcher.poller.teller
        teller.tell([(waiter, logging.INFO, why)])
        connection.stops_under_way += 1
        try:
            async with connection.stopping, asyncio.timeout(STOP_LIMIT):
                session = await connection.session()
                if await _has_ended(connection, waiter):
                    line = "It has ended already: there is nothing to stop."
                else:
                    await session.run(instances.stop(waiter.instance_id))
                    line = "Saagie was asked to stop it."
            level = logging.INFO
        except (SaagieError, TimeoutError) as error:
            problem = connection.problem
            late = problem.error if problem else f"Saagie did not answer within {STOP_LIMIT:.0f} s"
            what = error if isinstance(error, SaagieError) else late
            level = logging.WARNING
            line = f"The stop failed, so that the instance may go on: {connection.link(waiter)} ({what})"
        finally:
            connection.stops_under_way -= 1
        await teller.told([(waiter, level, line)])


async def _has_ended(connection: Connection, waiter: Waiter) -> bool:
    """Look at an instance once; where that does not tell, it has not ended."""
    try:
        async with asyncio.timeout(LAST_LOOK):
            outcome = await connection.send(INSTANCES.operation, INSTANCES.text(1), INSTANCES.variables([waiter]))
    except TimeoutError:
        return False
    reading = rounds.read(outcome, INSTANCES, [None], connection.settings)
    row = reading.rows[0] if isinstance(reading, rounds.Rows) else None
    return isinstance(row, JobInstance) and is_final(row.status)


def detached(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start work that goes on where its starter is cancelled: Airflow gives ``on_kill`` one second.

    :param work: what to do.
    :return: its task, to be awaited through ``asyncio.shield``.
    """
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


def _join(conn_id: str) -> Watcher:
    here = _watchers.setdefault(asyncio.get_running_loop(), {})
    watcher = here.get(conn_id)
    if watcher is None or watcher.task.done():
        watcher = here[conn_id] = Watcher(conn_id)
        _tasks.add(watcher.task)
    watcher.members += 1
    return watcher


def _leave(conn_id: str, watcher: Watcher) -> None:
    watcher.members -= 1
    if watcher.members == 0:
        here = _watchers.get(asyncio.get_running_loop(), {})
        if here.get(conn_id) is watcher:
            del here[conn_id]
        watcher.task.cancel()


@contextmanager
def _membership(conn_id: str) -> Iterator[Watcher]:
    watcher = _join(conn_id)
    try:
        yield watcher
    finally:
        _leave(conn_id, watcher)


async def _look_up(conn_id: str) -> Settings:
    from airflow_provider_saagie.hooks.saagie import read_settings_async

    return await read_settings_async(conn_id, by="triggerer")
