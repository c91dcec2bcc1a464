"""Whether a task stood still for so long that Airflow may have given its try up, and begun the next one.

Airflow hears of a task through its supervisor, the process whose child the task's own is. Where that says nothing for
``[scheduler] task_instance_heartbeat_timeout``, the task is retried, and the retry takes up the instance of this try.
A process that was only frozen (a paused machine, SIGSTOP, a disk that hangs) wakes up after that, is told to end, and
must not stop what belongs to the retry by then. It is told in a signal handler, where it can't ask Airflow: so it has
to know by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import conf

from airflow_provider_saagie import airflow_compat

__all__ = ["Pulse", "beating"]

TICK = 1.0
"""Seconds between two beats."""
ASKED_AGAIN = 60.0
"""Seconds until what could not be settled is tried again."""
ROUND_TRIP = 20.0
"""Seconds that a heartbeat of the supervisor, and the signal that its refusal brings, may take."""


class Pulse:
    """Knows for how long this process, or its supervisor, stood still, and whether that still matters.

    :param limit: seconds of stillness from which on Airflow may have given the try up.
    :param memory: seconds for which such a stillness counts. Where the try lives on, the supervisor's next heartbeat
        was accepted within them, and what comes later is about this try.
    :param supervisor_beat: gives a number that changes as the supervisor works; None where it can't be told.
    :param clock: seconds that go on while the process, and the machine, sleeps.
    """

    def __init__(
        self,
        limit: float,
        memory: float,
        supervisor_beat: Callable[[], int | None],
        clock: Callable[[], float],
    ) -> None:
        self._limit = limit
        self._memory = memory
        self._supervisor_beat = supervisor_beat
        self._clock = clock
        self._alive_at = clock()
        self._beat = supervisor_beat()
        self._stillness = 0.0
        self._counts_until = self._alive_at

    def tick(self) -> None:
        """Note that this process runs, and whether its supervisor did since the last tick."""
        now, beat = self._clock(), self._supervisor_beat()
        if beat is not None and beat == self._beat:
            return
        stillness = now - self._alive_at
        if stillness >= self._limit:
            self._stillness, self._counts_until = stillness, now + self._memory
        self._alive_at, self._beat = now, beat

    def stillness(self) -> float:
        """Give the seconds for which it stood still, where Airflow may have given the try up for that; else 0.

        May be called from a signal handler, before the first tick after waking up.
        """
        now = self._clock()
        if now - self._alive_at >= self._limit:
            return now - self._alive_at
        return self._stillness if now < self._counts_until else 0.0


@contextmanager
def beating(also: Callable[[], bool]) -> Iterator[Pulse]:
    """Watch over this process and its supervisor for the length of a block, in a thread that ends with it.

    :param also: done beside it, where the block lasts for a second, and again each minute until it gives True. It has
        a thread of its own: a beat that waited for it would be taken for a process that stood still.
    """
    patience = conf.getfloat("scheduler", "task_instance_heartbeat_timeout", fallback=300.0)
    interval = conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0)
    pulse = Pulse(
        # The last heartbeat may be an interval older than the stillness, and have taken a while itself.
        limit=max(patience - 2 * interval, patience / 2),
        memory=2 * interval + ROUND_TRIP,
        supervisor_beat=_context_switches_of(airflow_compat.supervisor_pid()),
        clock=_now,
    )
    over = threading.Event()

    def beat() -> None:
        while not over.wait(TICK):
            pulse.tick()

    def find_out() -> None:
        pause = TICK
        while not over.wait(pause) and not also():
            pause = ASKED_AGAIN

    threading.Thread(target=beat, name="saagie-pulse", daemon=True).start()
    threading.Thread(target=find_out, name="saagie-api-server", daemon=True).start()
    try:
        yield pulse
    finally:
        over.set()


def _now() -> float:
    """Give seconds that also pass while the machine is suspended, where the system counts them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _context_switches_of(pid: int | None) -> Callable[[], int | None]:
    """Make the function that counts how often a process has waited for something: one that runs never stops doing that.

    A supervisor wakes up for each heartbeat at least. The count is Linux's; elsewhere nothing is known of it.
    """
    path = f"/proc/{pid}/status"

    def count() -> int | None:
        if pid is None:
            return None
        try:
            with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - each second, so the short way
                found = [line for line in file if line.startswith("voluntary_ctxt_switches")]
            return int(found[0].split()[1])
        except (OSError, IndexError, ValueError):
            return None

    return count
