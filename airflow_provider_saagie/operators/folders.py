"""Exported jobs in folders: on this machine, or in what Airflow's ``ObjectStoragePath`` reaches.

In object storage nothing can be renamed at once, so a job's ``job.json``, without which a folder is no exported job,
goes there last.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_saagie.client.importing import current_version, the_only_one
from airflow_provider_saagie.client.transfer import JOB_FILE
from airflow_provider_saagie.exceptions import SaagieValidationError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["download_job", "local_folder", "stored_folder", "upload_job"]

log = logging.getLogger(__name__)


def local_folder(folder: str) -> Path | None:
    """Give a folder on this machine; None where it is in object storage.

    :param folder: a path, or a URI.
    """
    if folder.startswith("file://"):
        return Path(ObjectStoragePath(folder).path)
    return None if "://" in folder else Path(folder).expanduser()


def stored_folder(folder: str) -> ObjectStoragePath:
    """Give a folder in object storage, and see that Airflow knows how to reach it.

    :param folder: a URI, such as ``s3://aws_default@bucket/exports``.
    :raises SaagieValidationError: where Airflow has nothing for this kind of storage.
    """
    with named_errors(folder, "can't be reached"):
        path = ObjectStoragePath(folder)
        log.debug("%s is reached by %s.", path, type(path.fs).__name__)  # asking for `fs` is the check
        return path


def upload_job(job_folder: Path, target: ObjectStoragePath) -> None:
    """Put an exported job into object storage, in place of what is there.

    Where that fails, what is new there is taken away again, and an older export stays as it was.

    :param job_folder: the job's folder, on this machine.
    :param target: where it shall be.
    :raises SaagieValidationError: where it can't be written.
    """
    with named_errors(str(target), "can't be written"):
        names = sorted(str(file.relative_to(job_folder)) for file in job_folder.rglob("*") if file.is_file())
        names.sort(key=lambda name: name == JOB_FILE)  # the last one makes it an exported job
        old = _names_in(target)
        try:
            for name in names:
                target.fs.put_file(str(job_folder / name), (target / name).path)
        except BaseException:
            _take_away(target, [name for name in names if name not in old], whole=not old)
            raise
        for name in old - set(names):
            target.fs.rm_file((target / name).path)


def download_job(folder: ObjectStoragePath, here: Path) -> Path:
    """Fetch an exported job from object storage, with the file of its current version only.

    :param folder: its folder, or one that holds it.
    :param here: a folder on this machine.
    :return: the job's folder on this machine.
    :raises SaagieValidationError: where it can't be read, or is no exported job.
    """
    with named_errors(str(folder), "can't be read"):
        found = _find_job_folder(folder)
        target = here / "job"
        target.mkdir()
        found.fs.get_file((found / JOB_FILE).path, str(target / JOB_FILE))
        version = current_version(target / JOB_FILE)
        place = found / "version" / str(version)
        here_too = target / "version" / str(version)
        here_too.mkdir(parents=True)
        for name in _names_in(place) if version is not None else ():
            if "/" in name or name in (".", ".."):
                raise SaagieValidationError(f"{str(place)!r} should hold the version's file alone, and no folder.")
            found.fs.get_file((place / name).path, str(here_too / name))
        return target


@contextmanager
def named_errors(folder: str, what: str) -> Iterator[None]:
    """Turn what a storage's library raises into an error that names the folder."""
    try:
        yield
    except SaagieValidationError:
        raise
    except (OSError, ValueError, ImportError) as error:
        raise SaagieValidationError(f"`folder` {folder!r} {what} ({type(error).__name__}: {error}).") from error


def _find_job_folder(folder: ObjectStoragePath) -> ObjectStoragePath:
    # By `fs` alone: what else ObjectStoragePath offers may look with other credentials, where no connection is named.
    fs = folder.fs
    is_folder = fs.isdir(folder.path)
    found: list[ObjectStoragePath] = [folder]
    if not fs.isfile((folder / JOB_FILE).path):
        inner = [path.rstrip("/").rpartition("/")[2] for path in fs.ls(folder.path, detail=False)] if is_folder else []
        found = [folder / name for name in inner if fs.isfile((folder / name / JOB_FILE).path)]
    return the_only_one(found, str(folder), is_folder=is_folder)


def _names_in(folder: ObjectStoragePath) -> set[str]:
    """List the files in a folder, however deep, by their paths from there on."""
    try:
        found: list[str] = folder.fs.find(folder.path)
    except FileNotFoundError:  # most storages know no folders, and find nothing
        return set()
    return {path.partition(f"{folder.path.strip('/')}/")[2] for path in found}


def _take_away(target: ObjectStoragePath, names: Collection[str], *, whole: bool) -> None:
    """Remove what a broken upload has left; where that fails too, say so."""
    try:
        if whole and target.fs.exists(target.path):
            target.fs.rm(target.path, recursive=True)
        elif not whole:
            for name in names:
                if target.fs.exists((target / name).path):
                    target.fs.rm_file((target / name).path)
    except Exception:  # noqa: BLE001 - whatever the storage raises; the first error is the one to tell
        log.warning("Files of a broken upload may be left in %s: they are no exported job, without job.json.", target)
