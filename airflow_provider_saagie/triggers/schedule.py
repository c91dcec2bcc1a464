"""When each waiter is to be asked for next."""

from __future__ import annotations

import heapq
import math
from itertools import count

from airflow_provider_saagie.triggers.waiter import Asked

__all__ = ["NOT_SCHEDULED", "Schedule", "interval", "next_tick"]

STEPS = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0)
SHARE_OF_AGE = 0.1
NOT_SCHEDULED = math.inf


class Schedule:
    """A heap of waiters by the time they are due; a round costs what is due, not what is watched."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Asked]] = []
        self._order = count()

    def put(self, waiter: Asked, due: float) -> None:
        """Have a waiter asked for at a time; an earlier entry of its own no longer counts."""
        waiter.due = due
        heapq.heappush(self._heap, (due, next(self._order), waiter))

    def drop(self, waiter: Asked) -> None:
        """Take a waiter out."""
        waiter.due = NOT_SCHEDULED

    def next_due(self) -> float | None:
        """Give the time of the next waiter; None where there is none."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def take(self, now: float, at_most: int | None = None) -> list[Asked]:
        """Take out the waiters that are due, the longest due first."""
        taken: list[Asked] = []
        while at_most is None or len(taken) < at_most:
            self._drop_stale()
            if not self._heap or self._heap[0][0] > now:
                break
            waiter = heapq.heappop(self._heap)[2]
            waiter.due = NOT_SCHEDULED
            taken.append(waiter)
        return taken

    def _drop_stale(self) -> None:
        while self._heap and (self._heap[0][2].left or self._heap[0][0] != self._heap[0][2].due):
            heapq.heappop(self._heap)


def interval(age: float, poll_interval: float) -> float:
    """Give the seconds to the next look: short while an instance is young, longer as it ages.

    :param age: seconds since the instance started, or since it was first seen.
    :param poll_interval: seconds that are never exceeded.
    """
    wanted = age * SHARE_OF_AGE
    step = next((step for step in STEPS if step >= wanted), poll_interval)
    return min(step, poll_interval)


def next_tick(now: float, seconds: float) -> float:
    """Give the next time on the grid of an interval, so that waiters who came at different times share requests.

    The grid has two points an interval, so that the next one lies between a half and a whole interval ahead.

    :param now: the loop's time.
    :param seconds: the interval.
    """
    step = seconds / 2
    return math.floor((now + seconds) / step) * step
