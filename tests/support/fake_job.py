"""A job of the fake Saagie, whose instances start, end and are deleted at times that a test sets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from tests.support.fake_saagie import FakeSaagie, ItemError, instance, row

JOB = instance(10**9)
Span = tuple[float, float]
NEVER: Span = (math.inf, math.inf)


@dataclass
class Run:
    """An instance; times are in seconds since the start of the fake Saagie."""

    number: int
    starts: float = 0.0
    ends: float = math.inf
    status: str = "SUCCEEDED"
    deleted: float = math.inf
    id: str = ""

    def row(self, at: float) -> dict[str, Any]:
        ended = self.ends <= at
        more = {"number": self.number, "jobId": JOB, "endTime": f"end {self.ends:g}" if ended else None}
        return row(self.status if ended else "RUNNING", **more) | {"id": self.id}


@dataclass
class FakeJob:
    """The job's instances, and the times in which it is not as it should be.

    :param missing: the platform answers null for the job and for its instances.
    :param failing: it answers an error for both.
    :param hidden: it answers an error for the job and null for its instances, as to a login without rights.
    """

    runs: list[Run] = field(default_factory=list)
    missing: Span = NEVER
    failing: Span = NEVER
    hidden: Span = NEVER

    def add(self, *runs: Run) -> None:
        for run in runs:
            run.id = run.id or instance(len(self.runs) + 1)
            self.runs.append(run)

    def serve(self, saagie: FakeSaagie) -> None:
        saagie.list_instances = lambda job_id, at: self.list_rows(at) if job_id == JOB else []
        saagie.get_instance = self.get

    def list_rows(self, at: float) -> list[dict[str, Any]] | None:
        if _is_in(self.failing, at) or _is_in(self.hidden, at):
            raise ItemError("no right to see it", "FORBIDDEN")
        if _is_in(self.missing, at):
            return None
        present = [run for run in self.runs if run.starts <= at < run.deleted]
        return [run.row(at) for run in sorted(present, key=lambda run: -run.number)]

    def get(self, instance_id: str, at: float) -> dict[str, Any] | None:
        rows = None if _is_in(self.hidden, at) else self.list_rows(at)
        return next((row for row in rows or () if row["id"] == instance_id), None)


def _is_in(span: Span, at: float) -> bool:
    return span[0] <= at < span[1]
