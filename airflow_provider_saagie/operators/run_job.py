"""SaagieRunJobOperator: run a job, wait for its end, and say what it means."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, conf

from airflow_provider_saagie.client.checks import seconds
from airflow_provider_saagie.exceptions import (
    SaagieAuthError,
    SaagieError,
    SaagieInstanceGone,
    SaagieValidationError,
    SaagieWaitTimeout,
)
from airflow_provider_saagie.operators import run_record
from airflow_provider_saagie.operators.job_reference import JOB_FIELDS, find_job
from airflow_provider_saagie.operators.run_record import RunRecord
from airflow_provider_saagie.operators.saagie_task import SaagieTask, show_link

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_saagie.client.settings import Settings
    from airflow_provider_saagie.triggers.events import InstanceEvent
    from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger

__all__ = ["SaagieRunJobOperator"]

BACKSTOP = 60.0
"""Seconds after our own deadline at which Airflow's ``defer(timeout=)`` fires, where the triggerer is stuck."""
KILL_TIMEOUT = 2.0
"""Seconds for each request of a stop from the signal handler: Airflow sends SIGKILL after five."""


class SaagieRunJobOperator(SaagieTask):
    """Run a Saagie job and wait for its end.

    The job is named by ``job_id``, by ``job_name`` and ``project_name``, or by ``job_alias`` and ``project_id``.
    Saagie's ``runJob`` takes no parameters: what a run shall work on is told by the job's own settings.

    The task returns the instance's id. XComs: ``job_id``, ``instance_status``, ``instance_url``, and ``outputs``, the
    variables that the job hands on (passwords left out).

    .. code-block:: python

        run = SaagieRunJobOperator(task_id="run", job_name="nightly", project_name="Sales", deferrable=True)

    :param job_id: the job's UUID (templated).
    :param job_name: the job's name (templated).
    :param project_name: the name of its project (templated).
    :param job_alias: the job's alias (templated).
    :param project_id: the UUID of its project (templated).
    :param deferrable: whether to wait in the triggerer, without a worker slot; by ``[operators] default_deferrable``.
    :param wait_for_completion: whether to wait at all; False never defers, and succeeds once the job is started.
    :param poll_interval: seconds between two looks at most, or a timedelta; more often of young instances.
    :param timeout: seconds or a timedelta to wait, from the try's start; None for no limit but ``execution_timeout``.
    :param on_timeout: what to do with the instance when ``timeout`` passes: ``"stop"`` it or ``"leave"`` it.
    :param stop_on_kill: whether to stop the instance when the task is marked failed or success, or cleared as it runs.
    :param retry_killed: whether a run that somebody stopped in Saagie is retried; by default it is not.
    :param skip_on: statuses or reasons, such as ``"KILLED"``, at which the task is skipped rather than failed.
    :param stream_logs: whether the job's lines are shown in the task's log, as they come.
    :param saagie_conn_id: the connection's id (templated).
    :raises SaagieInstanceFailed: of the kind that says whose fault it was; see ``exceptions.py``.
    :raises SaagieWaitTimeout: when ``timeout`` passes.
    """

    template_fields: Sequence[str] = (*JOB_FIELDS, "saagie_conn_id")

    def __init__(
        self,
        *,
        job_id: str | None = None,
        job_name: str | None = None,
        project_name: str | None = None,
        job_alias: str | None = None,
        project_id: str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        wait_for_completion: bool = True,
        poll_interval: float | timedelta = 10,
        timeout: float | timedelta | None = None,
        on_timeout: Literal["stop", "leave"] = "stop",
        stop_on_kill: bool = True,
        retry_killed: bool = False,
        skip_on: Collection[str] = (),
        stream_logs: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.job_name = job_name
        self.project_name = project_name
        self.job_alias = job_alias
        self.project_id = project_id
        self.deferrable = deferrable
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.on_timeout = on_timeout
        self.stop_on_kill = stop_on_kill
        self.retry_killed = retry_killed
        self.skip_on = skip_on
        self.stream_logs = stream_logs
        self._running: tuple[Settings, RunRecord] | None = None
        self._killed = False

    def execute(self, context: Context) -> str:
        """Start the job, and wait for its end here or in the triggerer.

        :return: the instance's id.
        """
        self._check()
        client = self.hook.get_conn()
        job = find_job(self, client)
        if job.is_streaming and self.wait_for_completion:
            raise SaagieValidationError(
                f"The job {job.name!r} is a streaming job, which never ends: set wait_for_completion=False."
            )
        started = client.jobs.run(job.id)["runJob"]
        record = RunRecord(job_id=job.id, project_id=job.project_id, instance_id=started["id"])
        self._running = (self.hook.settings, record)
        if self._killed:  # while runJob was under way: only now is there something to stop
            self.on_kill()
        run_record.store(context, record)
        url = self._url(record)
        self.log.info("Started the job %r of the project %r: %s", job.name, job.project_name, url)
        show_link(context, url)
        ti = context["ti"]
        ti.xcom_push(key="job_id", value=job.id)
        ti.xcom_push(key="instance_url", value=url)
        if not self.wait_for_completion:
            ti.xcom_push(key="instance_status", value=started.get("status"))
            return record.instance_id
        trigger = self._trigger(record, context)
        if self.deferrable:
            self.log.info("Waiting in the triggerer, without a worker slot.")
            backstop = None if trigger.deadline is None else max(1.0, trigger.deadline - time.time()) + BACKSTOP
            self.defer(trigger=trigger, method_name="execute_complete", timeout=backstop)
        from airflow_provider_saagie.operators.inline import run_inline

        return self.execute_complete(context, run_inline(trigger))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> str:
        """Say what the end of the instance means.

        :param event: what the trigger found.
        :return: the instance's id.
        """
        from airflow_provider_saagie.triggers.events import InstanceEvent

        found = InstanceEvent.from_event(event)
        record = run_record.load(context) or RunRecord.from_event(found)
        self._running = None  # from here on there is nothing left to stop
        if found.status == "timeout":
            self._end_at_deadline(found, record)
        if found.instance_status is not None:
            context["ti"].xcom_push(key="instance_status", value=found.instance_status)
        if found.error_kind is not None:
            self._end_without_an_end(found, record)
        return self._end(context, found, record)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Stop the instance also where Airflow's own backstop ends the deferral, or the trigger broke."""
        if next_method == "__fail__":
            record = run_record.load(context)
            if record is not None and self.stop_on_kill:
                self._stop(self.hook.settings, record, "the deferral was ended by Airflow")
        return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """Stop the instance of a task that is killed while it runs.

        Airflow calls this in a signal handler, five seconds before SIGKILL: hence a session of its own, short time
        limits, no repetition, and no call to Airflow.
        """
        self._killed = True
        if self._running is None or not self.stop_on_kill:
            return
        settings, record = self._running
        self._running = None
        quick = replace(settings, timeout=KILL_TIMEOUT, retries=0, mask=_no_call)
        self._stop(quick, record, "the task was killed")

    def _check(self) -> None:
        """Check what no template fills, before the job is started: a mistake must not leave an instance behind."""
        if self.on_timeout not in ("stop", "leave"):
            raise SaagieValidationError(f"`on_timeout` is {self.on_timeout!r}: it should be 'stop' or 'leave'.")
        seconds("poll_interval", self.poll_interval)
        if self.timeout is not None:
            seconds("timeout", self.timeout)
        if isinstance(self.skip_on, str) or not isinstance(self.skip_on, Collection):
            raise SaagieValidationError(
                f"`skip_on` is {self.skip_on!r}: it should be a list of statuses or reasons, such as ['KILLED']."
            )

    def _trigger(self, record: RunRecord, context: Context) -> SaagieJobInstanceTrigger:
        from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger

        deadline, kind = self._deadline(context)
        return SaagieJobInstanceTrigger(
            saagie_conn_id=self.saagie_conn_id,
            instance_id=record.instance_id,
            job_id=record.job_id,
            project_id=record.project_id,
            poll_interval=seconds("poll_interval", self.poll_interval),
            deadline=deadline,
            deadline_kind=kind,
            owned=record.owned,
            stop_on_kill=self.stop_on_kill,
            stream_logs=self.stream_logs,
        )

    def _deadline(self, context: Context) -> tuple[float | None, Literal["timeout", "execution_timeout"]]:
        """Find the earlier of both deadlines, counted from the start of the try, in seconds since the epoch."""
        start_date = context["ti"].start_date
        start = start_date.timestamp() if start_date else time.time()
        deadlines: list[tuple[float, Literal["timeout", "execution_timeout"]]] = []
        if self.timeout is not None:
            deadlines.append((start + seconds("timeout", self.timeout), "timeout"))
        if self.execution_timeout is not None:
            deadlines.append((start + self.execution_timeout.total_seconds(), "execution_timeout"))
        return min(deadlines) if deadlines else (None, "timeout")

    def _url(self, record: RunRecord) -> str:
        return self.hook.settings.instance_url(record.project_id, record.job_id, record.instance_id)

    def _end_at_deadline(self, event: InstanceEvent, record: RunRecord) -> NoReturn:
        of_the_task = event.deadline_kind == "execution_timeout"
        allowed = seconds("timeout", self.execution_timeout if of_the_task else self.timeout)
        stops = record.owned and (self.stop_on_kill if of_the_task else self.on_timeout == "stop")
        left = "it was left running"
        if stops:
            stopped = self._stop(self.hook.settings, record, f"its {event.deadline_kind} passed")
            left = "it was asked to stop" if stopped else "it could not be stopped"
        message = (
            f"The instance {record.instance_id} was still {event.instance_status} after the {event.deadline_kind} of "
            f"{allowed:g} s; {left}: {self._url(record)}"
        )
        if of_the_task:
            raise AirflowTaskTimeout(message)
        raise SaagieWaitTimeout(message, host=self.hook.settings.base_url, instance_id=record.instance_id)

    def _end_without_an_end(self, event: InstanceEvent, record: RunRecord) -> NoReturn:
        kinds = {"auth": SaagieAuthError, "gone": SaagieInstanceGone}
        kind = kinds.get(event.error_kind or "", SaagieError)
        raise kind(f"{event.message} {self._url(record)}", host=self.hook.settings.base_url)

    def _end(self, context: Context, event: InstanceEvent, record: RunRecord) -> str:
        from airflow_provider_saagie.operators.ending import raise_unless_good, read_outputs

        raise_unless_good(
            event,
            session=self.hook.get_conn().session,
            url=self._url(record),
            retry_killed=self.retry_killed,
            skip_on=self.skip_on,
        )
        try:
            outputs = read_outputs(self.hook.get_conn().session, record.instance_id)
        except SaagieError as error:  # failing here would have a retry run the job again, though it has done its work
            self.log.warning("The job ended well, but its outputs could not be read: no XCom `outputs`. %s", error)
            outputs = {}
        if outputs:
            context["ti"].xcom_push(key="outputs", value=outputs)
        return record.instance_id

    def _stop(self, settings: Settings, record: RunRecord, why: str) -> bool:
        """Ask for the instance to be stopped, once; a failure is only logged."""
        from airflow_provider_saagie.client import instances
        from airflow_provider_saagie.client.session import Session

        url = settings.instance_url(record.project_id, record.job_id, record.instance_id)
        try:
            with Session(settings) as session:
                session.run(instances.stop(record.instance_id))
        except SaagieError as error:
            self.log.warning("The instance could not be stopped, though %s: %s (%s)", why, error, url)
            return False
        self.log.info("Asked Saagie to stop the instance, since %s: %s", why, url)
        return True


def _no_call(_: str) -> None:
    """Mask nothing: the signal handler must not wait for Airflow."""
