"""A job is made of an exported folder, whose layout stands in ``transfer.py``."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_saagie.client import checks
from airflow_provider_saagie.client.definitions import find_by_name
from airflow_provider_saagie.client.deployment import JobChange, create
from airflow_provider_saagie.client.transfer import JOB_FILE
from airflow_provider_saagie.exceptions import SaagieError, SaagieOutcomeUnknown, SaagieValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_provider_saagie.client.calls import Steps
    from airflow_provider_saagie.client.session import Session

__all__ = ["current_version", "find_job_folder", "import_from_json", "make_job", "read_exported", "the_only_one"]

F = TypeVar("F")

log = logging.getLogger(__name__)


def import_from_json(session: Session, project_id: str, path_to_folder: str) -> bool:
    """Make a job of an exported folder, with its current version.

    :param session: whose platform is to have the job.
    :param project_id: the UUID of the project to make it in.
    :param path_to_folder: the exported job's folder, or one that holds it.
    :return: True.
    :raises SaagieValidationError: where the folder holds no job that can be read; nothing was made then.
    :raises SaagieError: the kind that fits; the message says whether a job was made.
    """
    project_id = checks.identifier("project_id", project_id)
    folder = checks.folder("path_to_folder", path_to_folder)
    try:
        found = find_job_folder(folder, named="path_to_folder", deep=True)
    except OSError as error:
        raise SaagieValidationError(f"`path_to_folder` {str(folder)!r} can't be read ({error.strerror}).") from error
    change = read_exported(found)
    made = session.run(create(project_id, change))
    log.info("Imported the job %r as %s.", change.job_name, made["data"]["createJob"]["id"])
    return True


def find_job_folder(folder: Path, *, named: str = "folder", deep: bool = False) -> Path:
    """Find an exported job's folder on this machine: the one given, or the only one in it.

    :param folder: where to look.
    :param named: what the caller's caller knows it as, for the error.
    :param deep: whether to look for one however deep, as the reference's client does.
    :raises SaagieValidationError: where there is none, or more than one.
    :raises OSError: where it can't be read.
    """
    if (folder / JOB_FILE).is_file():
        return folder
    found: list[Path] = []
    for file in sorted(folder.glob(f"**/{JOB_FILE}" if deep else f"*/{JOB_FILE}"), key=lambda file: len(file.parts)):
        # A job's own file may have that name too: it lies in the folder of a version.
        if not any(file.is_relative_to(job / "version") for job in found):
            found.append(file.parent)
    return the_only_one(found, str(folder), is_folder=folder.is_dir(), named=named)


def the_only_one(found: Sequence[F], folder: str, *, is_folder: bool, named: str = "folder") -> F:
    """Give the one exported job that was found.

    :param found: the folders that hold a ``job.json``.
    :param folder: where they were looked for.
    :param is_folder: whether that is a folder at all.
    :param named: what the caller's caller knows it as, for the error.
    :raises SaagieValidationError: where there is none, or more than one.
    """
    if len(found) == 1:
        return found[0]
    what = f"holds {len(found)} of them" if found else "holds none" if is_folder else "is no folder"
    raise SaagieValidationError(
        f"`{named}` {folder!r} should be an exported job's folder, with its job.json, or hold one: it {what}. "
        "Nothing was made."
    )


def current_version(job_file: Path) -> int | None:
    """Read which version of an exported job is the current one; None where that can't be read."""
    try:
        versions = json.loads(job_file.read_text("utf-8"))["versions"]
        return int(next(version["number"] for version in versions if version["isCurrent"]))
    except (OSError, ValueError, LookupError, TypeError, StopIteration):
        return None  # reading the whole of it says what is wrong


def read_exported(job_folder: Path, *, job_name: str | None = None) -> JobChange:
    """Read the job that a folder holds.

    :param job_folder: the folder with its ``job.json``, on this machine.
    :param job_name: the name that the job shall have; None for the one that it had.
    :raises SaagieValidationError: where it holds no job that can be read.
    """
    change = _change_of(job_folder / JOB_FILE)
    return replace(change, job_name=job_name) if job_name else change


def make_job(project_id: str, change: JobChange) -> Steps[str]:
    """Make a job of a name that the project has not had so far (``createJob``).

    Names are unique in a project, so where the answer is lost, a job of that name is the one that was made.

    :param project_id: the project's UUID.
    :param change: the job, from :func:`read_exported`.
    :return: the job's id.
    :raises SaagieOutcomeUnknown: where the answer is lost, and there is no such job yet, or that can't be read.
    :raises SaagieError: the kind that fits; no job was made then.
    """
    try:
        made = yield from create(project_id, change)
    except SaagieOutcomeUnknown as lost:
        try:
            found = yield from find_by_name(str(change.job_name), project_id)
        except SaagieError as unreadable:
            raise lost from unreadable
        if found is None:
            raise
        return found
    return str(made["data"]["createJob"]["id"])


def _change_of(file: Path) -> JobChange:
    """Read an exported job.

    :param file: its ``job.json``; the file of the current version lies in its folder.
    :raises SaagieValidationError: where it can't be read, or leads out of that folder.
    """
    try:
        job = json.loads(file.read_text("utf-8"))
        version = next(version for version in job["versions"] if version["isCurrent"])
        extra = version.get("extraTechnology") or {}
        alerting = job.get("alerting") or {}
        return JobChange(
            job_name=job["name"],
            file=_package(file.parent, version),
            description=job.get("description"),
            category=job["category"],
            technology=job["technology"]["name"],
            technology_catalog=job["technology"]["technology_catalog"],
            runtime_version=version["runtimeVersion"],
            command_line=version["commandLine"],
            release_note=version.get("releaseNote"),
            extra_technology=extra.get("language"),
            extra_technology_version=extra.get("version"),
            cron_scheduling=job.get("cronScheduling") if job.get("isScheduled", True) else None,
            schedule_timezone=job.get("scheduleTimezone") or "UTC",
            resources=_given(job.get("resources")),
            emails=alerting.get("emails") or None,
            status_list=(alerting.get("statusList") or None) if alerting.get("emails") else None,
            source_url=version.get("sourceUrl"),
            docker_info=_given(version.get("dockerInfo")),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration, RecursionError) as error:
        raise SaagieValidationError(
            f"{str(file)!r} is no exported job ({type(error).__name__}: {error}): nothing was made."
        ) from error


def _package(folder: Path, version: dict[str, Any]) -> str | None:
    """Find the file of the current version; nothing that leads out of the job's folder."""
    place = folder / "version" / str(checks.number("version", version["number"]))
    files = sorted(place.iterdir()) if place.is_dir() else []
    if not files:
        return None
    leads_out = not files[0].resolve().is_relative_to(folder.resolve())
    if len(files) > 1 or leads_out or files[0].is_symlink() or not files[0].is_file():
        raise SaagieValidationError(f"{str(place)!r} should hold the version's file alone, and no link.")
    return str(files[0])


def _given(value: dict[str, Any] | None) -> dict[str, Any] | None:
    return {key: inner for key, inner in value.items() if inner is not None} if value else None
