"""SaagieJobInstanceSensor: wait for an instance, which somebody else runs, to come to a status."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_saagie.exceptions import SaagieError, SaagieInstanceGone, SaagieValidationError
from airflow_provider_saagie.links.saagie import SaagieLink, ShowsLink
from airflow_provider_saagie.operators.job_reference import JOB_FIELDS, find_job
from airflow_provider_saagie.operators.saagie_task import show_link

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_saagie.client.instances import JobInstance
    from airflow_provider_saagie.hooks.saagie import SaagieHook

__all__ = ["SaagieJobInstanceSensor"]

BACKSTOP = 60.0


class SaagieJobInstanceSensor(ShowsLink, BaseSensorOperator):
    """Wait for an instance of a Saagie job to come to one of some statuses; it never stops what it watches.

    The instance is named by ``instance_id``; or it is the latest of a job, which is named as in
    :class:`~airflow_provider_saagie.operators.saagie.SaagieRunJobOperator`. An instance that ends otherwise fails the
    task (with ``soft_fail``: skips it).

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
    :param target_statuses: the statuses to wait for.
    :param deferrable: whether to wait in the triggerer, without a worker slot; by ``[operators] default_deferrable``.
    :param poke_interval: seconds between two looks at most.
    :param saagie_conn_id: the connection's id (templated).
    :raises SaagieInstanceFailed: where the instance ends otherwise, of the kind that says whose fault it was.
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

    @cached_property
    def hook(self) -> SaagieHook:
        """The hook of the sensor's connection."""
        from airflow_provider_saagie.hooks.saagie import SaagieHook

        return SaagieHook(self.saagie_conn_id)

    def execute(self, context: Context) -> Any:
        """Wait here, or in the triggerer.

        :return: the instance's id.
        """
        self._check()
        if not self.deferrable:
            return super().execute(context)
        return self._look_and_defer(context, deadline=time.time() + self.timeout)

    def execute_again(self, context: Context, event: Any = None, deadline: float | None = None) -> Any:
        """Look again, after a pause, for what could not be watched by its id."""
        del event
        return self._look_and_defer(context, deadline=deadline or time.time() + self.timeout)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> str:
        """Say what the end of the instance means.

        :param event: what the trigger found.
        :return: the instance's id.
        """
        from airflow_provider_saagie.triggers.events import InstanceEvent

        found = InstanceEvent.from_event(event)
        if found.status == "timeout":
            self._time_out()
        if found.error_kind is not None:
            self._fail(SaagieInstanceGone if found.error_kind == "gone" else SaagieError, found.message)
        return self._reached(context, found.as_instance()) or ""

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Look once.

        :return: whether the instance has come to one of the statuses.
        """
        instance = self._look(context)
        reached = self._reached(context, instance) if instance else None
        return PokeReturnValue(is_done=True, xcom_value=reached) if reached else False

    def _check(self) -> None:
        from airflow_provider_saagie.client.status import InstanceStatus

        if not self.target_statuses or isinstance(self.target_statuses, str):
            raise SaagieValidationError(f"`target_statuses` is {self.target_statuses!r}: it should be a list.")
        unknown = [status for status in self.target_statuses if status not in InstanceStatus.__members__]
        if unknown:
            raise SaagieValidationError(
                f"`target_statuses` has {', '.join(unknown)}: a status is one of {', '.join(InstanceStatus)}."
            )

    def _look(self, context: Context) -> JobInstance | None:
        """Read the instance; None where the job has none yet that counts."""
        from airflow_provider_saagie.client import definitions, instances

        client = self.hook.get_conn()
        if self.instance_id:
            instance = client.session.run(instances.read_instance(self.instance_id))
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

    def _look_and_defer(self, context: Context, *, deadline: float) -> Any:
        from airflow_provider_saagie.client.status import InstanceStatus, is_final

        instance = self._look(context)
        if instance is not None and (reached := self._reached(context, instance)):
            return reached
        remaining = deadline - time.time()
        if remaining <= 0:
            self._time_out()
        if instance is not None and all(InstanceStatus(status).is_final for status in self.target_statuses):
            assert not is_final(instance.status) or instance.status == "UNKNOWN"  # noqa: S101 - _reached has raised
            self._defer_to_the_end_of(instance, deadline)
        return self._defer_for_a_while(min(self.poke_interval, remaining), deadline)

    def _defer_to_the_end_of(self, instance: JobInstance, deadline: float) -> NoReturn:
        from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger

        trigger = SaagieJobInstanceTrigger(
            saagie_conn_id=self.saagie_conn_id,
            instance_id=instance.id,
            job_id=instance.job_id,
            project_id=self._project_id,
            poll_interval=self.poke_interval,
            deadline=deadline,
            owned=False,
        )
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            timeout=timedelta(seconds=deadline - time.time() + BACKSTOP),
        )

    def _defer_for_a_while(self, seconds: float, deadline: float) -> NoReturn:
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        self.defer(
            trigger=TimeDeltaTrigger(timedelta(seconds=seconds)),
            method_name="execute_again",
            kwargs={"deadline": deadline},
        )

    def _reached(self, context: Context, instance: JobInstance) -> str | None:
        """Give the instance's id if it has come to one of the statuses; raise if it has ended otherwise."""
        from airflow_provider_saagie.client.status import is_final

        if instance.status in self.target_statuses:
            context["ti"].xcom_push(key="instance_status", value=instance.status)
            return instance.id
        if not is_final(instance.status) or instance.status == "UNKNOWN":  # the trigger gives UNKNOWN its grace
            return None
        context["ti"].xcom_push(key="instance_status", value=instance.status)
        from airflow_provider_saagie.client.status import outcome_of

        outcome = outcome_of(instance)
        why = ": ".join(part for part in (instance.reason, instance.details) if part)
        return self._fail(
            outcome.error or SaagieError,
            f"Instance {instance.number} ended as {instance.status}{f' ({why})' if why else ''}, "
            f"not as {', '.join(self.target_statuses)}. {outcome.advice}",
        )

    def _fail(self, kind: type[SaagieError], message: str) -> NoReturn:
        """Fail for good: what has ended does not come to another status. ``soft_fail`` skips instead."""
        error = kind(message, host=self.hook.settings.base_url)
        if self.soft_fail:
            self.log.warning("%s", error)  # Airflow's base sensor replaces a skip's own words
            raise AirflowSkipException(str(error)) from error
        raise AirflowFailException(str(error)) from error

    def _time_out(self) -> NoReturn:
        message = f"Still waiting for {', '.join(self.target_statuses)} after the timeout of {self.timeout:g} s."
        if self.soft_fail:
            self.log.warning("%s", message)
            raise AirflowSkipException(message)
        raise AirflowSensorTimeout(message)


def _started_since(instance: JobInstance, context: Context) -> bool:
    run_start = context["dag_run"].start_date
    return bool(run_start is None or (instance.start_time and datetime.fromisoformat(instance.start_time) >= run_start))
