"""What an event trigger has told of a job, as small as it can be kept: pure, and stored between two triggerers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Told"]


@dataclass
class Told:
    """How far the telling has come.

    Of each instance with a number up to ``listed`` it is known what became of it: it was told, or it ended in a way
    that nobody wants to hear of, or it is in ``open``. So instances may end in any order, and this stays as small as
    the number of instances that are on their way at a time.

    :param listed: the highest number that was seen in the job's list; 0 where there was none.
    :param open: ids of instances whose end has yet to be told.
    """

    listed: int = 0
    open: set[str] = field(default_factory=set)

    def stored(self, *, without: Collection[str] = ()) -> dict[str, Any]:
        """Give it as JSON.

        :param without: ids that have been told by now.
        """
        return {"listed": self.listed, "open": sorted(self.open.difference(without))}

    @classmethod
    def from_stored(cls, value: object) -> Told | None:
        """Read it back; None where it is nothing that any version has written.

        :param value: what the store gave. Keys that a later version may add are passed over.
        """
        if not isinstance(value, dict):
            return None
        listed, still_open = value.get("listed"), value.get("open")
        if not isinstance(listed, int) or isinstance(listed, bool) or listed < 0 or not isinstance(still_open, list):
            return None
        if not all(isinstance(one, str) for one in still_open):
            return None
        return cls(listed, set(still_open))
