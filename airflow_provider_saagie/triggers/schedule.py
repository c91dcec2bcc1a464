"""When each waiter is to be asked for next."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator

from airflow_provider_saagie.triggers.waiter import Asked

__all__ = [
    "EARLY",
    "FINEST_GRID",
    "NOT_SCHEDULED",
    "TAKEN_EARLY",
    "Schedule",
    "interval",
    "next_but_not_soon",
    "next_tick",
]

STEPS = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
SHARE_OF_AGE = 0.1
NOT_SCHEDULED = math.inf
TAKEN_EARLY = 0.05
"""Seconds before its tick in which a waiter is asked for already, together with others."""
EARLY = 0.06
"""Seconds before a tick in which it counts as over: a little more, so that nobody is asked for twice for one tick."""
FINEST_GRID = 4 * EARLY
"""Seconds of the shortest interval that has a grid: of a shorter one, what is taken early would be too large a part."""


class Schedule:
    """Who is due when, and of those who are due, who suffers most from waiting.

    Looks fall on a grid, so that those who are due at the same time stand in one queue, and a round costs what is due,
    not what is watched. Whoever is due goes over to a second set of queues, by the time at which the next look after
    this one would be due: so that, where there is more to ask than time, the young, who are asked for each second,
    don't wait behind thousands who are asked for each ten.
    """

    def __init__(self) -> None:
        self._coming = Queues()
        self._due = Queues()

    def put(self, waiter: Asked, due: float, interval: float = 0.0) -> None:
        """Have a waiter asked for at a time; an earlier entry of its own no longer counts.

        :param due: the loop's time.
        :param interval: seconds between its looks; none is the most urgent.
        """
        waiter.due, waiter.interval = due, interval
        self._coming.add(due, due, waiter)

    def drop(self, waiter: Asked) -> None:
        """Take a waiter out."""
        waiter.due = NOT_SCHEDULED

    def next_due(self) -> float | None:
        """Give the time of the next waiter; None where there is none."""
        first = self._due.first() or self._coming.first()
        return first[0] if first else None

    def take(self, now: float, at_most: int) -> tuple[list[Asked], float | None]:
        """Take out waiters that are due, the most urgent first.

        :param now: the loop's time.
        :param at_most: how many.
        :return: the waiters, and since when the longest due of them is.
        """
        for due, waiter in self._coming.take(now):
            self._due.add(due + waiter.interval, due, waiter)
        taken: list[Asked] = []
        since = math.inf
        for due, waiter in self._due.take(math.inf, at_most):
            since = min(since, due)
            waiter.due = NOT_SCHEDULED
            taken.append(waiter)
        return taken, since if taken else None


class Queues:
    """Waiters by a time, those of one time in the order in which they came."""

    def __init__(self) -> None:
        self._queues: dict[float, deque[tuple[float, Asked]]] = {}
        self._times: list[float] = []

    def add(self, time: float, due: float, waiter: Asked) -> None:
        """Put a waiter at the end of the queue of a time."""
        queue = self._queues.get(time)
        if queue is None:
            queue = self._queues[time] = deque()
            heapq.heappush(self._times, time)
        queue.append((due, waiter))

    def first(self) -> tuple[float, Asked] | None:
        """Give who comes first, and when it is due; whoever has left or is due at another time is forgotten."""
        while self._times:
            queue = self._queues[self._times[0]]
            while queue:
                due, waiter = queue[0]
                if waiter.due == due and not waiter.left:
                    return queue[0]
                queue.popleft()
            del self._queues[heapq.heappop(self._times)]
        return None

    def take(self, until: float, at_most: int | None = None) -> Iterator[tuple[float, Asked]]:
        """Take out those of the times up to one, in their order.

        :param until: the last time.
        :param at_most: how many.
        """
        left = at_most
        while self._times and self._times[0] <= until:
            queue = self._queues[self._times[0]]
            while queue:
                if left == 0:
                    return
                due, waiter = queue.popleft()
                if waiter.due == due and not waiter.left:
                    left = None if left is None else left - 1
                    yield due, waiter
            del self._queues[heapq.heappop(self._times)]


def interval(age: float, poll_interval: float) -> float:
    """Give the seconds to the next look: short while an instance is young, longer as it ages.

    :param age: seconds since the instance started, or since it was first seen.
    :param poll_interval: seconds that are never exceeded.
    """
    wanted = age * SHARE_OF_AGE
    if wanted >= poll_interval:
        return poll_interval
    step = next((step for step in STEPS if step >= wanted), poll_interval)
    return min(step, poll_interval)


def next_tick(now: float, seconds: float) -> float:
    """Give the next time on the grid of an interval, so that waiters who came at different times share requests.

    :param now: the loop's time; a tick that is nearer than what is taken early counts as over.
    :param seconds: the interval.
    """
    if seconds < FINEST_GRID:
        return now + max(seconds, EARLY)
    return (math.floor((now + EARLY) / seconds) + 1) * seconds


def next_but_not_soon(now: float, seconds: float) -> float:
    """Give the next time on the grid of half an interval that is at least half of it ahead, and at most the whole.

    :param now: the loop's time.
    :param seconds: the interval.
    """
    if seconds < FINEST_GRID:
        return next_tick(now, seconds)
    step = seconds / 2
    return math.floor((now + seconds) / step) * step
