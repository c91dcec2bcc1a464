"""How much is asked for in one request: as much as the platform takes."""

from __future__ import annotations

__all__ = ["BatchSize"]

BELIEVED = 600.0
"""Seconds after which twice as much is tried: a platform that was in trouble, and not overtaxed, takes it again."""


class BatchSize:
    """The size that worked, for a while.

    :param largest: what is never exceeded.
    """

    def __init__(self, largest: int) -> None:
        self._largest = self._size = largest
        self._since = 0.0

    def at(self, now: float) -> int:
        """Give the size to use.

        :param now: the loop's time.
        """
        if self._size < self._largest and now - self._since >= BELIEVED:
            self._size, self._since = min(2 * self._size, self._largest), now
        return self._size

    def shrink(self, size: int, now: float) -> None:
        """Note that more than so much was refused.

        :param size: what worked, or may.
        :param now: the loop's time.
        """
        self._size, self._since = min(self._size, size), now
