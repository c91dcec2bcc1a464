"""What OpenLineage is told of a run task. It needs the OpenLineage provider, whose listener alone has it loaded."""

# ruff: noqa: N815 - the names of a facet's fields are OpenLineage's style

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.openlineage.extractors import OperatorLineage
from attrs import define
from openlineage.client.facet_v2 import JobFacet, RunFacet, external_query_run, source_code_location_job

from airflow_provider_saagie.exceptions import SaagieError
from airflow_provider_saagie.operators import own_instance

if TYPE_CHECKING:
    from airflow_provider_saagie.client.lineage import RunDescription
    from airflow_provider_saagie.client.settings import Settings
    from airflow_provider_saagie.client.submit import Submission
    from airflow_provider_saagie.operators.job_reference import NamesJob

__all__ = ["SaagieRunFacet", "of_job", "of_run"]


@define
class SaagieRunFacet(RunFacet):
    """The run in Saagie that belongs to a run of an Airflow task; whatever is not known is None.

    :param jobId: the job's UUID.
    :param instanceUrl: the page of the instance in Saagie.
    :param versionNumber: the number of the job's version that ran.
    :param instanceNumber: the number of the instance within its job.
    :param status: the instance's last status.
    """

    jobId: str | None = None
    jobName: str | None = None
    jobAlias: str | None = None
    projectId: str | None = None
    projectName: str | None = None
    versionNumber: int | None = None
    instanceId: str | None = None
    instanceNumber: int | None = None
    instanceUrl: str | None = None
    status: str | None = None

    _additional_skip_redact: ClassVar[list[str]] = ["jobId", "projectId", "instanceId", "instanceUrl"]


def of_job(task: NamesJob) -> OperatorLineage[Any, Any]:
    """Tell how the task names its job: all that is known before it runs, or where it failed before it had an instance.

    :param task: the task.
    """
    facet = SaagieRunFacet(
        jobId=task.job_id,
        jobName=task.job_name,
        jobAlias=task.job_alias,
        projectId=task.project_id,
        projectName=task.project_name,
    )
    return OperatorLineage(run_facets={"saagie_run": facet})


def of_run(settings: Settings, mine: Submission, log: Any) -> OperatorLineage[Any, Any]:
    """Tell which instance of which version ran; the platform is asked once, briefly, and may stay silent.

    OpenLineage asks in a fork of the task's process, which must not use the process's channel to Airflow, nor its
    connections: hence the settings that are known, and a session of its own.

    :param settings: the connection's.
    :param mine: the task's instance.
    :param log: the task's logger.
    """
    known = _ask(settings, mine, log)
    instance_id = str(mine.instance_id)
    run_facets: dict[str, RunFacet] = {
        "externalQuery": external_query_run.ExternalQueryRunFacet(
            externalQueryId=instance_id, source=settings.base_url
        ),
        "saagie_run": SaagieRunFacet(
            jobId=mine.job_id,
            jobName=known.job_name,
            projectId=mine.project_id,
            projectName=known.project_name,
            versionNumber=known.version_number,
            instanceId=instance_id,
            instanceNumber=known.instance_number,
            instanceUrl=own_instance.instance_url(settings, mine),
            status=known.status,
        ),
    }
    job_facets: dict[str, JobFacet] = {}
    if known.source_url:
        kind = "git" if "git" in known.source_url.casefold() else "other"
        job_facets["sourceCodeLocation"] = source_code_location_job.SourceCodeLocationJobFacet(
            type=kind, url=known.source_url
        )
    return OperatorLineage(run_facets=run_facets, job_facets=job_facets)


def _ask(settings: Settings, mine: Submission, log: Any) -> RunDescription:
    from airflow_provider_saagie.client.lineage import RunDescription, describe_run
    from airflow_provider_saagie.client.session import Session

    try:
        with Session(own_instance.quick(settings)) as session:
            return session.run(describe_run(mine.job_id, str(mine.instance_id)))
    except SaagieError as error:
        log.warning("OpenLineage is told less of the run: %s", error)
        return RunDescription()
