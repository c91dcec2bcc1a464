"""Exported folders, without a platform: which names of files are accepted, and what is read back as a job."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_saagie.client import transfer
from airflow_provider_saagie.client.deployment import JobChange, create
from airflow_provider_saagie.client.importing import find_job_folder, import_from_json, make_job, read_exported
from airflow_provider_saagie.exceptions import SaagieOutcomeUnknown, SaagieProtocolError, SaagieValidationError
from tests.support.clients import drive
from tests.support.errors import error_message

ID = "5f5fce22-2152-4a01-8c6a-4c2eb4808b6d"
JOB: dict[str, Any] = {
    "name": "a job",
    "category": "Processing",
    "technology": {"name": "Python", "technology_catalog": "Saagie"},
    "versions": [{"number": 2, "isCurrent": True, "runtimeVersion": "3.11", "commandLine": "python {file}"}],
}


def test_plain_name_refuses_paths_and_accepts_odd_names() -> None:
    wrong = ("", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "a\nb", "a\0b", None, 7, "é" * 200, "\ud800.py")
    for name in wrong:
        assert "no name of a file" in error_message(SaagieProtocolError, transfer.plain_name, name, "the file"), name
    for name in ("job.py", "my job (1).zip", "données.csv", "-rf", "…", "a..b", "x" * 255):
        assert transfer.plain_name(name, "the file") == name


def write_export(folder: Path, **changes: Any) -> Path:
    """Write an exported job, with a file, as `export` does."""
    version = folder / "version" / "2"
    version.mkdir(parents=True)
    (version / "job.py").touch()
    (folder / "job.json").write_text(json.dumps(JOB | changes))
    return version


def link_file(version: Path) -> None:
    (version / "job.py").unlink()
    (version / "job.py").symlink_to("/etc/hostname")


def link_folder(version: Path) -> None:
    """Let the folder of a version lead to another place, which has one file."""
    elsewhere = version.rename(version.parents[2] / "elsewhere")
    version.symlink_to(elsewhere, target_is_directory=True)


def describe(text: str) -> Callable[[Path], Any]:
    return lambda version: (version.parents[1] / "job.json").write_text(text)


def test_import_refuses_a_folder_that_is_not_an_export(tmp_path: Path) -> None:
    wrong = ("{", "[]", '{"versions": []}', "[" * 100_000, json.dumps(JOB | {"technology": None}))
    climbing = json.dumps(JOB | {"versions": [JOB["versions"][0] | {"number": "../.."}]})
    breakages: list[tuple[str, Callable[[Path], Any]]] = [
        ("holds none", lambda version: (version.parents[1] / "job.json").unlink()),
        ("2 of them", lambda version: write_export(version.parents[1] / "more")),
        *(("no exported job", describe(text)) for text in wrong),
        ("no link", link_file),
        ("no link", link_folder),
        ("alone", lambda version: (version / "other.py").touch()),
        ("whole number", describe(climbing)),
    ]
    for row, (expected, change) in enumerate(breakages):
        folder = tmp_path / str(row)
        change(write_export(folder / ID))
        # The session is never used.
        assert expected in error_message(SaagieValidationError, import_from_json, None, ID, str(folder)), row


def test_import_reads_a_job_file_called_like_the_description(tmp_path: Path) -> None:
    version = write_export(tmp_path / ID)
    (version / "job.py").rename(version / "job.json")
    change = read_exported(find_job_folder(tmp_path, deep=True))
    assert (change.job_name, change.file) == ("a job", str(version / "job.json"))


def test_make_job_looks_an_unnamed_job_up() -> None:
    technology = {"id": "python", "label": "Python", "available": True}
    category = {"jobCategory": "Processing", "technologies": [technology]}
    data: dict[str, Any] = {
        "projectTechnologies": {"project": {"technologiesByCategory": [category]}},
        "repositories": {"repositories": [{"name": "Saagie", "technologies": [technology]}]},
        "technologyContexts": {"technology": {"contexts": [{"id": "3.11", "available": True}]}},
        "jobNames": {"jobs": [{"id": "its-id", "name": "a job"}]},
    }
    change = JobChange(job_name="a job", runtime_version="3.11")
    for response in ({"id": None}, {}, "made", []):
        data["createJob"] = {"createJob": response}
        with pytest.raises(SaagieOutcomeUnknown, match="createJob"):
            drive(create(ID, change), lambda call: data[call.operation])
        assert drive(make_job(ID, change), lambda call: data[call.operation]) == "its-id", response


def test_export_writes_text_that_is_not_unicode(tmp_path: Path) -> None:
    """JSON can have half a character, which UTF-8 can't."""
    job = {"id": ID, "description": "\ud800", "technology": {"id": "python"}}
    data = {"job": {"job": job}, "repositories": {"repositories": [{"technologies": [{"id": "python"}]}]}}
    session: Any = SimpleNamespace(run=lambda steps: drive(steps, lambda call: data[call.operation]))
    transfer.export(session, ID, str(tmp_path), error_folder=None, versions_limit=None, versions_only_current=False)
    assert json.loads((tmp_path / ID / "job.json").read_text())["description"] == "\ud800"
