"""An event loop whose time skips ahead whenever there is nothing to do, so that ten minutes of waiting take none.

Client and server of a test live in the same loop: whatever is on its way between them over loopback is readable at
once, so that "nothing to do" is sure. Threads are waited for.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")
A_MOMENT = 0.003  # real seconds, for the kernel


class _SkippingSelector(selectors.DefaultSelector):
    loop: SkippingLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout <= 0 or self.loop.in_threads:
            return super().select(timeout if timeout is None else min(timeout, 0.02))
        ready = super().select(min(timeout, A_MOMENT))
        if not ready:
            self.loop.skipped += timeout
        return ready


class SkippingLoop(asyncio.SelectorEventLoop):
    """A loop for ``asyncio.Runner(loop_factory=...)``."""

    def __init__(self) -> None:
        self.skipped = 0.0
        self.in_threads = 0
        selector = _SkippingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return super().time() + self.skipped

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self.in_threads += 1
        future.add_done_callback(self._back_from_thread)
        return future

    async def shutdown_default_executor(self, *limit: Any) -> None:
        """Wait for the threads themselves: from Python 3.12 on there is a time limit, which would be skipped."""
        self.in_threads += 1
        await super().shutdown_default_executor(*limit)
        self.in_threads -= 1

    def _back_from_thread(self, _: object) -> None:
        self.in_threads -= 1


def loop_at(phase: float, period: float) -> SkippingLoop:
    """Make a loop that begins at a phase of a period, as in `phase` seconds after a full minute."""
    loop = SkippingLoop()
    loop.skipped = (phase - loop.time()) % period
    return loop


class TimelessLoop(SkippingLoop):
    """A loop in which work takes no time, only waiting does: what is measured in it is the same on any machine."""

    def time(self) -> float:
        return self.skipped


class CpuTimeLoop(SkippingLoop):
    """A loop whose time is that of this thread's work and of waiting: what blocks it shows, a busy machine does not."""

    def time(self) -> float:
        return time.thread_time() + self.skipped


def run(
    main: Coroutine[Any, Any, T], *, debug: bool = True, loop: Callable[[], asyncio.AbstractEventLoop] = SkippingLoop
) -> T:
    """Run to the end, and check that nothing is left behind.

    :param debug: asyncio's own checks; they cost a second per some hundred tasks.
    :param loop: makes the loop.
    """

    async def whole() -> T:
        result = await main
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == [], left
        return result

    with asyncio.Runner(loop_factory=loop, debug=debug) as runner:
        return runner.run(whole())
