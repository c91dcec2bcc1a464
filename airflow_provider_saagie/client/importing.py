"""Make a job of an exported folder: the steps of ``import_from_json``, for those who need to know what was made."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_saagie.client import answers
from airflow_provider_saagie.client.definitions import find_by_name
from airflow_provider_saagie.client.deployment import JobChange, create
from airflow_provider_saagie.client.transfer import change_of
from airflow_provider_saagie.exceptions import SaagieError, SaagieOutcomeUnknown, SaagieValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_provider_saagie.client.calls import Steps

__all__ = ["JOB_FILE", "current_version", "find_job_folder", "make_job", "read_exported", "the_only_one"]

JOB_FILE = "job.json"
F = TypeVar("F")


def find_job_folder(folder: Path) -> Path:
    """Find an exported job's folder on this machine: the one given, or the only one in it.

    :raises SaagieValidationError: where there is none, or more than one.
    """
    inner = [file.parent for file in sorted(folder.glob(f"*/{JOB_FILE}"))]
    found = [folder] if (folder / JOB_FILE).is_file() else inner
    return the_only_one(found, str(folder), is_folder=folder.is_dir())


def the_only_one(found: Sequence[F], folder: str, *, is_folder: bool) -> F:
    """Give the one exported job that was found.

    :param found: the folders that hold a ``job.json``.
    :param folder: where they were looked for.
    :param is_folder: whether that is a folder at all.
    :raises SaagieValidationError: where there is none, or more than one.
    """
    if len(found) == 1:
        return found[0]
    what = f"holds {len(found)} of them" if found else "holds none" if is_folder else "is no folder"
    raise SaagieValidationError(
        f"`folder` {folder!r} should be an exported job's folder, with its job.json, or hold one: it {what}. "
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
    change = change_of(job_folder / JOB_FILE)
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
    return str(answers.needed(made, "data", "createJob", "id", operation="createJob"))
