"""Versions of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ariadne import MutationType, ObjectType, QueryType

from airflow_provider_saagie.emulator import artifacts, catalogue
from airflow_provider_saagie.emulator.errors import InvalidError
from airflow_provider_saagie.emulator.resolvers.files import tidied
from airflow_provider_saagie.emulator.store import jobs, versions

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.resolvers.context import Context, Info
    from airflow_provider_saagie.emulator.store.records import Job, Version

query = QueryType()
mutation = MutationType()
version_type = ObjectType("JobVersion")


@query.field("jobVersion")
def one_version(_: object, info: Info, job_id: str, number: int) -> Version | None:
    """Look up a version."""
    context = info.context
    job = jobs.find_job(context.database, context.platform, job_id)
    return versions.find_version(context.database, job.id, number) if job else None


@mutation.field("addJobVersion")
def add_version(_: object, info: Info, job_id: str, job_version: dict[str, Any], file: Any = None) -> Version:
    """Add a version to a job and make it the current one."""
    context = info.context
    job = jobs.require_job(context.database, context.platform, job_id)
    previous = versions.current_version(context.database, job.id)
    new = as_new_version(context, job.technology_id, job_version, file, previous)
    with tidied(context, [new.artifact]):
        return versions.add_version(context.database, job.id, new)


@mutation.field("rollbackJobVersion")
def roll_back(_: object, info: Info, job_id: str, version_number: int) -> Job | None:
    """Make another version the current one."""
    context = info.context
    jobs.require_job(context.database, context.platform, job_id)
    versions.make_current(context.database, job_id, version_number)
    return jobs.find_job(context.database, context.platform, job_id)


@mutation.field("setMajorJobVersion")
def set_major(_: object, info: Info, job_id: str, version_number: int, is_major: bool) -> Version:
    """Mark a version as major, or not."""
    context = info.context
    jobs.require_job(context.database, context.platform, job_id)
    return versions.set_major(context.database, job_id, version_number, is_major)


@mutation.field("deleteJobVersions")
def delete_versions(_: object, info: Info, job_id: str, job_version_numbers: list[int]) -> list[dict[str, Any]]:
    """Delete versions, as far as nothing speaks against it."""
    context = info.context
    jobs.require_job(context.database, context.platform, job_id)
    with tidied(context, versions.artifacts_of(context.database, job_id)):
        return [
            {"number": number, "success": versions.delete_version(context.database, job_id, number)}
            for number in job_version_numbers
        ]


@version_type.field("packageInfo")
def package_info(version: Version, info: Info) -> dict[str, str] | None:
    """Tell what a version's artifact is called and where it is."""
    if version.artifact_name is None:
        return None
    context = info.context
    job = jobs.require_job(context.database, context.platform, version.job_id)
    path = f"/projects/api/platform/{context.platform}/project/{job.project_id}/job/{job.id}"
    return {
        "name": version.artifact_name,
        "download_url": f"{path}/version/{version.number}/artifact/{quote(version.artifact_name)}",
    }


@version_type.field("dockerInfo")
def docker_info(version: Version, *_: object) -> dict[str, Any] | None:
    """Tell which image a version was given."""
    docker = version.docker
    return docker and {"image": docker["image"], "docker_credentials_id": docker.get("docker_credentials_id")}


@version_type.field("deletableState")
def deletable_state(version: Version, info: Info) -> dict[str, Any]:
    """Tell whether a version can be deleted, and why not."""
    reasons = versions.undeletable_because(info.context.database, version)
    return {"deletable": not reasons, "reasons": reasons}


for _name, _resolve in {
    "creationDate": lambda version, *_: version.created_at,
    "doesUseGPU": lambda *_: False,
}.items():
    version_type.set_field(_name, _resolve)


def as_new_version(
    context: Context, technology_id: str, sent: dict[str, Any], file: Any, previous: Version | None
) -> versions.NewVersion:
    """Check a version that was sent, and store its file.

    :param context: the request's context.
    :param technology_id: the job's technology.
    :param sent: JobVersionInput.
    :param file: the upload, or None.
    :param previous: the version whose artifact can be used again.
    :return: what the store needs.
    :raises InvalidError: where the runtime, the image or the URL can't be.
    """
    runtime = sent.get("runtime_version")
    docker = sent.get("docker_info")
    _check_runtime(technology_id, runtime)
    source_url = sent.get("source_url") or None
    if source_url and not source_url.startswith(("http://", "https://")):
        raise InvalidError("sourceUrl has to begin with http:// or https://")
    artifact = artifact_name = None
    again = sent.get("use_previous_artifact") or (sent.get("package_info") or {}).get("use_previous_artifact")
    if file is not None:
        artifact_name = artifacts.safe_name(file.filename)
        artifact = artifacts.keep(context.settings.data, file.file, context.settings.upload_limit)
    elif again and previous is not None:
        artifact, artifact_name = previous.artifact, previous.artifact_name
    return versions.NewVersion(
        creator=context.login,
        release_note=sent.get("release_note"),
        runtime_version=runtime,
        command_line=sent.get("command_line"),
        artifact=artifact,
        artifact_name=artifact_name,
        docker=docker,
        extra_technology=sent.get("extra_technology"),
        source_url=source_url,
    )


def copied(version: Version, creator: str) -> versions.NewVersion:
    """Take a version over into another job.

    :param version: the version.
    :param creator: who makes the copy.
    :return: what the store needs.
    """
    return versions.NewVersion(
        creator=creator,
        release_note=version.release_note,
        runtime_version=version.runtime_version,
        command_line=version.command_line,
        artifact=version.artifact,
        artifact_name=version.artifact_name,
        docker=version.docker,
        extra_technology=version.extra_technology,
        source_url=version.source_url,
    )


def _check_runtime(technology_id: str, runtime: str | None) -> None:
    found = catalogue.find_context(technology_id, runtime)
    if found is None or not found.available:
        label = catalogue.technologies()[technology_id].label
        raise InvalidError(f"Runtime {runtime!r} of {label} does not exist or is not available")


BINDABLES = (query, mutation, version_type)
