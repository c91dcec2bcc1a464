"""The shapes of what the Jobs API returns, for whoever checks types; the keys are the platform's.

A field that the published schema lets be null is typed so, even where no platform has been seen to leave it out.
"""

from __future__ import annotations

from typing import Any, TypedDict

__all__ = [
    "CreateJobAnswer",
    "CreateOrUpgradeAnswer",
    "Job",
    "JobAnswer",
    "JobByAliasAnswer",
    "JobInstance",
    "JobInstanceAnswer",
    "JobName",
    "JobNamesAnswer",
    "JobVersion",
    "JobsAnswer",
    "RunJobAnswer",
    "StopJobInstanceAnswer",
    "UpgradeJobAnswer",
]


class CurrentStatus(TypedDict):
    """Where an instance stands."""

    status: str
    details: str | None
    reason: str | None


class InstanceHistory(TypedDict):
    """An instance's present status."""

    currentStatus: CurrentStatus


class ExecutionVariable(TypedDict):
    """A variable that an instance received or handed on; a password's value is null."""

    key: str
    value: str | None
    isPassword: bool


class InstanceVersion(TypedDict, total=False):
    """The version that an instance ran."""

    number: int
    releaseNote: str | None
    runtimeVersion: str | None
    commandLine: str | None
    isMajor: bool | None
    isCurrent: bool
    doesUseGPU: bool | None


class InstanceOfJob(TypedDict, total=False):
    """An instance, as it stands in a job."""

    id: str
    status: str | None
    history: InstanceHistory | None
    startTime: str
    endTime: str | None
    version: InstanceVersion


class JobInstance(TypedDict):
    """An instance, as ``get_instance`` gives it."""

    id: str
    number: int
    status: str | None
    history: InstanceHistory | None
    startTime: str
    endTime: str | None
    jobId: str
    jobAlias: str | None
    version: InstanceVersion
    executionGlobalVariablesInput: list[ExecutionVariable] | None
    executionVariablesInput: list[dict[str, Any]] | None
    executionVariablesOutput: list[ExecutionVariable] | None
    executionVariablesByKey: list[dict[str, Any]] | None


class PackageInfo(TypedDict):
    """A version's file."""

    name: str
    downloadUrl: str | None


class DockerInfo(TypedDict):
    """A version's image."""

    image: str
    dockerCredentialsId: str | None


class ExtraTechnology(TypedDict):
    """A version's second technology."""

    language: str
    version: str


class JobVersion(TypedDict):
    """A version of a job."""

    number: int
    creationDate: str
    releaseNote: str | None
    runtimeVersion: str | None
    commandLine: str | None
    packageInfo: PackageInfo | None
    dockerInfo: DockerInfo | None
    extraTechnology: ExtraTechnology | None
    isCurrent: bool
    isMajor: bool | None
    deletableState: dict[str, Any] | None
    sourceUrl: str | None


class Amounts(TypedDict):
    """How much of a resource a job asks for, and how much it may have."""

    request: float | None
    limit: float | None


class Resources(TypedDict):
    """What a job may use."""

    cpu: Amounts | None
    memory: Amounts | None


class Alerting(TypedDict):
    """Who is told of which statuses."""

    emails: list[str]
    statusList: list[str]


class TechnologyId(TypedDict):
    """A job's technology."""

    id: str


class JobName(TypedDict):
    """A job, as ``list_for_project_minimal`` gives it."""

    id: str
    name: str
    alias: str | None


class Job(JobName):
    """A job, as ``get_info`` gives it."""

    description: str | None
    alerting: dict[str, Any] | None
    countJobInstance: int | None
    instances: list[InstanceOfJob]
    versions: list[JobVersion]
    category: str
    technology: TechnologyId | None
    isScheduled: bool
    cronScheduling: str | None
    scheduleStatus: str | None
    scheduleTimezone: str | None
    isStreaming: bool
    creationDate: str
    migrationStatus: str | None
    migrationProjectId: str | None
    isDeletable: bool
    graphPipelines: list[dict[str, str]] | None
    doesUseGPU: bool | None
    resources: Resources | None
    originalJobId: str | None


class JobOfProject(Job):
    """A job, as ``list_for_project`` gives it."""

    pipelines: list[dict[str, str]] | None


class JobsAnswer(TypedDict):
    """What ``list_for_project`` gives."""

    jobs: list[JobOfProject]


class JobNamesAnswer(TypedDict):
    """What ``list_for_project_minimal`` gives."""

    jobs: list[JobName]


class JobAnswer(TypedDict):
    """What ``get_info`` gives."""

    job: Job


class JobByAliasAnswer(TypedDict):
    """What ``get_info_by_alias`` gives."""

    jobByAlias: Job


class JobInstanceAnswer(TypedDict):
    """What ``get_instance`` gives."""

    jobInstance: JobInstance


class _VersionMade(TypedDict):
    number: int


class _JobMade(TypedDict):
    id: str
    versions: list[_VersionMade]


class _CreateJob(TypedDict):
    createJob: _JobMade


class CreateJobAnswer(TypedDict):
    """What ``create`` gives."""

    data: _CreateJob


class _AddJobVersion(TypedDict):
    addJobVersion: _VersionMade


class UpgradeJobAnswer(TypedDict):
    """What ``upgrade`` gives."""

    data: _AddJobVersion


class _EditedJob(JobName):
    description: str | None
    isScheduled: bool
    cronScheduling: str | None
    scheduleTimezone: str | None
    resources: Resources | None
    alerting: Alerting | None


class EditJobAnswer(TypedDict):
    """What ``edit`` gives."""

    editJob: _EditedJob


class CreateOrUpgradeAnswer(TypedDict, total=False):
    """What ``create_or_upgrade`` gives: ``data`` for a new job, both others for one that was there."""

    data: _CreateJob
    addJobVersion: _VersionMade
    editJob: _EditedJob


class _Started(TypedDict):
    id: str
    status: str | None


class RunJobAnswer(TypedDict):
    """What ``run`` gives."""

    runJob: _Started


class _Stopped(TypedDict):
    id: str
    number: int
    status: str | None
    history: InstanceHistory | None
    startTime: str
    endTime: str | None
    jobId: str


class StopJobInstanceAnswer(TypedDict):
    """What ``stop`` gives."""

    stopJobInstance: _Stopped


class _SelectorCount(TypedDict):
    selector: str
    count: int


class CountBySelectorAnswer(TypedDict):
    """What ``count_deletable_instances_by_status`` gives."""

    countJobInstancesBySelector: list[_SelectorCount]


class CountByDateAnswer(TypedDict):
    """What ``count_deletable_instances_by_date`` gives."""

    countJobInstancesByDate: int


class _InstanceDeletion(TypedDict):
    id: str | None
    success: bool | None


class DeleteInstancesAnswer(TypedDict):
    """What ``delete_instances`` gives."""

    deleteJobInstances: list[_InstanceDeletion]


class DeleteBySelectorAnswer(TypedDict):
    """What ``delete_instances_by_selector`` gives."""

    deleteJobInstancesBySelector: int


class DeleteByDateAnswer(TypedDict):
    """What ``delete_instances_by_date`` gives."""

    deleteJobInstancesByDate: int


class _VersionDeletion(TypedDict):
    number: int
    success: bool


class DeleteVersionsAnswer(TypedDict):
    """What ``delete_versions`` gives."""

    deleteJobVersions: list[_VersionDeletion]


class _VersionOfRollback(TypedDict):
    number: int
    isCurrent: bool


class _RolledBackJob(TypedDict):
    id: str
    versions: list[_VersionOfRollback]


class RollbackAnswer(TypedDict):
    """What ``rollback`` gives."""

    rollbackJobVersion: _RolledBackJob


class DeleteJobAnswer(TypedDict):
    """What ``delete`` gives."""

    deleteJob: bool


class _Copy(TypedDict):
    id: str
    name: str


class DuplicateJobAnswer(TypedDict):
    """What ``duplicate`` gives."""

    duplicateJob: _Copy


class MoveJobAnswer(TypedDict):
    """What ``move_job`` gives: the job's new id."""

    moveJob: str


class _Described(TypedDict):
    id: str
    description: str | None
    aiDescriptionVersionNumber: int | None


class AiDescriptionAnswer(TypedDict):
    """What ``generate_description_by_ai`` gives."""

    editJobWithAiGeneratedDescription: _Described
