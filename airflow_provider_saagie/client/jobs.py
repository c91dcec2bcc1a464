"""The face of Saagie's Jobs API: the names, parameters, defaults and shapes of its reference.

Each method is a line: what it does stands in the module of its noun beside this one.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.client import definitions, deployment, importing, instances, running, shapes, transfer
from airflow_provider_saagie.client import versions as version_calls
from airflow_provider_saagie.client.deployment import JobChange

if TYPE_CHECKING:
    from airflow_provider_saagie.client.calls import Steps
    from airflow_provider_saagie.client.session import Session

__all__ = ["Jobs"]


class Jobs:
    """Jobs, their versions and their instances, as Saagie's Python API has them; errors are in ``exceptions.py``.

    :param session: what sends the calls.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def _shaped(self, steps: Steps[Any]) -> Any:
        """Run steps whose result has the shape that the caller names: the platform's schema says so, and tests."""
        return self._session.run(steps)

    def list_for_project(
        self,
        project_id: str,
        instances_limit: int | None = None,
        versions_limit: int | None = None,
        versions_only_current: bool = False,
        pprint_result: bool | None = None,  # noqa: ARG002 - the reference's parameter; printing is not ours to do
    ) -> shapes.JobsAnswer:
        """List a project's jobs with their instances and versions (``jobs``).

        :param project_id: the project's UUID.
        :param instances_limit: how many instances of each job, the newest first; None for all.
        :param versions_limit: how many versions of each job, the newest first; None for all.
        :param versions_only_current: whether to read only the current version.
        :param pprint_result: accepted for the reference's sake, without effect.
        :return: ``{"jobs": [{"id": …, "name": …, "instances": […], "versions": […], …}]}``.
        """
        answer: shapes.JobsAnswer = self._shaped(
            definitions.list_for_project(project_id, instances_limit, versions_limit, versions_only_current)
        )
        return answer

    def list_for_project_minimal(self, project_id: str) -> shapes.JobNamesAnswer:
        """List ids, names and aliases of a project's jobs (``jobs``).

        :param project_id: the project's UUID.
        :return: ``{"jobs": [{"id": …, "name": …, "alias": …}]}``.
        """
        answer: shapes.JobNamesAnswer = self._shaped(definitions.list_for_project_minimal(project_id))
        return answer

    def get_id(self, job_name: str, project_name: str) -> str:
        """Find a job's id by its name and its project's name (``projects``, ``jobs``).

        :param job_name: the job's name; in another case only where no name is the same to the letter.
        :param project_name: the project's name, likewise.
        :return: the job's UUID.
        :raises SaagieNotFound: listing what there is.
        """
        return self._session.run(definitions.get_id(job_name, project_name))

    def get_info(
        self,
        job_id: str,
        instances_limit: int | None = None,
        versions_limit: int | None = None,
        versions_only_current: bool = False,
        pprint_result: bool | None = None,  # noqa: ARG002 - the reference's parameter; printing is not ours to do
    ) -> shapes.JobAnswer:
        """Read a job with its instances and versions (``job``).

        :param job_id: the job's UUID.
        :param instances_limit: how many instances, the newest first; None for all.
        :param versions_limit: how many versions, the newest first; None for all.
        :param versions_only_current: whether to read only the current version.
        :param pprint_result: accepted for the reference's sake, without effect.
        :return: ``{"job": {"id": …, "name": …, "instances": […], "versions": […], …}}``.
        :raises SaagieNotFound: where there is no such job.
        """
        answer: shapes.JobAnswer = self._shaped(
            definitions.get_info(job_id, instances_limit, versions_limit, versions_only_current)
        )
        return answer

    def get_info_by_alias(
        self,
        project_id: str,
        job_alias: str,
        instances_limit: int | None = None,
        versions_limit: int | None = None,
        versions_only_current: bool = False,
        pprint_result: bool | None = None,  # noqa: ARG002 - the reference's parameter; printing is not ours to do
    ) -> shapes.JobByAliasAnswer:
        """Read a job by its alias (``jobByAlias``); parameters and shape as in :meth:`get_info`.

        :param project_id: the UUID of the job's project.
        :param job_alias: the job's alias.
        :return: ``{"jobByAlias": {…}}``.
        :raises SaagieNotFound: where there is no such job.
        """
        answer: shapes.JobByAliasAnswer = self._shaped(
            definitions.get_info_by_alias(project_id, job_alias, instances_limit, versions_limit, versions_only_current)
        )
        return answer

    def get_instance(self, job_instance_id: str, pprint_result: bool | None = None) -> shapes.JobInstanceAnswer:  # noqa: ARG002 - see get_info
        """Read an instance with its variables (``jobInstance``).

        :param job_instance_id: the instance's UUID.
        :param pprint_result: accepted for the reference's sake, without effect.
        :return: ``{"jobInstance": {"id": …, "number": …, "status": …, "history": …, …}}``.
        :raises SaagieNotFound: where there is no such instance.
        """
        answer: shapes.JobInstanceAnswer = self._shaped(instances.get_instance(job_instance_id))
        return answer

    def create(
        self,
        job_name: str,
        project_id: str,
        file: str | None = None,
        description: str = "",
        category: str = "Processing",
        technology: str = "python",
        technology_catalog: str = "Saagie",
        runtime_version: str = "3.10",
        command_line: str = "python {file} arg1 arg2",
        release_note: str = "",
        extra_technology: str | None = None,
        extra_technology_version: str | None = None,
        cron_scheduling: str | None = None,
        schedule_timezone: str = "UTC",
        resources: dict[str, Any] | None = None,
        emails: list[str] | None = None,
        status_list: list[str] | None = None,
        source_url: str = "",
        docker_info: dict[str, Any] | None = None,
    ) -> shapes.CreateJobAnswer:
        """Make a job with its first version (``createJob``).

        :param job_name: a name that the project doesn't have yet.
        :param project_id: the project's UUID.
        :param file: path of the file to upload; it is streamed.
        :param description: the job's description.
        :param category: a job category of the project: Extraction, Processing or Smart App.
        :param technology: the technology's label, in any case.
        :param technology_catalog: the catalogue that has it.
        :param runtime_version: the id of the technology's context, such as ``"3.10"``.
        :param command_line: what to run; ``{file}`` stands for the uploaded file.
        :param release_note: the version's release note.
        :param extra_technology: the second technology, where one is needed (Spark).
        :param extra_technology_version: its version.
        :param cron_scheduling: a cron expression of five fields; the job is scheduled where it is given.
        :param schedule_timezone: the schedule's timezone, such as ``"Europe/Paris"``.
        :param resources: ``{"cpu": {"request": 0.5, "limit": 2.6}, "memory": {"request": 1.0}}``.
        :param emails: who is told of the statuses in ``status_list``.
        :param status_list: statuses such as ``"FAILED"``; FAILED where it is not given.
        :param source_url: where the source is, such as the link to a commit.
        :param docker_info: ``{"image": …, "dockerCredentialsId": …}``, for a technology that takes an image.
        :return: ``{"data": {"createJob": {"id": …, "versions": [{"number": 1, …}], …}}}``.
        :raises SaagieValidationError: naming the argument, and what there is.
        :raises SaagieOutcomeUnknown: where the answer was lost.
        """
        change = JobChange(
            job_name=job_name,
            file=file,
            description=description,
            category=category,
            technology=technology,
            technology_catalog=technology_catalog,
            runtime_version=runtime_version,
            command_line=command_line,
            release_note=release_note,
            extra_technology=extra_technology,
            extra_technology_version=extra_technology_version,
            cron_scheduling=cron_scheduling,
            schedule_timezone=schedule_timezone,
            resources=resources,
            emails=emails,
            status_list=status_list,
            source_url=source_url,
            docker_info=docker_info,
        )
        answer: shapes.CreateJobAnswer = self._shaped(deployment.create(project_id, change))
        return answer

    def upgrade(
        self,
        job_id: str,
        file: str | None = None,
        use_previous_artifact: bool = True,
        runtime_version: str | None = None,
        command_line: str | None = None,
        release_note: str | None = "",
        extra_technology: str | None = None,
        extra_technology_version: str | None = None,
        source_url: str = "",
        docker_info: dict[str, Any] | None = None,
    ) -> shapes.UpgradeJobAnswer:
        """Add a version to a job (``addJobVersion``). What is not given stays as the current version has it.

        What is not named here is as in :meth:`create`.

        :param job_id: the job's UUID.
        :param file: path of the file to upload; without one the previous artifact is used.
        :param use_previous_artifact: whether to, where no file is given.
        :return: ``{"data": {"addJobVersion": {"number": 2, …}}}``.
        :raises SaagieValidationError: naming the argument, and what there is.
        :raises SaagieOutcomeUnknown: where the answer was lost.
        """
        change = JobChange(
            file=file,
            use_previous_artifact=use_previous_artifact,
            runtime_version=runtime_version,
            command_line=command_line,
            release_note=release_note,
            extra_technology=extra_technology,
            extra_technology_version=extra_technology_version,
            source_url=source_url,
            docker_info=docker_info,
        )
        answer: shapes.UpgradeJobAnswer = self._shaped(deployment.upgrade(job_id, change))
        return answer

    def edit(
        self,
        job_id: str,
        job_name: str | None = None,
        description: str | None = None,
        is_scheduled: bool | None = None,
        cron_scheduling: str | None = None,
        schedule_timezone: str = "UTC",
        resources: dict[str, Any] | None = None,
        emails: list[str] | None = None,
        status_list: list[str] | None = None,
    ) -> shapes.EditJobAnswer:
        """Change a job's settings (``editJob``). What is not given stays as it is.

        What is not named here is as in :meth:`create`.

        :param job_id: the job's UUID.
        :param is_scheduled: whether the schedule is on; False switches it off.
        :param cron_scheduling: a new schedule, which is switched on; the timezone counts only with it.
        :param emails: whom to tell; an empty list removes the alerting.
        :return: ``{"editJob": {"id": …, "name": …, …}}``.
        :raises SaagieValidationError: naming the argument.
        """
        change = JobChange(
            job_name=job_name,
            description=description,
            is_scheduled=is_scheduled,
            cron_scheduling=cron_scheduling,
            schedule_timezone=schedule_timezone,
            resources=resources,
            emails=emails,
            status_list=status_list,
        )
        answer: shapes.EditJobAnswer = self._shaped(deployment.edit(job_id, change))
        return answer

    def upgrade_by_name(
        self,
        job_name: str,
        project_name: str,
        file: str | None = None,
        use_previous_artifact: bool = True,
        runtime_version: str | None = None,
        command_line: str | None = None,
        release_note: str | None = None,
        extra_technology: str | None = None,
        extra_technology_version: str | None = None,
        source_url: str = "",
    ) -> shapes.UpgradeJobAnswer:
        """Add a version to the job of a name (``addJobVersion``); otherwise as :meth:`upgrade`.

        :param job_name: the job's name; in another case only where no name is the same to the letter.
        :param project_name: the project's name, likewise.
        :raises SaagieNotFound: listing what there is.
        """
        change = JobChange(
            file=file,
            use_previous_artifact=use_previous_artifact,
            runtime_version=runtime_version,
            command_line=command_line,
            release_note=release_note,
            extra_technology=extra_technology,
            extra_technology_version=extra_technology_version,
            source_url=source_url,
        )
        answer: shapes.UpgradeJobAnswer = self._shaped(deployment.upgrade_by_name(job_name, project_name, change))
        return answer

    def create_or_upgrade(
        self,
        job_name: str,
        project_id: str,
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
        source_url: str = "",
        docker_info: dict[str, Any] | None = None,
    ) -> shapes.CreateOrUpgradeAnswer:
        """Make a job, or add a version to the one of that name and change its settings.

        Parameters are those of :meth:`create` and :meth:`edit`; what is not given stays, or takes create's default.

        :return: what :meth:`create` gives, or ``{"addJobVersion": {…}, "editJob": {…}}``.
        :raises SaagieValidationError: naming the argument, and what there is.
        :raises SaagieOutcomeUnknown: where an answer was lost.
        """
        change = JobChange(
            job_name=job_name,
            file=file,
            use_previous_artifact=use_previous_artifact,
            description=description,
            category=category,
            technology=technology,
            technology_catalog=technology_catalog,
            runtime_version=runtime_version,
            command_line=command_line,
            release_note=release_note,
            extra_technology=extra_technology,
            extra_technology_version=extra_technology_version,
            is_scheduled=is_scheduled,
            cron_scheduling=cron_scheduling,
            schedule_timezone=schedule_timezone,
            resources=resources,
            emails=emails,
            status_list=status_list,
            source_url=source_url,
            docker_info=docker_info,
        )
        answer: shapes.CreateOrUpgradeAnswer = self._shaped(deployment.create_or_upgrade(project_id, change))
        return answer

    def rollback(self, job_id: str, version_number: str | int) -> shapes.RollbackAnswer:
        """Make an earlier version the current one (``rollbackJobVersion``).

        :param job_id: the job's UUID.
        :param version_number: the version's number.
        :return: ``{"rollbackJobVersion": {"id": …, "versions": [{"number": 2, "isCurrent": False}, …]}}``.
        """
        answer: shapes.RollbackAnswer = self._shaped(version_calls.rollback(job_id, version_number))
        return answer

    def delete_versions(self, job_id: str, versions: list[str] | list[int]) -> shapes.DeleteVersionsAnswer:
        """Delete versions that are not the current one, and belong to no pipeline (``deleteJobVersions``).

        :param job_id: the job's UUID.
        :param versions: the versions' numbers.
        :return: ``{"deleteJobVersions": [{"number": 1, "success": True}, …]}``.
        """
        answer: shapes.DeleteVersionsAnswer = self._shaped(version_calls.delete_versions(job_id, versions))
        return answer

    def duplicate(self, job_id: str) -> shapes.DuplicateJobAnswer:
        """Copy a job within its project (``duplicateJob``).

        :param job_id: the job's UUID.
        :return: ``{"duplicateJob": {"id": …, "name": "Copy of …"}}``.
        """
        answer: shapes.DuplicateJobAnswer = self._shaped(definitions.duplicate(job_id))
        return answer

    def move_job(self, job_id: str, target_platform_id: int, target_project_id: str) -> shapes.MoveJobAnswer:
        """Move a job to another project, which may be on another platform (``moveJob``).

        :param job_id: the job's UUID.
        :param target_platform_id: the number of the platform to move it to.
        :param target_project_id: the UUID of the project to move it to.
        :return: ``{"moveJob": "…"}``, the job's new UUID.
        """
        answer: shapes.MoveJobAnswer = self._shaped(definitions.move_job(job_id, target_platform_id, target_project_id))
        return answer

    def generate_description_by_ai(self, job_id: str) -> shapes.AiDescriptionAnswer:
        """Have the platform write the job's description (``editJobWithAiGeneratedDescription``).

        The platform sends the job's code to a third party for that. Newer platforms no longer serve it, and refuse.

        :param job_id: the job's UUID.
        :return: ``{"editJobWithAiGeneratedDescription": {"id": …, "description": …, …}}``.
        :raises SaagieApiError: with the platform's own refusal.
        """
        answer: shapes.AiDescriptionAnswer = self._shaped(definitions.generate_description_by_ai(job_id))
        return answer

    def export(
        self,
        job_id: str,
        output_folder: str,
        error_folder: str | None = "",
        versions_limit: int | None = None,
        versions_only_current: bool = False,
    ) -> bool:
        """Write a job's settings, and its versions' files, into a folder; see ``client/transfer.py`` for its layout.

        :param job_id: the job's UUID.
        :param output_folder: the folder to make the job's folder in.
        :param error_folder: a folder in which the job's id is noted where the export fails.
        :param versions_limit: how many versions, the newest first; None for all.
        :param versions_only_current: whether to export only the current version.
        :return: True; whatever fails is raised, and leaves no half folder.
        """
        return transfer.export(
            self._session,
            job_id,
            output_folder,
            error_folder=error_folder,
            versions_limit=versions_limit,
            versions_only_current=versions_only_current,
        )

    def import_from_json(self, project_id: str, path_to_folder: str) -> bool:
        """Make a job of what :meth:`export` wrote, with its current version.

        :param project_id: the UUID of the project to make it in.
        :param path_to_folder: the exported job's folder, or one that holds it.
        :return: True; whatever fails is raised.
        """
        return importing.import_from_json(self._session, project_id, path_to_folder)

    def delete(self, job_id: str) -> shapes.DeleteJobAnswer:
        """Delete a job with its versions and instances (``deleteJob``).

        :param job_id: the job's UUID.
        :return: ``{"deleteJob": True}``.
        """
        answer: shapes.DeleteJobAnswer = self._shaped(definitions.delete(job_id))
        return answer

    def run(self, job_id: str) -> shapes.RunJobAnswer:
        """Start a job (``runJob``). It is sent once: a lost answer is an error, never a second run.

        :param job_id: the job's UUID.
        :return: ``{"runJob": {"id": …, "status": "REQUESTED"}}``.
        :raises SaagieOutcomeUnknown: where the answer was lost, so that the job may run; it lists the newest instances.
        """
        answer: shapes.RunJobAnswer = self._shaped(running.run(job_id))
        return answer

    def run_with_callback(self, job_id: str, freq: int = 10, timeout: int = -1) -> tuple[str, str]:
        """Start a job and wait for its end, however it ends (``runJob``, ``jobInstance``).

        :param job_id: the job's UUID.
        :param freq: seconds between two looks.
        :param timeout: seconds to wait at most; -1 for no limit.
        :return: the last status, such as ``"SUCCEEDED"``, and the instance's id.
        :raises SaagieWaitTimeout: (a ``TimeoutError``) when ``timeout`` passes; the instance is left running.
        :raises SaagieOutcomeUnknown: where the answer to ``runJob`` was lost, so that the job may run.
        """
        return self._session.run(running.run_with_callback(job_id, freq, timeout))

    def stop(self, job_instance_id: str) -> shapes.StopJobInstanceAnswer:
        """Ask for an instance to be stopped (``stopJobInstance``).

        :param job_instance_id: the instance's UUID.
        :return: ``{"stopJobInstance": {"id": …, "status": "KILLING", …}}``.
        """
        answer: shapes.StopJobInstanceAnswer = self._shaped(instances.stop(job_instance_id))
        return answer

    def count_deletable_instances_by_status(self, job_id: str) -> shapes.CountBySelectorAnswer:
        """Count the instances that could be deleted, by how they ended (``countJobInstancesBySelector``).

        :param job_id: the job's UUID.
        :return: ``{"countJobInstancesBySelector": [{"selector": "ALL", "count": 0}, …]}``.
        """
        answer: shapes.CountBySelectorAnswer = self._shaped(instances.count_by_selector(job_id))
        return answer

    def count_instances_by_status(self, job_id: str) -> shapes.CountBySelectorAnswer:
        """Count as :meth:`count_deletable_instances_by_status` does; deprecated in its favour, as in the reference."""
        warnings.warn(
            "count_instances_by_status is deprecated: use count_deletable_instances_by_status.",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.count_deletable_instances_by_status(job_id)

    def count_deletable_instances_by_date(self, job_id: str, date_before: str) -> shapes.CountByDateAnswer:
        """Count the instances before a date that could be deleted (``countJobInstancesByDate``).

        :param job_id: the job's UUID.
        :param date_before: a date with its timezone, such as ``"2023-06-01T00:00:00+01:00"``.
        :return: ``{"countJobInstancesByDate": 3}``.
        """
        answer: shapes.CountByDateAnswer = self._shaped(instances.count_by_date(job_id, date_before))
        return answer

    def delete_instances(self, job_id: str, job_instances_id: list[str]) -> shapes.DeleteInstancesAnswer:
        """Delete instances that have ended and belong to no pipeline instance (``deleteJobInstances``).

        :param job_id: the job's UUID.
        :param job_instances_id: the instances' UUIDs.
        :return: ``{"deleteJobInstances": [{"id": …, "success": True}, …]}``.
        """
        answer: shapes.DeleteInstancesAnswer = self._shaped(instances.delete_instances(job_id, job_instances_id))
        return answer

    def delete_instances_by_selector(
        self,
        job_id: str,
        selector: str,
        exclude_instances_id: list[str] | None = None,
        include_instances_id: list[str] | None = None,
    ) -> shapes.DeleteBySelectorAnswer:
        """Delete instances by how they ended (``deleteJobInstancesBySelector``).

        :param job_id: the job's UUID.
        :param selector: ALL, SUCCEEDED, FAILED, STOPPED or UNKNOWN.
        :param exclude_instances_id: instances to keep.
        :param include_instances_id: instances to delete as well; wins over ``exclude_instances_id``.
        :return: ``{"deleteJobInstancesBySelector": 1}``.
        """
        answer: shapes.DeleteBySelectorAnswer = self._shaped(
            instances.delete_instances_by_selector(job_id, selector, exclude_instances_id, include_instances_id)
        )
        return answer

    def delete_instances_by_date(
        self,
        job_id: str,
        date_before: str,
        exclude_instances_id: list[str] | None = None,
        include_instances_id: list[str] | None = None,
    ) -> shapes.DeleteByDateAnswer:
        """Delete instances that started before a date (``deleteJobInstancesByDate``).

        :param job_id: the job's UUID.
        :param date_before: a date with its timezone, such as ``"2023-06-01T00:00:00+01:00"``.
        :param exclude_instances_id: instances to keep.
        :param include_instances_id: instances to delete as well; wins over ``exclude_instances_id``.
        :return: ``{"deleteJobInstancesByDate": 1}``.
        """
        answer: shapes.DeleteByDateAnswer = self._shaped(
            instances.delete_instances_by_date(job_id, date_before, exclude_instances_id, include_instances_id)
        )
        return answer
