"""What the poller asks about: one instance that somebody waits for, and what the waiting can come to."""

from __future__ import annotations

import asyncio
import contextvars
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from airflow_provider_saagie.client.instances import JobInstance
    from airflow_provider_saagie.client.settings import Settings
    from airflow_provider_saagie.triggers.teller import Teller

__all__ = ["Asked", "Ended", "Failed", "StillOnItsWay", "Verdict", "Waiter"]


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


@dataclass(slots=True, eq=False, kw_only=True)
class Asked:
    """What the poller keeps of anything that it asks about. Thousands live at a time, without a task each.

    :param log: whose logger tells of it.
    :param poll_interval: seconds between two looks at most.
    """

    log: Log
    poll_interval: float = 10.0

    # Where the log lines go is decided by context variables: the waiter's own are kept, for a poller that has none.
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    verdict: asyncio.Future[Verdict] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    last_look_since: float | None = None
    left: bool = False

    # What earlier rounds saw.
    joined: float = 0.0
    due: float = 0.0
    interval: float = 0.0
    nulls: int = 0
    error_since: float | None = None
    asked_alone: bool = False
    is_steady: bool = False
    """Whether it has come to its longest interval, and there is no doubt about it."""
    teller: Teller | None = None
    newest_line: asyncio.Task[None] | None = None
    """Done when its newest line is written."""
    last_line_at: float | None = None

    @property
    def endless(self) -> bool:
        """Whether it is asked about for as long as somebody wants to know, whatever goes wrong."""
        return False

    @property
    def is_in_doubt(self) -> bool:
        """Whether the platform could not say of late how it does."""
        return self.error_since is not None or self.asked_alone

    @property
    def quiet(self) -> bool:
        """Whether somebody else's log tells when Saagie is lost and when it is back."""
        return False

    def say(self, level: int, message: str, *args: Any) -> None:
        """Have a line written into its own log, soon."""
        if self.teller:
            self.teller.tell([(self, level, message % args)])

    def write(self, level: int, line: str) -> None:
        """Write a line into its own log, for the teller: this may take as long as the log likes."""
        if not self.left:
            with suppress(Exception):  # a log that takes no line must not end the waiting of all others
                # A copy, since it may be in use in a thread.
                self.context.copy().run(self.log.log, level, "%s", line)
            self.last_line_at = time.monotonic()

    def settle(self, verdict: Verdict) -> None:
        """End the waiting, if it has not ended yet."""
        if not self.verdict.done():
            self.verdict.set_result(verdict)

    def forget_doubts(self) -> None:
        """Count nulls and errors anew: Saagie was away, and what it said before proves nothing now."""
        self.nulls, self.error_since = 0, None

    def link(self, settings: Settings | None) -> str:
        """Give the address of a page about it, or the next best."""
        raise NotImplementedError


@dataclass(slots=True, eq=False, kw_only=True)
class Waiter(Asked):
    """What the watcher knows of one who waits for an instance.

    :param instance_id: the instance.
    :param job_id: the instance's job, for its link.
    :param project_id: the job's project, for its link.
    :param unknown_grace: seconds for which UNKNOWN is taken for a passing state.
    :param stream_logs: whether the job's lines are to be shown.
    :param lines_seen: how many of them have been shown.
    :param log_limit: how many are shown at most.
    :param of_feed: whether a :class:`JobFeed` waits, which also has the job's list to look at.
    """

    instance_id: str
    job_id: str | None = None
    project_id: str | None = None
    unknown_grace: float = 60.0
    stream_logs: bool = False
    lines_seen: int = 0
    log_limit: int = 10_000
    of_feed: bool = False

    drained: asyncio.Future[None] | None = None  # made where somebody waits for the last lines

    # What earlier rounds saw.
    instance: JobInstance | None = None
    started_at: float | None = None
    first_seen: float | None = None
    unknown_since: float | None = None
    odd_status: str | None = None
    log_trouble_told: bool = False

    @property
    def endless(self) -> bool:
        """As a feed is."""
        return self.of_feed

    @property
    def quiet(self) -> bool:
        """The feed tells."""
        return self.of_feed

    def forget_doubts(self) -> None:
        """Count nulls, errors and UNKNOWN anew."""
        self.nulls, self.error_since, self.unknown_since = 0, None, None

    def link(self, settings: Settings | None) -> str:
        """Give the address of the instance's page, or the next best."""
        job_id = self.job_id or (self.instance.job_id if self.instance else None)
        if settings is None:
            return f"job instance {self.instance_id}"
        if self.project_id and job_id:
            return settings.instance_url(self.project_id, job_id, self.instance_id)
        return f"job instance {self.instance_id} on {settings.base_url}"
