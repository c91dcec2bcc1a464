"""The triggers: thin, since the watcher does the waiting for all of them together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_saagie import airflow_compat, job_log
from airflow_provider_saagie.exceptions import SaagieError
from airflow_provider_saagie.triggers.events import InstanceEvent
from airflow_provider_saagie.triggers.job_event import SaagieJobEventTrigger

if TYPE_CHECKING:
    from airflow_provider_saagie.client.instances import JobInstance
    from airflow_provider_saagie.triggers.waiter import Verdict, Waiter

__all__ = ["SaagieJobEventTrigger", "SaagieJobInstanceTrigger"]

CLASS_PATH = "airflow_provider_saagie.triggers.saagie.SaagieJobInstanceTrigger"
SHORTEST_INTERVAL = 0.05
USUAL_START_LAG = 10.0
"""Seconds within which a triggerer takes up a task that has just deferred; later, it took over from another."""
HEARD_WITHIN = 3.0
"""Seconds that a busy machine takes to end a task's process, and its scheduler to hear of that."""
LOG_LAG = 1.0
"""Seconds within which the triggerer has read a line that a trigger has logged, also where it is busy."""
WHAT_HAPPENED = {
    "failed": "was marked failed",
    "success": "was marked success",
    "removed": "was removed",
    None: "was cleared",
}
"""What users did to a task that no longer waits, by its state."""


class SaagieJobInstanceTrigger(BaseTrigger):
    """Waits for the end of one job instance.

    It carries ids and times, no secret. Its event is an :class:`InstanceEvent`.

    :param saagie_conn_id: the connection's id.
    :param instance_id: the instance.
    :param job_id: its job, for links in messages.
    :param project_id: the job's project, for links in messages.
    :param poll_interval: seconds between two looks at most; young instances are looked at more often.
    :param deadline: when to stop waiting, in seconds since 1970; None waits for ever.
    :param deadline_kind: which deadline that is: ``"timeout"`` or ``"execution_timeout"``.
    :param owned: whether the task started the instance, and may stop it.
    :param stop_on_kill: whether to stop it where a user ends or clears the task.
    :param stream_logs: whether the job's lines go to the task's log.
    :param log_lines_seen: how many of them are there already.
    :param log_limit: how many are shown at most.
    :param unknown_grace: seconds for which the status UNKNOWN is taken for a passing state.
    :param deferred_at: when the task deferred, in seconds since 1970; None is now.
    """

    def __init__(
        self,
        *,
        saagie_conn_id: str,
        instance_id: str,
        job_id: str | None = None,
        project_id: str | None = None,
        poll_interval: float = 10,
        deadline: float | None = None,
        deadline_kind: str = "timeout",
        owned: bool = False,
        stop_on_kill: bool = True,
        stream_logs: bool = False,
        log_lines_seen: int = 0,
        log_limit: int = job_log.DEFAULT_LIMIT,
        unknown_grace: float = 60,
        deferred_at: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self.saagie_conn_id = saagie_conn_id
        self.instance_id = instance_id
        self.job_id = job_id
        self.project_id = project_id
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.deadline_kind = deadline_kind
        self.owned = owned
        self.stop_on_kill = stop_on_kill
        self.stream_logs = stream_logs
        self.log_lines_seen = log_lines_seen
        self.log_limit = log_limit
        self.unknown_grace = unknown_grace
        self.deferred_at = time.time() if deferred_at is None else deferred_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class's path and its arguments."""
        return CLASS_PATH, {
            "saagie_conn_id": self.saagie_conn_id,
            "instance_id": self.instance_id,
            "job_id": self.job_id,
            "project_id": self.project_id,
            "poll_interval": self.poll_interval,
            "deadline": self.deadline,
            "deadline_kind": self.deadline_kind,
            "owned": self.owned,
            "stop_on_kill": self.stop_on_kill,
            "stream_logs": self.stream_logs,
            "log_lines_seen": self.log_lines_seen,
            "log_limit": self.log_limit,
            "unknown_grace": self.unknown_grace,
            "deferred_at": self.deferred_at,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the one event; nothing is done after it."""
        if self.stream_logs and time.time() - self.deferred_at > USUAL_START_LAG:
            await asyncio.to_thread(self.log.info, "%s", job_log.taken_up(self.log_lines_seen))
        yield TriggerEvent((await self._wait()).as_event())  # type: ignore[no-untyped-call]  # as above

    async def _wait(self) -> InstanceEvent:
        await asyncio.to_thread(_load)
        from airflow_provider_saagie.client import checks
        from airflow_provider_saagie.triggers import watcher

        try:
            instance_id = checks.identifier("instance_id", self.instance_id)
        except SaagieError as error:
            return InstanceEvent(
                "error", str(self.instance_id), str(error), self.job_id, self.project_id, self.owned, error_kind="api"
            )
        waiter = self._waiter()
        waiter.instance_id = instance_id  # as the platform writes it
        verdict = await watcher.wait(self.saagie_conn_id, waiter, deadline=self.deadline)
        if self.task_instance is not None:  # not where it runs in a worker
            await asyncio.sleep(max(self._until_logged(waiter), self._until_heard_of()))
        return self._event_of(verdict, waiter)

    @staticmethod
    def _until_logged(waiter: Waiter) -> float:
        """Give the seconds until Airflow has surely read the last line.

        The triggerer closes a task's log as its trigger ends, and reads the trigger's lines over another channel: those
        that it has not read by then land in its own log (seen on Airflow 3.3.2; apache/airflow#66158).
        """
        return 0.0 if waiter.last_line_at is None else LOG_LAG - (time.monotonic() - waiter.last_line_at)

    def _until_heard_of(self) -> float:
        """Give the seconds until Airflow has heard of the deferral, which another machine's clock has timed.

        The scheduler has to hear of the deferral before the event, else it takes the task for lost. A supervisor may
        see the end of its task's process as late as its next heartbeat is due (seen on Airflow 3.3.2).
        """
        from airflow.providers.common.compat.sdk import conf

        soonest: float = conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0) + HEARD_WITHIN
        return min(soonest, self.deferred_at + soonest - time.time())

    def _waiter(self) -> Waiter:
        from airflow_provider_saagie.triggers.waiter import Waiter

        return Waiter(
            instance_id=self.instance_id,
            log=self.log,
            job_id=self.job_id,
            project_id=self.project_id,
            poll_interval=max(SHORTEST_INTERVAL, self.poll_interval),
            unknown_grace=self.unknown_grace,
            stream_logs=self.stream_logs,
            lines_seen=self.log_lines_seen,
            log_limit=self.log_limit,
        )

    def _event_of(self, verdict: Verdict, waiter: Waiter) -> InstanceEvent:
        from airflow_provider_saagie.client.status import InstanceStatus
        from airflow_provider_saagie.triggers.waiter import Ended, Failed

        seen = waiter.instance
        event = InstanceEvent(
            status="error",
            instance_id=waiter.instance_id,
            message="",
            job_id=self.job_id or (seen.job_id if seen else None),
            project_id=self.project_id,
            owned=self.owned,
            log_lines_seen=waiter.lines_seen,
        )
        if seen:
            event = event.seen_as(seen)
        if isinstance(verdict, Ended):
            good = verdict.instance.status == InstanceStatus.SUCCEEDED
            return replace(event, status="success" if good else "error", message=_how_it_ended(verdict.instance))
        if isinstance(verdict, Failed):
            return replace(event, message=verdict.message, error_kind=verdict.kind)
        status = f"its status was {seen.status}" if seen else "its status was never read"
        doubt = "" if verdict.was_read else "; Saagie could not be asked once more at the deadline"
        message = f"The job instance {self.instance_id} did not end in time: {status}{doubt}."
        return replace(event, status="timeout", message=message, deadline_kind=self.deadline_kind)

    async def on_kill(self) -> None:
        """Stop the instance, where it is ours and a user ended the task.

        Airflow cancels this a second after it began, so that a task of its own does the work.
        """
        if self.owned and self.stop_on_kill:
            from airflow_provider_saagie.triggers import watcher

            await asyncio.shield(watcher.detached(self._stop_unless_deferred()))

    async def _stop_unless_deferred(self) -> None:
        from airflow_provider_saagie.triggers import watcher

        # Airflow calls on_kill also where another triggerer took over: the task is deferred then, and goes on.
        try:
            state = await airflow_compat.task_state(self.task_instance)
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises, a healthy job must not be stopped for it
            await asyncio.to_thread(
                self.log.warning,
                "Not stopping the job instance %s: the task's state could not be asked for (%s). Stop it in Saagie, "
                "where it is not wanted any more.",
                self.instance_id,
                str(error) or type(error).__name__,
            )
            return
        if state == "deferred":
            line = "Not stopping the job instance %s: its task is still deferred."
            await asyncio.to_thread(self.log.info, line, self.instance_id)
            return
        what = WHAT_HAPPENED.get(state, f"is {state}: it was cleared, or resumed elsewhere")
        why = f"Stopping the job instance {self.instance_id}, unless it has ended, because the task {what}."
        await watcher.stop(self.saagie_conn_id, self._waiter(), why=why)


def _load() -> None:
    """Import what is heavy, in a thread: it takes longer than the loop of all triggers should stand still."""
    import airflow_provider_saagie.hooks.saagie
    import airflow_provider_saagie.triggers.watcher  # noqa: F401 - see above


def _how_it_ended(instance: JobInstance) -> str:
    number = f" (number {instance.number})" if instance.number is not None else ""
    reason = f", {instance.reason}" if instance.reason else ""
    details = f": {instance.details}" if instance.details else ""
    stopped = f", stopped by {instance.stopped_by}" if instance.stopped_by else ""
    return f"The job instance {instance.id}{number} ended: {instance.status}{reason}{stopped}{details}."
