"""Exports from the emulator are whole or not there at all, and are imported again; downloads stay on the platform."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_saagie import exceptions as errors
from airflow_provider_saagie.client import calls
from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.emulator.testing import Emulator
from tests.support.errors import error_message


@pytest.fixture
def job_id(client: SaagieClient, project_id: str, script: Path) -> str:
    """A job with all kinds of settings and two versions, each with a file."""
    job_id = client.jobs.create(
        "a job", project_id, str(script), "what it does", runtime_version="3.11", command_line="python {file} now",
        release_note="first", cron_scheduling="0 0 1 1 *", schedule_timezone="Europe/Paris", emails=["a@acme.io"],
        resources={"cpu": {"request": 0.5}, "memory": {"limit": 2.0}}, status_list=["KILLED"],
        source_url="https://git.acme.io/1",
    )["data"]["createJob"]["id"]  # fmt: skip
    script.write_text("second")
    client.jobs.upgrade(job_id, str(script), source_url="https://git.acme.io/2")
    return job_id


def list_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def rename(job_folder: Path, name: str) -> None:
    """Give an exported job another name, so that it can be imported beside the original."""
    file = job_folder / "job.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "name": name}))


def test_export_has_the_layout_of_the_reference_and_is_imported(
    client: Any, job_id: str, project_id: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert client.jobs.export(job_id, str(out)) is True
    assert list_files(out) == [f"{job_id}/{name}" for name in ("job.json", "version/1/job.sh", "version/2/job.sh")]
    assert (out / job_id / "version" / "2" / "job.sh").read_text() == "second"
    assert [path.name for path in out.iterdir()] == [job_id]
    technology = json.loads((out / job_id / "job.json").read_text())["technology"]
    assert technology | {"id": None} == {"id": None, "name": "Python", "technology_catalog": "Saagie"}

    client.jobs.export(job_id, str(out), versions_only_current=True)  # replaces the first
    assert list_files(out / job_id) == ["job.json", "version/2/job.sh"]

    rename(out / job_id, "imported")
    assert client.jobs.import_from_json(project_id, str(out)) is True
    old = client.jobs.get_info(job_id, versions_only_current=True)["job"]
    new = client.jobs.get_info(client.jobs.get_id("imported", "Demo"))["job"]
    for field in ("description", "category", "technology", "isScheduled", "cronScheduling", "scheduleTimezone",
                  "resources", "alerting"):  # fmt: skip
        assert new[field] == old[field], field
    for field in ("runtimeVersion", "commandLine", "releaseNote", "sourceUrl", "extraTechnology", "dockerInfo"):
        assert new["versions"][0][field] == old["versions"][0][field], field
    assert b"".join(client.session.download(new["versions"][0]["packageInfo"]["downloadUrl"])) == b"second"


def test_failed_export_leaves_what_was_there_and_notes_the_job(
    client: SaagieClient, emulator: Emulator, job_id: str, tmp_path: Path
) -> None:
    new, old, notes = tmp_path / "new", tmp_path / "old", tmp_path / "errors"
    client.jobs.export(job_id, str(old))
    before = list_files(old)
    for fault in ("drop", "cut", "garbage", "status"):
        for folder in (new, old):
            emulator.fault(fault, "artifact", occurrence=2, times=0)
            with pytest.raises(errors.SaagieError):
                client.jobs.export(job_id, str(folder), str(notes))
            emulator.clear_faults()
        assert list(new.iterdir()) == [], fault
        assert [path.name for path in old.iterdir()] == [job_id], fault
        assert list_files(old) == before, fault
    assert (notes / "jobs" / "jobs_error.txt").read_text() == f"{job_id}\n" * 8


def test_export_names_a_folder_that_cannot_be_written(
    client: SaagieClient, job_id: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    for folder, why in ((f"{tmp_path}/file", "File exists"), ("/dev/null/x", "Not a directory")):
        message = error_message(errors.SaagieValidationError, client.jobs.export, job_id, folder)
        assert f"can't be written to '{folder}': {why}" in message
    # If the failure can't be noted either, the error is still that of the export.
    missing = str(uuid.uuid4())
    for folder in ("/dev/null/x", "/proc/none", ""):
        assert missing in error_message(errors.SaagieNotFound, client.jobs.export, missing, str(tmp_path), folder)
    assert caplog.text.count(f"{missing} can't be noted in") == 2


def test_file_of_any_name_returns_by_export_and_import(
    client: SaagieClient, job_id: str, project_id: str, tmp_path: Path
) -> None:
    names = ("naïve 任务 🐍.py", "a b'\"%20&?#.py", "-rf", "{file}", "job.json", ".hidden", "x" * 255)
    for number, name in enumerate(names, 3):
        (tmp_path / name).write_text(name)
        client.jobs.upgrade(job_id, str(tmp_path / name))
        client.jobs.export(job_id, str(tmp_path / "out"), versions_only_current=True)
        folder = tmp_path / "out" / job_id
        (exported,) = (folder / "version" / str(number)).iterdir()  # the emulator gives files plain names
        assert exported.read_text() == name
        rename(folder, f"imported {number}")
        assert client.jobs.import_from_json(project_id, str(folder)), name


def test_missing_file_is_named_and_no_redirect_is_followed(
    client: SaagieClient, emulator: Emulator, job_id: str, tmp_path: Path
) -> None:
    before = emulator.requests()
    call = calls.Call("addJobVersion", {"jobId": job_id}, upload=calls.Upload(tmp_path / "gone.py", "gone.py"))
    with pytest.raises(errors.SaagieValidationError, match=r"gone\.py.*No such file"):
        client.session.send(call)
    assert emulator.requests() == before
    with pytest.raises(errors.SaagieNotFound, match="has no such file any more"):
        list(client.session.download("/projects/api/platform/1/no/such/file.py"))
    package = client.jobs.get_info(job_id)["job"]["versions"][0]["packageInfo"]
    assert package
    emulator.fault("redirect", "artifact", times=0, location="http://127.0.0.1:1/elsewhere")
    with pytest.raises(errors.SaagieProtocolError, match=r"redirects to http://127\.0\.0\.1:1/"):
        list(client.session.download(package["downloadUrl"]))
