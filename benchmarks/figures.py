"""What benchmarks share: a table of figures with what is promised, and the machine that they were taken on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True)
class Bound:
    """A promise, and what was measured of it.

    :param name: what is promised.
    :param value: what was measured.
    :param limit: what it must not pass.
    :param at_least: whether ``limit`` is the least rather than the most.
    """

    name: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether the promise is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        """Write a line: the promise, the figure, and whether it is kept."""
        sign, mark = ("≥" if self.at_least else "≤", "PASS" if self.is_kept else "OVER THE BOUND")
        return f"{self.name:<58} {self.value:8.2f} {self.unit:<4} {sign} {self.limit:g} {self.unit:<4} {mark}"


def machine() -> str:
    """Say what the figures were taken on."""
    load = os.getloadavg()[0]
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("requests", "gql", "urllib3"))
    return (
        f"Python {platform.python_version()}, {versions}; {os.cpu_count()} cores, {platform.machine()}; "
        f"load {load:.1f} before, our own work included"
    )


def verdict(bounds: list[Bound]) -> int:
    """Print the promises; 1 where one is not kept."""
    print()
    for bound in bounds:
        print(bound)
    return int(not all(bound.is_kept for bound in bounds))
