"""Files from the platform to us, in pieces: nothing is ever whole in memory. The way back is ``importing.py``.

An exported job is a folder, in the layout of the reference's client, so that each reads the other's::

    JOB_ID/
    ├── job.json             what get_info gives, with the names of technology and catalogue beside the id
    └── version/NUMBER/FILE  the file of each version that has one
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.client import answers, checks
from airflow_provider_saagie.client.calls import Call, Steps
from airflow_provider_saagie.client.definitions import get_info
from airflow_provider_saagie.exceptions import SaagieError, SaagieNotFound, SaagieProtocolError, SaagieValidationError

if TYPE_CHECKING:
    from airflow_provider_saagie.client.session import Session

__all__ = ["JOB_FILE", "export", "plain_name", "same_content"]

JOB_FILE = "job.json"
PIECE = 1024 * 1024

log = logging.getLogger(__name__)


def same_content(path: Path, session: Session, download_url: str) -> bool:
    """Say whether a file equals the platform's copy, which is streamed through a hash.

    :param path: the file.
    :param session: whose platform has the copy.
    :param download_url: the copy's path there (``packageInfo.downloadUrl``).
    :raises SaagieError: where the copy can't be read.
    """
    return _digest(_pieces(path)) == _digest(session.download(download_url))


def export(
    session: Session,
    job_id: str,
    output_folder: str,
    *,
    error_folder: str | None,
    versions_limit: int | None,
    versions_only_current: bool,
) -> bool:
    """Write a job's settings and files into a folder, which appears whole or not at all.

    :param session: whose platform has the job.
    :param job_id: the job's UUID.
    :param output_folder: where to make the job's folder; one that is there is replaced.
    :param error_folder: where to note the job's id if this fails; the error is raised all the same.
    :param versions_limit: how many versions, the newest first; None for all.
    :param versions_only_current: whether to export only the current version.
    :return: True.
    :raises SaagieError: the kind that fits.
    """
    notes = checks.folder("error_folder", error_folder) if error_folder else None
    try:
        output = checks.folder("output_folder", output_folder)
        job_id = checks.identifier("job_id", job_id)
        job = session.run(_read_for_export(job_id, versions_limit, versions_only_current))
        _write_folder(session, output, job_id, job)
    except (SaagieError, OSError) as error:
        if notes:
            _note(notes, job_id)
        if isinstance(error, OSError) and not isinstance(error, SaagieError):
            raise SaagieValidationError(
                f"The job {job_id} can't be written to {str(output_folder)!r}: {error.strerror or error}. "
                "No half folder was left."
            ) from error
        raise
    log.info("Exported the job %s to %s.", job_id, output / job_id)
    return True


def _read_for_export(job_id: str, versions_limit: int | None, only_current: bool) -> Steps[dict[str, Any]]:
    job: dict[str, Any] = (yield from get_info(job_id, 1, versions_limit, only_current))["job"]
    technology_id = (job.get("technology") or {}).get("id")
    for catalog in answers.rows((yield Call("repositories")), "repositories"):
        for technology in answers.rows(catalog, "technologies"):
            if technology.get("id") == technology_id:
                named = {"name": technology.get("label"), "technology_catalog": catalog.get("name")}
                return {**job, "technology": {"id": technology_id, **named}}
    raise SaagieNotFound(
        f"repositories: no catalogue has the technology {technology_id} of the job {job_id} any more, without which "
        "the job can't be made anew: not exported.",
        operation="repositories",
    )


def _write_folder(session: Session, output: Path, job_id: str, job: dict[str, Any]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saagie-export-", dir=output) as scratch:
        folder = Path(scratch) / job_id
        folder.mkdir()
        (folder / JOB_FILE).write_text(json.dumps(job, indent=4), "utf-8")  # ASCII holds half a character, too
        for version in answers.rows(job, "versions"):
            package = version.get("packageInfo")
            if package:
                number = checks.number("version", version.get("number"))
                place = folder / "version" / str(number)
                place.mkdir(parents=True)
                name = plain_name(package.get("name"), f"the file of version {number}")
                _download(session, str(package.get("downloadUrl") or ""), place / name)
        target, replaced = output / job_id, Path(scratch) / "replaced"
        if target.exists():
            target.rename(replaced)
        try:
            folder.rename(target)
        except OSError:
            if replaced.exists():
                replaced.rename(target)
            raise


def _download(session: Session, download_url: str, target: Path) -> None:
    with target.open("wb") as file:
        for piece in session.download(download_url):
            file.write(piece)


def plain_name(name: object, what: str) -> str:
    """Check that a name which comes from elsewhere is one of a file, not a path that leads out of a folder.

    :param name: the name.
    :param what: what it names, for the error.
    :raises SaagieProtocolError: where it is anything else.
    """
    if (
        not isinstance(name, str)
        or name in ("", ".", "..")
        or any(character in "/\\" or ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in name)
        or len(name.encode()) > 255
    ):
        raise SaagieProtocolError(f"The platform calls {what} {str(name)[:80]!r}, which is no name of a file: refused.")
    return name


def _note(error_folder: Path, job_id: str) -> None:
    folder = error_folder / "jobs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "jobs_error.txt").open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"{job_id}\n")
    except OSError as error:  # why the export failed is the news
        log.warning("The job %s can't be noted in %s: %s.", job_id, folder, error.strerror or error)


def _digest(pieces: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
