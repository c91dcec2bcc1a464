"""SaagieStopInstanceOperator: stop what runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.client.checks import seconds
from airflow_provider_saagie.exceptions import SaagieNotFound, SaagieValidationError
from airflow_provider_saagie.operators.job_reference import JOB_FIELDS, find_job, given_id
from airflow_provider_saagie.operators.saagie_task import SaagieTask, show_link

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_saagie.client.saagie import SaagieClient

__all__ = ["SaagieStopInstanceOperator"]


class SaagieStopInstanceOperator(SaagieTask):
    """Stop an instance, or all instances of a job that are on their way.

    An instance that has ended already is left as it is, and is no error, so a retry does no harm.

    The task returns the last status of each instance by its id, such as ``{"acd68a7e-…": "KILLED"}``; of a job without
    an instance on its way, ``{}``. XComs: ``job_id``, ``job_url``; where an instance is named, also ``instance_status``
    and ``instance_url``.

    .. code-block:: python

        stop = SaagieStopInstanceOperator(task_id="stop", job_name="stream", project_name="Sales")

    :param instance_id: the instance's UUID (templated); or else the job:
    :param job_id: the job's UUID (templated).
    :param job_name: the job's name (templated).
    :param project_name: the name of its project (templated).
    :param job_alias: the job's alias (templated).
    :param project_id: the UUID of its project (templated).
    :param wait_for_stop: whether to wait for their ends; False only asks for the stop.
    :param stop_timeout: seconds or a timedelta to wait for their ends.
    :param saagie_conn_id: the connection's id (templated).
    :raises SaagieValidationError: where it names nothing to stop, or too much; nothing was stopped then.
    :raises SaagieNotFound: where there is no such instance or job.
    :raises SaagieWaitTimeout: when ``stop_timeout`` passes.
    """

    template_fields: Sequence[str] = ("instance_id", *JOB_FIELDS, "saagie_conn_id")

    def __init__(
        self,
        *,
        instance_id: str | None = None,
        job_id: str | None = None,
        job_name: str | None = None,
        project_name: str | None = None,
        job_alias: str | None = None,
        project_id: str | None = None,
        wait_for_stop: bool = True,
        stop_timeout: float | timedelta = 120,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id
        self.job_id = job_id
        self.job_name = job_name
        self.project_name = project_name
        self.job_alias = job_alias
        self.project_id = project_id
        self.wait_for_stop = wait_for_stop
        self.stop_timeout = stop_timeout

    def execute(self, context: Context) -> dict[str, str]:
        """Ask for the instances to be stopped, and wait for their ends.

        :return: the last status of each, by its id.
        """
        from airflow_provider_saagie.client import stopping

        self._check()
        client = self.hook.get_conn()
        ids = self._find_instances(client, context)
        seen = {instance_id: client.session.run(stopping.ask_to_stop(instance_id)) for instance_id in ids}
        if self.wait_for_stop:
            limit = seconds("stop_timeout", self.stop_timeout)
            moving = [instance_id for instance_id, instance in seen.items() if not stopping.has_ended(instance)]
            seen |= client.session.run(stopping.wait_for_ends(moving, timeout=limit))
        statuses = {instance_id: instance.status for instance_id, instance in seen.items()}
        if self.instance_id:
            context["ti"].xcom_push(key="instance_status", value=statuses[ids[0]])
        return statuses

    def _check(self) -> None:
        seconds("stop_timeout", self.stop_timeout)
        of_the_job = [name for name in JOB_FIELDS if getattr(self, name)]
        if self.instance_id and of_the_job:
            raise SaagieValidationError(
                f"The task should name an instance or a job, not both: it gives instance_id, {', '.join(of_the_job)}."
            )
        if not self.instance_id and not of_the_job:
            raise SaagieValidationError(
                "The task should name what to stop: `instance_id`, or a job by `job_id`, by `job_name` and "
                "`project_name`, or by `job_alias` and `project_id`."
            )

    def _find_instances(self, client: SaagieClient, context: Context) -> list[str]:
        """Find the ids of what is to be stopped, and show where it is."""
        from airflow_provider_saagie.client import definitions, instances, stopping

        ti = context["ti"]
        if self.instance_id:
            instance = client.session.run(instances.read_instance(given_id("instance_id", self.instance_id)))
            if instance is None:
                raise SaagieNotFound(
                    f"jobInstance: the platform has no job instance {self.instance_id}, or this login may not see it.",
                    operation="jobInstance",
                    host=client.settings.base_url,
                )
            job = client.session.run(definitions.read_summary(str(instance.job_id)))
            ids, url = [instance.id], client.settings.instance_url(job.project_id, job.id, instance.id)
            ti.xcom_push(key="instance_url", value=url)
        else:
            job = find_job(self, client)
            ids = [instance.id for instance in client.session.run(stopping.list_on_their_way(job.id))]
            url = client.settings.job_url(job.project_id, job.id)
            self.log.info("The job %r has %d instances on their way.", job.name, len(ids))
        self.log.info("Open in Saagie: %s", url)
        show_link(context, url)
        ti.xcom_push(key="job_id", value=job.id)
        ti.xcom_push(key="job_url", value=client.settings.job_url(job.project_id, job.id))
        return ids
