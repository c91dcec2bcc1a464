"""SaagieDeleteJobOperator: a job goes, with its versions and instances."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.client.checks import seconds
from airflow_provider_saagie.exceptions import SaagieNotFound, SaagieValidationError
from airflow_provider_saagie.operators import tries
from airflow_provider_saagie.operators.job_reference import JOB_FIELDS, find_job
from airflow_provider_saagie.operators.saagie_task import SaagieTask, project_page, show_link

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_saagie.client.definitions import JobSummary
    from airflow_provider_saagie.client.saagie import SaagieClient

__all__ = ["SaagieDeleteJobOperator"]

KEY = "saagie_delete"


class SaagieDeleteJobOperator(SaagieTask):
    """Delete a job with its versions, its instances and their logs.

    A job with an instance on its way is not deleted: wait for it, or set ``stop_running``. Any other obstacle (a
    pipeline that uses the job, say) is reported in the platform's own words.

    A retry deletes the job that the try before found, and succeeds if that is gone by now (on Airflow before 3.3,
    ``ignore_if_missing=True`` makes a retry safe).

    The task returns whether there was a job to delete. XCom: ``job_id``. The link leads to the job and, once that is
    gone, to its project.

    .. code-block:: python

        delete = SaagieDeleteJobOperator(
            task_id="delete", job_name="try {{ ds }}", project_name="Sales", ignore_if_missing=True
        )

    :param job_id: the job's UUID (templated).
    :param job_name: the job's name (templated).
    :param project_name: the name of its project (templated).
    :param job_alias: the job's alias (templated).
    :param project_id: the UUID of its project (templated).
    :param ignore_if_missing: whether the task succeeds if there is no such job; a missing project is still an error.
    :param stop_running: whether to stop instances on their way first, and wait for their ends.
    :param stop_timeout: seconds or a timedelta to wait for their ends.
    :param saagie_conn_id: the connection's id (templated).
    :raises SaagieValidationError: where an argument is wrong, or an instance is on its way; nothing was deleted then.
    :raises SaagieNotFound: where there is no such job.
    :raises SaagieWaitTimeout: when ``stop_timeout`` passes; nothing was deleted then.
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
        ignore_if_missing: bool = False,
        stop_running: bool = False,
        stop_timeout: float | timedelta = 120,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.job_name = job_name
        self.project_name = project_name
        self.job_alias = job_alias
        self.project_id = project_id
        self.ignore_if_missing = ignore_if_missing
        self.stop_running = stop_running
        self.stop_timeout = stop_timeout

    def execute(self, context: Context) -> bool:
        """Delete the job.

        :return: whether there was one to delete.
        """
        from airflow_provider_saagie.client.removal import remove

        seconds("stop_timeout", self.stop_timeout)
        client = self.hook.get_conn()
        before = tries.recall(context, KEY)
        if before is not None and before["named"] == self._named():
            job = self._find_again(client, str(before["job_id"]))
            if job is None:
                self.log.info("The job %s is gone: an earlier try of this task has deleted it.", before["job_id"])
                context["ti"].xcom_push(key="job_id", value=before["job_id"])
                return True
        else:
            job = self._find(client)
            if job is None:
                return False
        url = client.settings.job_url(job.project_id, job.id)
        show_link(context, url)
        context["ti"].xcom_push(key="job_id", value=job.id)
        self._see_that_nothing_runs(client, job)
        tries.remember(context, KEY, {"named": self._named(), "job_id": job.id})
        client.session.run(remove(job.id))
        self.log.info("Deleted the job %r (%s) of the project %r.", job.name, job.id, job.project_name)
        show_link(context, project_page(url))  # its own is no more
        return True

    def _named(self) -> str:
        """Say which job the task names, to see whether that is still the one of an earlier try."""
        return "; ".join(f"{name}={getattr(self, name)}" for name in JOB_FIELDS if getattr(self, name))

    def _find(self, client: SaagieClient) -> JobSummary | None:
        from airflow_provider_saagie.client.removal import is_gone

        try:
            return find_job(self, client)
        except SaagieNotFound as error:
            if not self.ignore_if_missing or not is_gone(error):
                raise
            self.log.info("There is no such job (%s): nothing to delete.", self._named())
            return None

    def _find_again(self, client: SaagieClient, job_id: str) -> JobSummary | None:
        from airflow_provider_saagie.client.definitions import read_summary
        from airflow_provider_saagie.client.removal import is_gone

        try:
            return client.session.run(read_summary(job_id))
        except SaagieNotFound as error:
            if not is_gone(error):
                raise
            return None

    def _see_that_nothing_runs(self, client: SaagieClient, job: JobSummary) -> None:
        from airflow_provider_saagie.client import stopping

        running = client.session.run(stopping.list_on_their_way(job.id))
        if not running:
            return
        if not self.stop_running:
            shown = ", ".join(f"{instance.number} is {instance.status}" for instance in running[:5])
            more = ", …" if len(running) > 5 else ""
            raise SaagieValidationError(
                f"The job {job.name!r} was not deleted: {len(running)} of its instances are on their way "
                f"({shown}{more}). Wait for them, or set stop_running=True."
            )
        ids = [instance.id for instance in running]
        for instance_id in ids:
            client.session.run(stopping.ask_to_stop(instance_id))
        client.session.run(stopping.wait_for_ends(ids, timeout=seconds("stop_timeout", self.stop_timeout)))
