"""SaagieRollbackJobOperator: an earlier version of a job becomes the current one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.client.checks import number
from airflow_provider_saagie.exceptions import SaagieNotFound, SaagieValidationError
from airflow_provider_saagie.operators import tries
from airflow_provider_saagie.operators.job_reference import JOB_FIELDS, find_job
from airflow_provider_saagie.operators.saagie_task import SaagieTask, show_link

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_saagie.client.definitions import JobSummary
    from airflow_provider_saagie.client.versions import JobVersions

__all__ = ["SaagieRollbackJobOperator"]

KEY = "saagie_rollback"
SHOWN_VERSIONS = 20


class SaagieRollbackJobOperator(SaagieTask):
    """Make an earlier version of a job the current one, or a later one again.

    If the version is the current one already, nothing changes; that is no error. Instances on their way go on with the
    version that they were started with.

    Without ``version_number`` the job goes back by one. A retry doesn't go back further: it aims at the version that
    the first try chose (on Airflow before 3.3, give a number where that matters). A clear does go back one more.

    The task returns the number of the version. XComs: ``previous_version`` (the one that was current), ``changed``,
    ``job_id``, ``job_url``.

    .. code-block:: python

        undo = SaagieRollbackJobOperator(
            task_id="undo", job_name="nightly", project_name="Sales", trigger_rule="one_failed"
        )

    :param version_number: the version's number, as a number or a text (templated); None for the one before the current.
    :param job_id: the job's UUID (templated).
    :param job_name: the job's name (templated).
    :param project_name: the name of its project (templated).
    :param job_alias: the job's alias (templated).
    :param project_id: the UUID of its project (templated).
    :param saagie_conn_id: the connection's id (templated).
    :raises SaagieValidationError: where an argument is wrong, or there is no version to go back to.
    :raises SaagieNotFound: where there is no such job or version, listing what there is.
    """

    template_fields: Sequence[str] = ("version_number", *JOB_FIELDS, "saagie_conn_id")

    def __init__(
        self,
        *,
        version_number: str | int | None = None,
        job_id: str | None = None,
        job_name: str | None = None,
        project_name: str | None = None,
        job_alias: str | None = None,
        project_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.version_number = version_number
        self.job_id = job_id
        self.job_name = job_name
        self.project_name = project_name
        self.job_alias = job_alias
        self.project_id = project_id

    def execute(self, context: Context) -> int:
        """Make the version the current one, unless it is.

        :return: the version's number.
        """
        from airflow_provider_saagie.client import versions

        wanted = None if self.version_number is None else number("version_number", self.version_number)
        client = self.hook.get_conn()
        job = find_job(self, client)
        url = client.settings.job_url(job.project_id, job.id)
        self.log.info("The job's page: %s", url)
        show_link(context, url)
        there = client.session.run(versions.read_versions(job.id))
        chosen = self._one_back(context, job, there) if wanted is None else wanted
        if chosen not in there.numbers:
            shown = ", ".join(map(str, there.numbers[:SHOWN_VERSIONS]))
            more = ", …" if len(there.numbers) > SHOWN_VERSIONS else ""
            raise SaagieNotFound(
                f"job: the job {job.name!r} has no version {chosen}. It has: {shown}{more}.",
                operation="job",
                host=client.settings.base_url,
            )
        changes = chosen != there.current
        if changes:
            client.session.run(versions.make_current(job.id, chosen))
            self.log.info("Rolled the job %r back from version %s to %s.", job.name, there.current, chosen)
        else:
            self.log.info("Version %s of the job %r is the current one already: left so.", chosen, job.name)
        pushed = {"previous_version": there.current, "changed": changes, "job_id": job.id, "job_url": url}
        for key, value in pushed.items():
            context["ti"].xcom_push(key=key, value=value)
        return chosen

    def _one_back(self, context: Context, job: JobSummary, there: JobVersions) -> int:
        """Choose the version before the current one, once for all tries: a retry must not go back further."""
        before = tries.recall(context, KEY)
        if before is not None and before["job_id"] == job.id:
            return int(before["version"])
        if there.previous is None:
            raise SaagieValidationError(
                f"The job {job.name!r} has no version before its current one ({there.current}): nothing was changed."
            )
        tries.remember(context, KEY, {"job_id": job.id, "version": there.previous})
        return there.previous
