"""SaagieCreateOrUpgradeJobOperator: a job in Saagie becomes what the DAG says."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.exceptions import SaagieValidationError
from airflow_provider_saagie.operators.job_reference import find_project_id
from airflow_provider_saagie.operators.saagie_task import SaagieTask, project_page, show_link

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_saagie.client.deployment import JobChange

__all__ = ["SaagieCreateOrUpgradeJobOperator"]


class SaagieCreateOrUpgradeJobOperator(SaagieTask):
    """Create a job, or update the one of that name to what is given here.

    What is not given stays as the platform has it (or takes the reference's default, for a new job). With
    ``skip_unchanged``, nothing is changed and no version is added if the job is like that already.

    The task returns the job's id. XComs: ``version`` (its number), ``changed`` (whether anything was), ``job_url``.

    .. code-block:: python

        deploy = SaagieCreateOrUpgradeJobOperator(
            task_id="deploy", job_name="nightly", project_name="Sales", file="jobs/nightly.py",
            runtime_version="3.11", command_line="python {file}",
        )

    :param job_name: the job's name (templated).
    :param project_id: the project's UUID (templated).
    :param project_name: or the project's name (templated).
    :param file: the job's file: a path relative to the folder of the DAG's file, or a URI that ``ObjectStoragePath``
        reads (templated).
    :param use_previous_artifact: whether a new version keeps the previous one's file, if none is given.
    :param description: the job's description (templated).
    :param category: a job category of the project (templated).
    :param technology: the technology's label (templated).
    :param technology_catalog: the catalogue that has it (templated).
    :param runtime_version: the id or label of the technology's context, such as ``"3.11"`` (templated).
    :param command_line: what to run; ``{file}`` stands for the file (templated).
    :param release_note: the version's release note (templated).
    :param extra_technology: the second technology, where one is needed (templated).
    :param extra_technology_version: its version (templated).
    :param is_scheduled: whether Saagie's own schedule of the job is on.
    :param cron_scheduling: Saagie's own schedule, five fields (templated).
    :param schedule_timezone: its timezone; counts only with a schedule that is given (templated).
    :param resources: ``{"cpu": {"request": 0.5, "limit": 2.6}, "memory": {"request": 1.0}}``.
    :param emails: whom Saagie notifies of the statuses in ``status_list``.
    :param status_list: statuses such as ``"FAILED"``.
    :param source_url: where the source is, such as the link to a commit (templated).
    :param docker_info: ``{"image": …, "dockerCredentialsId": …}``.
    :param skip_unchanged: whether to change nothing if the job is so already; a new release note alone is no change.
    :param saagie_conn_id: the connection's id (templated).
    :raises SaagieValidationError: naming the argument that is wrong, and the possible ones; nothing was changed then.
    """

    template_fields: Sequence[str] = (
        "job_name",
        "project_id",
        "project_name",
        "file",
        "description",
        "category",
        "technology",
        "technology_catalog",
        "runtime_version",
        "command_line",
        "release_note",
        "extra_technology",
        "extra_technology_version",
        "cron_scheduling",
        "schedule_timezone",
        "source_url",
        "saagie_conn_id",
    )

    def __init__(
        self,
        *,
        job_name: str,
        project_id: str | None = None,
        project_name: str | None = None,
        file: str | None = None,
        use_previous_artifact: bool = True,
        description: str | None = None,
        category: str | None = None,
        technology: str | None = None,
        technology_catalog: str | None = None,
        runtime_version: str | None = None,
        command_line: str | None = None,
        release_note: str | None = None,
        extra_technology: str | None = None,
        extra_technology_version: str | None = None,
        is_scheduled: bool | None = None,
        cron_scheduling: str | None = None,
        schedule_timezone: str = "UTC",
        resources: dict[str, Any] | None = None,
        emails: list[str] | None = None,
        status_list: list[str] | None = None,
        source_url: str | None = None,
        docker_info: dict[str, Any] | None = None,
        skip_unchanged: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_name = job_name
        self.project_id = project_id
        self.project_name = project_name
        self.file = file
        self.use_previous_artifact = use_previous_artifact
        self.description = description
        self.category = category
        self.technology = technology
        self.technology_catalog = technology_catalog
        self.runtime_version = runtime_version
        self.command_line = command_line
        self.release_note = release_note
        self.extra_technology = extra_technology
        self.extra_technology_version = extra_technology_version
        self.is_scheduled = is_scheduled
        self.cron_scheduling = cron_scheduling
        self.schedule_timezone = schedule_timezone
        self.job_resources = resources  # `resources` is Airflow's, about its own workers
        self.emails = emails
        self.status_list = status_list
        self.source_url = source_url
        self.docker_info = docker_info
        self.skip_unchanged = skip_unchanged

    def execute(self, context: Context) -> str:
        """Create the job, add a version to it, or leave it alone.

        :return: the job's id.
        """
        from airflow_provider_saagie.client.definitions import find_by_name
        from airflow_provider_saagie.client.deployment import create_or_upgrade

        client = self.hook.get_conn()
        project_id = find_project_id(self, client)
        with _local_file(str(self.file or ""), beside=Path(context["dag"].fileloc).parent) as file:
            change = self._change(file)
            job_id = client.session.run(find_by_name(self.job_name, project_id))
            url = client.settings.job_url(project_id, job_id or "")
            show_link(context, url if job_id else project_page(url))  # until there is a job to show
            if job_id and self.skip_unchanged and (version := self._unchanged_version(job_id, change)) is not None:
                self.log.info("The job %r is already like that (version %s): left alone.", self.job_name, version)
                return self._done(context, project_id, job_id, version=version, changed=False)
            answer = client.session.run(create_or_upgrade(project_id, change))
        if "data" in answer:
            job_id, version = answer["data"]["createJob"]["id"], 1
            self.log.info("Created the job %r.", self.job_name)
        else:
            version = answer["addJobVersion"]["number"]
            self.log.info("Added version %s to the job %r.", version, self.job_name)
        return self._done(context, project_id, str(job_id), version=version, changed=True)

    def _change(self, file: Path | None) -> JobChange:
        from airflow_provider_saagie.client.deployment import JobChange

        elsewhere: dict[str, Any] = {"file": str(file) if file else None, "resources": self.job_resources}
        given = {name: getattr(self, name) for name in JobChange.__dataclass_fields__ if name not in elsewhere}
        return JobChange(**elsewhere, **given)

    def _unchanged_version(self, job_id: str, change: JobChange) -> int | None:
        """Give the number of the current version, if deploying would change nothing; else None."""
        from airflow_provider_saagie.client.deployment import changes_settings, read_settings_of
        from airflow_provider_saagie.client.transfer import same_content

        session = self.hook.get_conn().session
        settings = session.run(read_settings_of(job_id))
        current = next(iter(settings.get("versions") or []), None)
        if current is None or changes_settings(change, settings):
            return None
        if change.file:
            # By content alone: a platform may store a file under a name of its own making.
            url = (current.get("packageInfo") or {}).get("downloadUrl")
            if not url or not same_content(Path(change.file), session, url):
                return None
        return int(current["number"])

    def _done(self, context: Context, project_id: str, job_id: str, *, version: int, changed: bool) -> str:
        url = self.hook.settings.job_url(project_id, job_id)
        self.log.info("The job's page: %s", url)
        show_link(context, url)
        for key, value in {"version": version, "changed": changed, "job_url": url}.items():
            context["ti"].xcom_push(key=key, value=value)
        return job_id


@contextmanager
def _local_file(file: str, *, beside: Path) -> Iterator[Path | None]:
    """Give a file as one on this machine: itself, beside the DAG's file, or copied here from object storage."""
    if not file:
        yield None
    elif "://" not in file:
        yield beside / Path(file).expanduser()
    else:
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        with tempfile.TemporaryDirectory(prefix="saagie-") as folder:
            try:
                source = ObjectStoragePath(file)
                target = Path(folder) / source.name
                with source.open("rb") as reading, target.open("wb") as writing:  # type: ignore[no-untyped-call]  # Airflow's
                    shutil.copyfileobj(reading, writing, 1024 * 1024)
            except (OSError, ValueError, ImportError) as error:
                raise SaagieValidationError(f"`file` {file!r} can't be read ({error}): nothing was sent.") from error
            yield target
