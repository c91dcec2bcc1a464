"""SaagieJobInstanceSensor: wait for an instance, which somebody else runs, to come to a status."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_saagie import airflow_compat
from airflow_provider_saagie.client.checks import one_of
from airflow_provider_saagie.exceptions import (
    SaagieAuthError,
    SaagieConnectionError,
    SaagieError,
    SaagieInstanceGone,
    SaagieValidationError,
)
from airflow_provider_saagie.links.saagie import SaagieLink, ShowsLink
from airflow_provider_saagie.operators.deadlines import Deadline, earlier_deadline, time_passed
from airflow_provider_saagie.operators.job_reference import JOB_FIELDS, find_job, given_id
from airflow_provider_saagie.operators.saagie_task import show_link

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_saagie.client.instances import JobInstance
    from airflow_provider_saagie.hooks.saagie import SaagieHook
    from airflow_provider_saagie.triggers.events import InstanceEvent
    from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger

__all__ = ["SaagieJobInstanceSensor"]

NO_TIME = 0.001
"""Seconds for a sensor whose timeout is 0: it looks once."""
AWAY = "Saagie is away; waiting goes on until it is back."
FAILED = "The look failed, and silent_fail has the sensor look on."


class SaagieJobInstanceSensor(ShowsLink, BaseSensorOperator):
    """Wait until an instance of a Saagie job has one of the statuses you name; it never stops what it watches.

    The instance is named by ``instance_id``; or it is the latest of a job, which is named as in
    :class:`~airflow_provider_saagie.operators.saagie.SaagieRunJobOperator`. An instance that ends with another status
    fails the task (with ``soft_fail``: skips it). While Saagie is away, the task waits on, deferred or not.

    The task returns the instance's id. XCom: ``instance_status``.

    .. code-block:: python

        wait = SaagieJobInstanceSensor(task_id="wait", job_name="nightly", project_name="Sales", newer_than_run=True)

    :param instance_id: the instance's UUID (templated).
    :param job_id: the job's UUID (templated).
    :param job_name: the job's name (templated).
    :param project_name: the name of its project (templated).
    :param job_alias: the job's alias (templated).
    :param project_id: the UUID of its project (templated).
    :param newer_than_run: whether only an instance counts that started after the DAG run did.
    :param target_statuses: the statuses to wait for (templated).
    :param deferrable: whether to wait in the triggerer, without a worker slot; by ``[operators] default_deferrable``.
    :param poke_interval: seconds between two looks at most; young instances are looked at more often.
    :param saagie_conn_id: the connection's id (templated).
    :raises AirflowFailException: where the instance ends otherwise, from the error that says whose fault it was; and
        where it is gone.
    :raises AirflowSensorTimeout: when ``timeout`` passes.
    """

    template_fields: Sequence[str] = ("instance_id", *JOB_FIELDS, "target_statuses", "saagie_conn_id")
    operator_extra_links = (SaagieLink(),)
    ui_color = "#e5f3f1"

    def __init__(
        self,
        *,
        instance_id: str | None = None,
        job_id: str | None = None,
        job_name: str | None = None,
        project_name: str | None = None,
        job_alias: str | None = None,
        project_id: str | None = None,
        newer_than_run: bool = False,
        target_statuses: Sequence[str] = ("SUCCEEDED",),
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float = 10,
        saagie_conn_id: str = "saagie_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.instance_id = instance_id
        self.job_id = job_id
        self.job_name = job_name
        self.project_name = project_name
        self.job_alias = job_alias
        self.project_id = project_id
        self.newer_than_run = newer_than_run
        self.target_statuses = target_statuses
        self.deferrable = deferrable
        self.saagie_conn_id = saagie_conn_id
        self._has_told = False
        self._project_id: str | None = None

    @cached_property
    def hook(self) -> SaagieHook:
        """The hook of the sensor's connection."""
        from airflow_provider_saagie.hooks.saagie import SaagieHook

        return SaagieHook(self.saagie_conn_id)

    def execute(self, context: Context) -> Any:
        """Wait here, or in the triggerer.

        :return: the instance's id.
        """
        with self._skipping():
            self._check()
            if self.reschedule and not self.deferrable:
                return super().execute(context)
            return self._wait(context, self._deadline(context))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral; where Airflow's own backstop ended it, look once more."""
        self.note_resumption(next_method)
        with self._skipping():
            try:
                # Not the base sensor's, which gives a skip words of its own.
                return super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)
            except Exception as error:
                if not airflow_compat.is_deferral_timeout(error):
                    raise
                deadline = self._deadline(context)
                instance = self._look_patiently(context)
                return (self._reached(context, instance) if instance else None) or self._time_out(context, deadline)

    def execute_again(
        self, context: Context, event: Any = None, deadline: float | None = None, link: str | None = None
    ) -> Any:
        """Look again, after a pause, for what could not be watched by its id."""
        del event
        self.shown_link = link
        found = self._deadline(context)
        return self._wait(context, replace(found, at=deadline) if deadline else found)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> str:
        """Say what the end of the instance means.

        :param event: what the trigger found.
        :return: the instance's id.
        """
        from airflow_provider_saagie.triggers.events import InstanceEvent

        found = InstanceEvent.from_event(event)
        if found.status == "timeout":
            self._time_out(context, self._deadline(context), found)
        if found.error_kind == "auth":
            raise SaagieAuthError(found.message, host=self.hook.settings.base_url)
        if found.error_kind is not None:
            self._fail(SaagieInstanceGone if found.error_kind == "gone" else SaagieError, found.message)
        instance, self._project_id = found.as_instance(), found.project_id
        return self._reached(context, instance, believed=True) or self._end_badly(context, instance)

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Look once; this is how ``mode="reschedule"`` waits.

        :return: whether the instance has come to one of the statuses.
        """
        with self._skipping():
            instance = self._look_patiently(context)
            reached = self._reached(context, instance) if instance else None
        return PokeReturnValue(is_done=True, xcom_value=reached) if reached else False

    def _check(self) -> None:
        from airflow_provider_saagie.client.status import InstanceStatus

        statuses: object = self.target_statuses  # what a template gave
        if isinstance(statuses, str) or not isinstance(statuses, Collection) or not statuses:
            raise SaagieValidationError(f"`target_statuses` is {statuses!r}: it should be a list.")
        for status in statuses:
            one_of("target_statuses", status, tuple(InstanceStatus))

    def _look(self, context: Context) -> JobInstance | None:
        """Read the instance; None where the job has none yet that counts."""
        from airflow_provider_saagie.client import definitions, instances

        client = self.hook.get_conn()
        if self.instance_id:
            instance = client.session.run(instances.read_twice(given_id("instance_id", self.instance_id)))
            if instance is None:
                self._fail(SaagieInstanceGone, f"The platform has no job instance {self.instance_id}.")
            job = client.session.run(definitions.read_summary(str(instance.job_id)))
        else:
            job = find_job(self, client)
            latest = client.session.run(instances.list_instances(job.id, limit=1))
            instance = latest[0] if latest else None
            if instance is not None and self.newer_than_run and not _started_since(instance, context):
                instance = None
        if instance is None:
            self.log.info("The job %r has no instance yet that counts.", job.name)
            return None
        show_link(context, client.settings.instance_url(job.project_id, job.id, instance.id))
        self.log.info("Instance %s of the job %r is %s.", instance.number, job.name, instance.status)
        self._project_id = job.project_id
        return instance

    def _look_patiently(self, context: Context) -> JobInstance | None:
        """Read the instance; None also where Saagie is away, which is waited out as in the triggerer.

        ``silent_fail`` has whatever else goes wrong waited out too.
        """
        try:
            instance = self._look(context)
        except SaagieError as error:
            is_away = isinstance(error, SaagieConnectionError)
            if not is_away and not self.silent_fail:
                raise
            if not self._has_told:
                self.log.warning("%s %s", AWAY if is_away else FAILED, error)
            self._has_told = True
            return None
        if self._has_told:
            self.log.info("Saagie answers again.")
        self._has_told = False
        return instance

    def _wait(self, context: Context, deadline: Deadline) -> Any:
        """Look until there is something to watch by its id, and watch that; all the same here and in the triggerer."""
        from airflow_provider_saagie.client.status import InstanceStatus

        only_ends = all(InstanceStatus(status).is_final for status in self.target_statuses)
        while True:
            instance = self._look_patiently(context)
            if instance is not None and (reached := self._reached(context, instance)):
                return reached
            left = deadline.at - time.time()
            if left <= 0:
                self._time_out(context, deadline)
            if instance is not None and only_ends:
                return self._watch(context, instance, deadline)
            pause = min(self.poke_interval, left)
            if self.deferrable:
                self._defer_for(pause, deadline)
            time.sleep(pause)

    def _watch(self, context: Context, instance: JobInstance, deadline: Deadline) -> str:
        trigger = self._trigger(instance, deadline)
        if self.deferrable:
            self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=deadline.backstop))
        from airflow_provider_saagie.operators.inline import run_inline

        return self.execute_complete(context, run_inline(trigger))

    def _trigger(self, instance: JobInstance, deadline: Deadline) -> SaagieJobInstanceTrigger:
        from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger

        return SaagieJobInstanceTrigger(
            saagie_conn_id=self.saagie_conn_id,
            instance_id=instance.id,
            job_id=instance.job_id,
            project_id=self._project_id,
            poll_interval=self.poke_interval,
            deadline=deadline.at,
            deadline_kind=deadline.kind,
            owned=False,
        )

    def _defer_for(self, pause: float, deadline: Deadline) -> NoReturn:
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        # Not every Airflow says at the next look when the try began: the deadline goes along. So does the link, which
        # Airflow stores anew at the next deferral, also where Saagie is away by then.
        self.defer(
            trigger=TimeDeltaTrigger(timedelta(seconds=pause)),
            method_name="execute_again",
            kwargs={"deadline": deadline.at, "link": self.shown_link},
        )

    def _deadline(self, context: Context) -> Deadline:
        # In a worker Airflow's own alarm may strike where Python swallows what it raises: ours holds there too.
        found = earlier_deadline(
            context,
            timeout=self.timeout or NO_TIME,
            execution_timeout=self.execution_timeout,
        )
        assert found is not None  # noqa: S101 - every sensor has a timeout
        return found

    def _reached(self, context: Context, instance: JobInstance, *, believed: bool = False) -> str | None:
        """Give the instance's id if it has come to one of the statuses; raise if it has ended otherwise.

        :param believed: whether UNKNOWN has outlasted its grace.
        """
        from airflow_provider_saagie.client.status import is_final

        passing = instance.status == "UNKNOWN" and not believed and not _outlasts_its_grace(instance)
        if instance.status in self.target_statuses and not passing:
            context["ti"].xcom_push(key="instance_status", value=instance.status)
            return instance.id
        if passing or not is_final(instance.status):
            return None
        return self._end_badly(context, instance)

    def _end_badly(self, context: Context, instance: JobInstance) -> NoReturn:
        from airflow_provider_saagie.client.status import outcome_of

        context["ti"].xcom_push(key="instance_status", value=instance.status)
        outcome = outcome_of(instance)
        why = ": ".join(part for part in (instance.reason, instance.details) if part)
        stopped = f", stopped by {instance.stopped_by}" if instance.stopped_by else ""
        url = self.hook.settings.instance_url(str(self._project_id), str(instance.job_id), instance.id)
        self._fail(
            outcome.error or SaagieError,
            f"Saagie's instance {instance.number} ended as {instance.status}{f' ({why})' if why else ''}{stopped}, "
            f"not as {' or '.join(self.target_statuses)}.\n{url}",
        )

    def _fail(self, kind: type[SaagieError], message: str) -> NoReturn:
        """Fail for good: what has ended does not come to another status."""
        error = kind(message, host=self.hook.settings.base_url)
        raise AirflowFailException(str(error)) from error

    def _time_out(self, context: Context, deadline: Deadline, event: InstanceEvent | None = None) -> NoReturn:
        told = event.message if event else f"Still waiting for {' or '.join(self.target_statuses)}."
        message = f"{told} {time_passed(context, deadline.kind, deadline.allowed)}"
        raise AirflowTaskTimeout(message) if deadline.kind == "execution_timeout" else AirflowSensorTimeout(message)

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        """Skip where the base sensor skips, but with the words of what happened."""
        try:
            yield
        except AirflowSkipException:
            raise
        except (AirflowSensorTimeout, AirflowTaskTimeout, AirflowFailException) as error:
            if not (self.soft_fail or self.never_fail):
                raise
            raise AirflowSkipException(str(error)) from error
        except Exception as error:
            if not self.never_fail or airflow_compat.is_reschedule(error):
                raise
            raise AirflowSkipException(str(error)) from error


def _started_since(instance: JobInstance, context: Context) -> bool:
    run_start, started = context["dag_run"].start_date, _moment(instance.start_time)
    return run_start is None or (started is not None and started >= run_start)


def _outlasts_its_grace(instance: JobInstance) -> bool:
    from airflow_provider_saagie.client.status import UNKNOWN_GRACE

    since = _moment(instance.status_since)
    return since is not None and datetime.now(UTC) - since >= timedelta(seconds=UNKNOWN_GRACE)


def _moment(written: str | None) -> datetime | None:
    """Read a time as the platform writes it; one without a timezone is in UTC."""
    moment = datetime.fromisoformat(written) if written else None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment
