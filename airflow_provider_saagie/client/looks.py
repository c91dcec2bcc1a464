"""What looking at an instance again and again tells: whether it has ended, or is gone."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.status import UNKNOWN_GRACE, is_final

__all__ = ["Looks"]

NULLS_OF_THE_GONE = 2
"""How often in a row an instance is null that is no more: once can pass."""


@dataclass
class Looks:
    """The looks at one instance so far.

    :param status: its status as it was seen last.
    """

    status: str
    nulls: int = 0
    unknown_since: float | None = None

    def have_seen_its_end(self, seen: JobInstance | None, now: float) -> bool:
        """Take in one more look, and say whether the instance has ended; UNKNOWN is believed once it lasts.

        :param seen: the instance; None where the platform doesn't know it.
        :param now: seconds, by any clock.
        """
        if seen is None:
            self.nulls += 1
            return False
        self.nulls = 0
        self.status = seen.status
        if self.status != "UNKNOWN":
            self.unknown_since = None
        elif self.unknown_since is None:
            self.unknown_since = now
        believed = self.unknown_since is None or now - self.unknown_since >= UNKNOWN_GRACE
        return is_final(self.status) and believed

    @property
    def is_gone(self) -> bool:
        """Whether the instance no longer exists."""
        return self.nulls >= NULLS_OF_THE_GONE
