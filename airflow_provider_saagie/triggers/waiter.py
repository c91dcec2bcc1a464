"""One instance that somebody waits for, and what the waiting can come to."""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from airflow_provider_saagie.client.instances import JobInstance
    from airflow_provider_saagie.client.settings import Settings

__all__ = ["Ended", "Failed", "StillOnItsWay", "Verdict", "Waiter"]


class Log(Protocol):
    """What we need of a logger: Airflow's own is none of the standard library's."""

    def log(self, level: int, event: Any, *args: Any) -> Any:
        """Log a line."""


@dataclass(frozen=True)
class Ended:
    """The instance came to an end.

    :param instance: as it was read last.
    """

    instance: JobInstance


@dataclass(frozen=True)
class Failed:
    """The waiting can't go on, though the instance may.

    :param kind: ``"auth"``, ``"gone"`` or ``"api"``.
    :param message: what happened, and what to do.
    """

    kind: str
    message: str


@dataclass(frozen=True)
class StillOnItsWay:
    """The deadline passed.

    :param was_read: whether the status could be read once more at the deadline.
    """

    was_read: bool


Verdict: TypeAlias = Ended | Failed | StillOnItsWay


@dataclass(slots=True, eq=False)
class Waiter:
    """What the watcher knows of one waiter. Thousands of them live at a time, without a task each.

    :param instance_id: the instance.
    :param log: the waiter's own logger.
    :param job_id: the instance's job, for its link.
    :param project_id: the job's project, for its link.
    :param poll_interval: seconds between two looks at most.
    :param unknown_grace: seconds for which UNKNOWN is taken for a passing state.
    :param stream_logs: whether the job's lines are to be shown.
    :param lines_seen: how many of them have been shown.
    :param log_limit: how many are shown at most.
    """

    instance_id: str
    log: Log
    job_id: str | None = None
    project_id: str | None = None
    poll_interval: float = 10.0
    unknown_grace: float = 60.0
    stream_logs: bool = False
    lines_seen: int = 0
    log_limit: int = 10_000

    # Where the log lines go is decided by context variables: the waiter's own are kept, for a poller that has none.
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    verdict: asyncio.Future[Verdict] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    drained: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    last_look_since: float | None = None
    draining: bool = False
    left: bool = False

    # What earlier rounds saw.
    instance: JobInstance | None = None
    due: float = 0.0
    first_seen: float | None = None
    nulls: int = 0
    unknown_since: float | None = None
    error_since: float | None = None
    asked_alone: bool = False
    odd_status: str | None = None
    log_trouble_told: bool = False

    def say(self, level: int, message: str, *args: Any) -> None:
        """Log a line into the waiter's own log, from wherever."""
        if not self.left:
            self.context.run(self.log.log, level, message, *args)

    def settle(self, verdict: Verdict) -> None:
        """End the waiting, if it has not ended yet."""
        if not self.verdict.done():
            self.verdict.set_result(verdict)

    def forget_doubts(self) -> None:
        """Count nulls, errors and UNKNOWN anew: Saagie was away, and what it said before proves nothing now."""
        self.nulls, self.unknown_since, self.error_since = 0, None, None

    def link(self, settings: Settings | None) -> str:
        """Give the address of the instance's page, or the next best."""
        job_id = self.job_id or (self.instance.job_id if self.instance else None)
        if settings is None:
            return f"job instance {self.instance_id}"
        if self.project_id and job_id:
            return settings.instance_url(self.project_id, job_id, self.instance_id)
        return f"job instance {self.instance_id} on {settings.base_url}"
