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
    """Who is due when, and of those who are due, who suffers most from waiting.

    Two heaps, so that a round costs what is due, not what is watched. Whoever is due goes over to the second one, by
    the time at which the next look after this one would be due: so that, where there is more to ask than time, the
    young, who are asked for each second, don't wait behind thousands who are asked for each ten.
    """

    def __init__(self) -> None:
        self._coming: list[tuple[float, int, Asked]] = []
        self._due: list[tuple[float, int, Asked, float]] = []
        self._order = count()

    def put(self, waiter: Asked, due: float, interval: float = 0.0) -> None:
        """Have a waiter asked for at a time; an earlier entry of its own no longer counts.

        :param due: the loop's time.
        :param interval: seconds between its looks; none is the most urgent.
        """
        waiter.due, waiter.interval = due, interval
        heapq.heappush(self._coming, (due, next(self._order), waiter))

    def drop(self, waiter: Asked) -> None:
        """Take a waiter out."""
        waiter.due = NOT_SCHEDULED

    def next_due(self) -> float | None:
        """Give the time of the next waiter; None where there is none."""
        self._drop_stale()
        if self._due:
            return self._due[0][3]
        return self._coming[0][0] if self._coming else None

    def take(self, now: float, at_most: int) -> tuple[list[Asked], float | None]:
        """Take out waiters that are due, the most urgent first.

        :param now: the loop's time.
        :param at_most: how many.
        :return: the waiters, and since when the longest due of them is.
        """
        self._move(now)
        taken: list[Asked] = []
        since: float | None = None
        while len(taken) < at_most:
            self._drop_stale()
            if not self._due:
                break
            waiter = heapq.heappop(self._due)[2]
            since = waiter.due if since is None else min(since, waiter.due)
            waiter.due = NOT_SCHEDULED
            taken.append(waiter)
        return taken, since

    def _move(self, now: float) -> None:
        while self._coming and self._coming[0][0] <= now:
            due, order, waiter = heapq.heappop(self._coming)
            if not waiter.left and waiter.due == due:
                heapq.heappush(self._due, (due + waiter.interval, order, waiter, due))

    def _drop_stale(self) -> None:
        while self._due and (self._due[0][2].left or self._due[0][3] != self._due[0][2].due):
            heapq.heappop(self._due)
        while self._coming and (self._coming[0][2].left or self._coming[0][0] != self._coming[0][2].due):
            heapq.heappop(self._coming)


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
