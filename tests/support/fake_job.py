"""A job of the small Saagie: instances that start, end and are deleted at times that a test says."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from tests.support.fake_saagie import RowFails, SmallSaagie, instance, row

JOB = instance(10**9)


@dataclass
class Run:
    """An instance; times are seconds since the small Saagie began."""

    number: int
    starts: float = 0.0
    ends: float = math.inf
    status: str = "SUCCEEDED"
    deleted: float = math.inf
    id: str = ""

    def told(self, at: float) -> dict[str, Any]:
        ended = self.ends <= at
        more = {"number": self.number, "jobId": JOB, "endTime": f"end {self.ends:g}" if ended else None}
        return row(self.status if ended else "RUNNING", **more) | {"id": self.id}


@dataclass
class SmallJob:
    """The job's instances, and the times in which the job is away, can't be told of, or can't while they are away."""

    runs: list[Run] = field(default_factory=list)
    away: tuple[float, float] = (math.inf, math.inf)
    failing: tuple[float, float] = (math.inf, math.inf)
    hidden: tuple[float, float] = (math.inf, math.inf)

    def add(self, *runs: Run) -> None:
        for one in runs:
            one.id = one.id or instance(len(self.runs) + 1)
            self.runs.append(one)

    def serve(self, saagie: SmallSaagie) -> None:
        saagie.list_job = lambda job_id, at: self.list(at) if job_id == JOB else []
        saagie.tell = self.tell

    def list(self, at: float) -> list[dict[str, Any]] | None:
        if self.failing[0] <= at < self.failing[1] or self.hidden[0] <= at < self.hidden[1]:
            raise RowFails("no right to see it", "FORBIDDEN")
        if self.away[0] <= at < self.away[1]:
            return None
        there = [one for one in self.runs if one.starts <= at < one.deleted]
        return [one.told(at) for one in sorted(there, key=lambda one: -one.number)]

    def tell(self, instance_id: str, at: float) -> dict[str, Any] | None:
        if self.hidden[0] <= at < self.hidden[1]:
            return None
        there = {one["id"]: one for one in self.list(at) or ()}
        return there.get(instance_id)
