"""An event loop with virtual time: `looptime` skips every pause, so that ten minutes of waiting take none.

Client and server of a test share the loop. Code takes no virtual time, only timers do, so that a slow machine changes
nothing that a test measures. While a thread of the executor runs, time stands still until the next timer is really due.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import looptime

T = TypeVar("T")


class VirtualTimeLoop(looptime.LoopTimeEventLoop, asyncio.SelectorEventLoop):
    """A loop factory for ``asyncio.Runner``; ``start`` is the loop's first time, as in "4 s after a full minute"."""

    def call_at(self, when: float, *args: Any, **more: Any) -> asyncio.TimerHandle:
        """Round up to looptime's resolution.

        asyncio fires a timer up to a nanosecond early. Code that then waits for the rest would do so forever here,
        since the time between two timers doesn't pass.
        """
        return super().call_at(math.ceil(when * 1e6) / 1e6, *args, **more)

    async def shutdown_default_executor(self, *_timeout: Any) -> None:
        """Wait for all threads: from Python 3.12 on the runner passes a time limit, which would be skipped."""
        await super().shutdown_default_executor()


class CpuTimeLoop(VirtualTimeLoop):
    """A virtual loop in which this thread's CPU time passes too.

    `looptime` hides a callback that blocks the loop; asyncio's debug mode finds it here, on a busy machine as well.
    """

    def time(self) -> float:
        return super().time() + time.thread_time()


def run(
    main: Coroutine[Any, Any, T], *, debug: bool = True, loop: Callable[[], VirtualTimeLoop] = VirtualTimeLoop
) -> T:
    """Run to the end, and check that no task is left behind.

    :param debug: asyncio's debug mode; it costs a second per some hundred tasks.
    :param loop: the loop factory.
    """

    async def run_and_check() -> T:
        result = await main
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert left == set(), left
        return result

    with asyncio.Runner(loop_factory=loop, debug=debug) as runner:
        return runner.run(run_and_check())
