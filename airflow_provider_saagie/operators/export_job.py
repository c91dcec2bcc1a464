"""SaagieExportJobOperator: a job's settings and files, written into a folder."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.exceptions import SaagieValidationError
from airflow_provider_saagie.operators.job_reference import JOB_FIELDS, find_job
from airflow_provider_saagie.operators.saagie_task import SaagieTask, show_link

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = ["SaagieExportJobOperator"]


class SaagieExportJobOperator(SaagieTask):
    """Write a job's settings and the files of its versions into a folder.

    The layout is that of Saagie's own Python client, so that each can read the other's exports. The job's folder
    appears whole or not at all, and replaces an older one, so a retry does no harm. In object storage its ``job.json``
    comes last: without it, a folder is no exported job.

    The task returns the job's folder, ``FOLDER/JOB_ID``. XComs: ``job_id``, ``job_url``.

    .. code-block:: python

        export = SaagieExportJobOperator(
            task_id="export", job_name="nightly", project_name="Sales", folder="s3://aws_default@backups/saagie"
        )

    :param folder: where to create the job's folder: a URI that ``ObjectStoragePath`` writes to, or an absolute path on
        the worker, whose disk may vanish with it (templated).
    :param job_id: the job's UUID (templated).
    :param job_name: the job's name (templated).
    :param project_name: the name of its project (templated).
    :param job_alias: the job's alias (templated).
    :param project_id: the UUID of its project (templated).
    :param versions_limit: how many versions, the newest first; None for all.
    :param versions_only_current: whether to export only the current version: that is all an import needs.
    :param saagie_conn_id: the connection's id (templated).
    :raises SaagieValidationError: where the folder can't be written, or an argument is wrong.
    :raises SaagieNotFound: where there is no such job.
    """

    template_fields: Sequence[str] = ("folder", *JOB_FIELDS, "saagie_conn_id")

    def __init__(
        self,
        *,
        folder: str,
        job_id: str | None = None,
        job_name: str | None = None,
        project_name: str | None = None,
        job_alias: str | None = None,
        project_id: str | None = None,
        versions_limit: int | None = None,
        versions_only_current: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.folder = folder
        self.job_id = job_id
        self.job_name = job_name
        self.project_name = project_name
        self.job_alias = job_alias
        self.project_id = project_id
        self.versions_limit = versions_limit
        self.versions_only_current = versions_only_current

    def execute(self, context: Context) -> str:
        """Export the job.

        :return: the job's folder.
        """
        from airflow_provider_saagie.client.checks import number, text
        from airflow_provider_saagie.operators import folders

        folder = text("folder", str(self.folder or ""))
        if self.versions_limit is not None and number("versions_limit", self.versions_limit) < 1:
            raise SaagieValidationError("`versions_limit` is 0: it should be at least 1, or None for all.")
        here = folders.local_folder(folder)
        if here is not None and not here.is_absolute():
            raise SaagieValidationError(
                f"`folder` {folder!r} is relative, and a task has no folder of its own: give an absolute path, or a "
                "URI such as s3://aws_default@bucket/exports."
            )
        storage = folders.stored_folder(folder) if here is None else None
        client = self.hook.get_conn()
        job = find_job(self, client)
        url = client.settings.job_url(job.project_id, job.id)
        show_link(context, url)
        options: dict[str, Any] = {
            "versions_limit": self.versions_limit,
            "versions_only_current": self.versions_only_current,
        }
        if storage is None:
            client.jobs.export(job.id, str(here), **options)
        else:
            with tempfile.TemporaryDirectory(prefix="saagie-export-") as scratch:
                client.jobs.export(job.id, scratch, **options)
                folders.upload_job(Path(scratch) / job.id, storage / job.id)
        exported = f"{folder.rstrip('/')}/{job.id}" if "://" in folder else f"{here}/{job.id}"
        self.log.info("Exported the job %r to %s.", job.name, exported)
        context["ti"].xcom_push(key="job_id", value=job.id)
        context["ti"].xcom_push(key="job_url", value=url)
        return exported
