"""SaagieImportJobOperator: an exported folder becomes a job."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_saagie.exceptions import SaagieError, SaagieOutcomeUnknown, SaagieValidationError
from airflow_provider_saagie.operators import tries
from airflow_provider_saagie.operators.job_reference import find_project_id
from airflow_provider_saagie.operators.saagie_task import SaagieTask, project_page, show_link

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_saagie.client.deployment import JobChange
    from airflow_provider_saagie.client.saagie import SaagieClient

__all__ = ["SaagieImportJobOperator"]

KEY = "saagie_import"
CHOICES = ("fail", "ignore", "skip")


class SaagieImportJobOperator(SaagieTask):
    """Create a job from an exported folder, with its current version.

    Job and version are created by one request, so there is no half import. Names are unique in a project: if the answer
    is lost, the job is looked up by its name, here and in a retry, which takes over what the try before created (on
    Airflow before 3.3, a retry finds the job there and does what ``if_exists`` says).

    The task returns the job's id. XComs: ``created`` (whether it was created), ``job_url``.

    .. code-block:: python

        restore = SaagieImportJobOperator(
            task_id="restore", folder="s3://aws_default@backups/saagie/{{ params.job_id }}", project_name="Sales"
        )

    :param folder: the exported job's folder, or one that holds only that folder: a path relative to the folder of the
        DAG's file, or a URI that ``ObjectStoragePath`` reads (templated).
    :param project_id: the UUID of the project to create it in (templated).
    :param project_name: or the project's name (templated).
    :param job_name: a name other than the exported job's (templated).
    :param if_exists: what to do if the project has a job of that name: ``"fail"``, ``"ignore"`` it and return its id,
        or ``"skip"`` the task.
    :param saagie_conn_id: the connection's id (templated).
    :raises SaagieValidationError: where the folder holds no readable job, or the project has one of that name; nothing
        was created then.
    :raises SaagieOutcomeUnknown: where the answer is lost and the job is not there yet: a retry looks again.
    """

    template_fields: Sequence[str] = ("folder", "project_id", "project_name", "job_name", "saagie_conn_id")

    def __init__(
        self,
        *,
        folder: str,
        project_id: str | None = None,
        project_name: str | None = None,
        job_name: str | None = None,
        if_exists: Literal["fail", "ignore", "skip"] = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.folder = folder
        self.project_id = project_id
        self.project_name = project_name
        self.job_name = job_name
        self.if_exists = if_exists

    def execute(self, context: Context) -> str:
        """Make the job, or take the one that is there.

        :return: the job's id.
        """
        from airflow_provider_saagie.client import checks
        from airflow_provider_saagie.client.definitions import find_by_name
        from airflow_provider_saagie.client.importing import make_job, read_exported

        checks.one_of("if_exists", self.if_exists, CHOICES)
        client = self.hook.get_conn()
        project_id = find_project_id(self, client)
        show_link(context, project_page(client.settings.job_url(project_id, "")))  # until there is a job to show
        with self._on_this_machine(Path(context["dag"].fileloc).parent) as folder:
            change = read_exported(folder, job_name=self.job_name or None)
            about = {"project_id": project_id, "job_name": str(change.job_name)}
            found = client.session.run(find_by_name(str(change.job_name), project_id))
            if found is not None:
                ours = tries.recall(context, KEY) == about
                return self._take(context, client, project_id, found, change, ours=ours)
            tries.remember(context, KEY, about)
            try:
                job_id = client.session.run(make_job(project_id, change))
            except SaagieOutcomeUnknown:
                raise
            except SaagieError:
                tries.forget(context, KEY)  # nothing was made: a job of that name would be another's
                raise
        self.log.info("Made the job %r.", change.job_name)
        return self._done(context, client, project_id, job_id, created=True)

    @contextmanager
    def _on_this_machine(self, beside: Path) -> Iterator[Path]:
        """Give the exported job's folder: itself, or fetched from object storage."""
        from airflow_provider_saagie.client.checks import text
        from airflow_provider_saagie.client.importing import find_job_folder
        from airflow_provider_saagie.operators import folders

        folder = text("folder", str(self.folder or ""))
        here = folders.local_folder(folder)
        if here is not None:
            yield find_job_folder(beside / here)
            return
        with tempfile.TemporaryDirectory(prefix="saagie-import-") as scratch:
            yield folders.download_job(folders.stored_folder(folder), Path(scratch))

    def _take(
        self, context: Context, client: SaagieClient, project_id: str, job_id: str, change: JobChange, *, ours: bool
    ) -> str:
        """Take the job of that name that is there, or don't."""
        url = client.settings.job_url(project_id, job_id)
        show_link(context, url)
        if ours:
            self.log.info("The job %r is there: an earlier try of this task has made it.", change.job_name)
            return self._done(context, client, project_id, job_id, created=True)
        message = f"The project has a job named {change.job_name!r} already: {url}"
        if self.if_exists == "skip":
            raise AirflowSkipException(message)
        if self.if_exists == "fail":
            raise SaagieValidationError(
                f"{message} Nothing was made. Give another job_name, or set if_exists to 'ignore' or 'skip'."
            )
        self.log.info("%s Left as it is.", message)
        return self._done(context, client, project_id, job_id, created=False)

    def _done(self, context: Context, client: SaagieClient, project_id: str, job_id: str, *, created: bool) -> str:
        url = client.settings.job_url(project_id, job_id)
        self.log.info("The job's page: %s", url)
        show_link(context, url)
        context["ti"].xcom_push(key="created", value=created)
        context["ti"].xcom_push(key="job_url", value=url)
        return job_id
