"""The calls that make jobs and change them: create, upgrade, edit, create or upgrade.

What can be known without the platform is checked first, then what the platform has; only then is something changed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from airflow_provider_saagie.client import answers, checks
from airflow_provider_saagie.client.calls import Call, Steps, Upload
from airflow_provider_saagie.client.definitions import find_by_name, get_id
from airflow_provider_saagie.client.projects import get_project_technologies
from airflow_provider_saagie.client.technologies import check_runtime, find_technology
from airflow_provider_saagie.exceptions import SaagieError, SaagieValidationError

__all__ = [
    "JobChange",
    "changes_settings",
    "create",
    "create_or_upgrade",
    "edit",
    "read_settings_of",
    "upgrade",
    "upgrade_by_name",
]


@dataclass(frozen=True)
class JobChange:
    """What a caller gives of a job's settings; None is "not given". The names are the reference's."""

    job_name: str | None = None
    file: str | None = None
    use_previous_artifact: bool = True
    description: str | None = None
    category: str | None = None
    technology: str | None = None
    technology_catalog: str | None = None
    runtime_version: str | None = None
    command_line: str | None = None
    release_note: str | None = None
    extra_technology: str | None = None
    extra_technology_version: str | None = None
    is_scheduled: bool | None = None
    cron_scheduling: str | None = None
    schedule_timezone: str = "UTC"
    resources: dict[str, Any] | None = None
    emails: list[str] | None = None
    status_list: list[str] | None = None
    source_url: str | None = None
    docker_info: dict[str, Any] | None = None


CREATION_DEFAULTS = JobChange(
    description="",
    category="Processing",
    technology="python",
    technology_catalog="Saagie",
    runtime_version="3.10",
    command_line="python {file} arg1 arg2",
    release_note="",
)


_TEXTS = frozenset({
    "job_name", "description", "category", "technology", "technology_catalog", "runtime_version", "command_line",
    "release_note", "extra_technology", "extra_technology_version", "source_url",
})  # fmt: skip
_FLAGS = frozenset({"use_previous_artifact", "is_scheduled"})


def create(project_id: str, change: JobChange) -> Steps[dict[str, Any]]:
    """Make a job with its first version (``createJob``).

    :param project_id: the project's id.
    :param change: the settings; where one is not given, the reference's default counts.
    :return: ``{"data": {"createJob": {…}}}``.
    :raises SaagieValidationError: before anything is sent, or after asking what the project has.
    :raises SaagieOutcomeUnknown: where the answer was lost, or names no job.
    """
    project_id = checks.identifier("project_id", project_id)
    given = _with_defaults(change)
    _check(given)
    name = checks.text("job_name", given.job_name)
    upload = _upload(given.file)
    job: dict[str, Any] = {"projectId": project_id, "name": name, "description": given.description}
    job |= _schedule(given) or {"isScheduled": False}
    if given.is_scheduled and not given.cron_scheduling:
        raise SaagieValidationError("`is_scheduled` is given without `cron_scheduling`, which a new job needs with it.")
    job |= _resources(given)
    if given.emails:
        job["alerting"] = checks.alerting(given.emails, given.status_list)
    elif given.status_list:
        raise SaagieValidationError("`status_list` is given without `emails`: nobody would be told.")
    version = _version(given)
    category = checks.text("category", given.category)
    technology = checks.text("technology", given.technology)
    catalog = checks.text("technology_catalog", given.technology_catalog)
    allowed = yield from get_project_technologies(project_id)
    technology_id = yield from find_technology(technology, catalog, allowed, category)
    version["runtimeVersion"] = yield from check_runtime(technology_id, str(given.runtime_version))
    job |= {"category": category, "technology": {"id": technology_id}, "isStreaming": False, "doesUseGPU": False}
    data = yield Call("createJob", {"job": job, "jobVersion": version, "file": None}, upload)
    made = answers.changed(data, "createJob", operation="createJob", kind=dict)
    answers.changed(made, "id", operation="createJob", kind=str)
    return {"data": {"createJob": made}}


def upgrade(job_id: str, change: JobChange) -> Steps[dict[str, Any]]:
    """Add a version to a job (``addJobVersion``). What is not given stays as the current version has it.

    :return: ``{"data": {"addJobVersion": {…}}}``.
    :raises SaagieOutcomeUnknown: where the answer was lost, or names no version.
    """
    job_id = checks.identifier("job_id", job_id)
    _check(change)
    settings = yield from _settings_of(job_id)
    return (yield from _add_version(job_id, change, settings))


def upgrade_by_name(job_name: str, project_name: str, change: JobChange) -> Steps[dict[str, Any]]:
    """Add a version to the job of a name (``addJobVersion``), as :func:`upgrade` does.

    :raises SaagieNotFound: listing what there is.
    """
    _check(change)
    job_id = yield from get_id(job_name, project_name)
    return (yield from upgrade(job_id, change))


def edit(job_id: str, change: JobChange) -> Steps[dict[str, Any]]:
    """Change a job's settings (``editJob``). What is not given stays as it is.

    :return: ``{"editJob": {…}}``.
    """
    job_id = checks.identifier("job_id", job_id)
    _check(change)
    settings = yield from _settings_of(job_id)
    return (yield from _edit(_edition(job_id, change, settings)))


def create_or_upgrade(project_id: str, change: JobChange) -> Steps[dict[str, Any]]:
    """Make a job, or add a version to the one of that name and change its settings.

    :return: what ``create`` gives, or ``{"addJobVersion": {…}, "editJob": {…}}``.
    """
    _check(change)
    job_id = yield from find_by_name(checks.text("job_name", change.job_name), project_id)
    if job_id is None:
        return (yield from create(project_id, change))
    settings = yield from _settings_of(job_id)
    edition = _edition(job_id, change, settings)  # checked before the version is added
    added = yield from _add_version(job_id, change, settings)
    version = added["data"]["addJobVersion"]
    number = version["number"]
    try:
        edited = yield from _edit(edition)
    except SaagieError as error:
        there = f"The job {job_id} has got its version {number} all the same, and runs it: edit its settings anew."
        error.args = (f"{error} {there}", *error.args[1:])
        raise
    return {"addJobVersion": version, **edited}


def read_settings_of(job_id: str) -> Steps[dict[str, Any]]:
    """Read what upgrading and editing a job would start from (``job``)."""
    return (yield from _settings_of(checks.identifier("job_id", job_id)))


def changes_settings(change: JobChange, settings: dict[str, Any]) -> bool:
    """Say whether a change would alter a job's settings or its current version's, but for its file and release note.

    :param change: what a caller gives.
    :param settings: what the platform has, from :func:`read_settings_of`.
    """
    job_id = str(settings.get("id"))
    # A source URL that is not given is not kept, so that it counts only if it is given.
    same = JobChange(source_url=_current_version(settings).get("sourceUrl") if change.source_url else None)
    now = (_edition(job_id, same, settings), _version_of(same, settings))
    then = (_edition(job_id, change, settings), _version_of(change, settings))
    return bool([_without_nulls(part) for part in now] != [_without_nulls(part) for part in then])


def _add_version(job_id: str, change: JobChange, settings: dict[str, Any]) -> Steps[dict[str, Any]]:
    upload = _upload(change.file)
    version = {"releaseNote": change.release_note, **_version_of(change, settings)}
    has_artifact = bool(_current_version(settings).get("packageInfo"))
    version["usePreviousArtifact"] = bool(change.use_previous_artifact and not upload and has_artifact)
    if change.runtime_version is not None:
        technology_id = answers.needed(settings, "technology", "id", operation="jobSettings")
        version["runtimeVersion"] = yield from check_runtime(technology_id, change.runtime_version)
    data = yield Call("addJobVersion", {"jobId": job_id, "jobVersion": version, "file": None}, upload)
    added = answers.changed(data, "addJobVersion", operation="addJobVersion", kind=dict)
    answers.changed(added, "number", operation="addJobVersion", kind=int)
    return {"data": {"addJobVersion": added}}


def _edit(edition: dict[str, Any]) -> Steps[dict[str, Any]]:
    data = yield Call("editJob", {"job": edition})
    return {"editJob": answers.changed(data, "editJob", operation="editJob")}


def _version_of(change: JobChange, settings: dict[str, Any]) -> dict[str, Any]:
    """Give a version's fields: what the caller gives, else what the current version has."""
    current = _current_version(settings)
    kept = ("commandLine", "runtimeVersion", "extraTechnology", "dockerInfo")
    given = _version(change)
    given.pop("releaseNote", None)
    if not change.command_line:  # the reference takes an empty one for "not given" here
        given.pop("commandLine", None)
    if change.runtime_version is not None:
        given["runtimeVersion"] = change.runtime_version
    return {name: current.get(name) for name in kept} | given


def _current_version(settings: dict[str, Any]) -> dict[str, Any]:
    return next(iter(answers.rows(settings, "versions")), {})


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def _settings_of(job_id: str) -> Steps[dict[str, Any]]:
    data = yield Call("jobSettings", {"jobId": job_id})
    return answers.known(data, "job", operation="jobSettings", what=f"job {job_id}")


def _edition(job_id: str, change: JobChange, settings: dict[str, Any]) -> dict[str, Any]:
    """Give all that editJob sets: what the caller gives, else what the platform has."""
    has = {name: settings.get(name) for name in ("name", "description", "isScheduled", "resources")}
    has |= {name: settings.get(name) for name in ("cronScheduling", "scheduleTimezone") if settings.get(name)}
    edition = {"id": job_id, **has, "alerting": _alerting(change, settings.get("alerting"))}
    if change.job_name:
        edition["name"] = checks.text("job_name", change.job_name)
    if change.description is not None:
        edition["description"] = change.description
    if change.is_scheduled and change.cron_scheduling is None:
        if not settings.get("cronScheduling"):
            raise SaagieValidationError("`is_scheduled` is given without `cron_scheduling`, and the job has none yet.")
        edition["isScheduled"] = True
    return edition | _schedule(change) | _resources(change)


def _alerting(change: JobChange, has: dict[str, Any] | None) -> dict[str, Any] | None:
    if isinstance(change.emails, list | tuple) and not change.emails:
        return None
    if change.emails:
        return checks.alerting(change.emails, change.status_list)
    if has is None:
        if change.status_list:
            raise SaagieValidationError("`status_list` is given without `emails`, and the job has none yet.")
        return None
    statuses = has.get("statusList")
    if change.status_list:
        statuses = checks.alerting([], change.status_list)["statusList"]
    kept = {"emails": has.get("emails") or [], "statusList": statuses or []}
    logins = [row["login"] for row in answers.rows(has, "loginEmails") if row.get("login")]
    return kept | ({"logins": logins} if logins else {})


def _schedule(change: JobChange) -> dict[str, Any]:
    """Give the fields of a schedule that is given; the timezone counts only with one."""
    if change.is_scheduled is not None and not change.is_scheduled:
        return {"isScheduled": False}
    if change.cron_scheduling:
        return checks.schedule(change.cron_scheduling, change.schedule_timezone)
    return {}


def _resources(change: JobChange) -> dict[str, Any]:
    return {"resources": checks.resources(change.resources)} if change.resources else {}


def _check(change: JobChange) -> None:
    """Check all that can be known without the platform, before anything is asked of it."""
    _upload(change.file)
    _version(change)
    _schedule(change)
    _resources(change)
    if change.emails or change.status_list:
        checks.alerting(change.emails or [], change.status_list)


def _check_types(change: JobChange) -> None:
    """Check what has one type only, before a part of a change is made and the next one refused."""
    for field in fields(change):
        value = getattr(change, field.name)
        if value is not None and field.name in _TEXTS:
            checks.words(field.name, value)
        if value is not None and field.name in _FLAGS:
            checks.flag(field.name, value)
    if change.docker_info:
        checks.docker(change.docker_info)


def _version(change: JobChange) -> dict[str, Any]:
    """Give the fields of a version that are given, but for the runtime, which the platform has to know."""
    _check_types(change)
    named = {
        "releaseNote": change.release_note,
        "commandLine": change.command_line,
        "sourceUrl": change.source_url or None,
        "dockerInfo": change.docker_info or None,
    }
    version = {name: value for name, value in named.items() if value is not None}
    if change.extra_technology:
        extra_version = checks.text("extra_technology_version", change.extra_technology_version)
        version["extraTechnology"] = {"language": change.extra_technology, "version": extra_version}
    elif change.extra_technology_version:
        raise SaagieValidationError("`extra_technology_version` is given without `extra_technology`: name both.")
    return version


def _upload(file: str | None) -> Upload | None:
    if not file:
        return None
    path = checks.existing_file(file)
    return Upload(path, path.name)


def _with_defaults(change: JobChange) -> JobChange:
    defaults = {
        name: value
        for name, value in vars(CREATION_DEFAULTS).items()
        if value is not None and getattr(change, name) is None
    }
    return replace(change, **defaults)
