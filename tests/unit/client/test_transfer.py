"""Exported folders: whole or not at all, never outside the target, and read back."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie import exceptions as errors
from airflow_provider_saagie.client import calls, transfer
from airflow_provider_saagie.client.deployment import JobChange, create
from airflow_provider_saagie.client.importing import make_job
from airflow_provider_saagie.client.saagie import SaagieClient
from tests.unit.client.conftest import settings_for
from tests.unit.client.test_broken_answers import ID, drive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_saagie.emulator.testing import Emulator


@pytest.fixture
def client(emulator: Emulator) -> Iterator[SaagieClient]:
    with SaagieClient(settings_for(emulator, extra={"retries": 0})) as client:
        yield client


@pytest.fixture
def job(client: SaagieClient, script: Path) -> dict[str, Any]:
    """A job with two versions that have a file and all kinds of settings."""
    name = f"job {uuid.uuid4()}"
    project_id = client.get_project_id("Demo")
    job_id = client.jobs.create(
        name,
        project_id,
        str(script),
        "what it does",
        runtime_version="3.11",
        command_line="python {file} now",
        release_note="first",
        cron_scheduling="0 0 * * *",
        schedule_timezone="Europe/Paris",
        resources={"cpu": {"request": 0.5}, "memory": {"limit": 2.0}},
        emails=["a@acme.io"],
        status_list=["KILLED"],
        source_url="https://git.acme.io/1",
    )["data"]["createJob"]["id"]
    script.write_text("print('second')")
    client.jobs.upgrade(job_id, str(script), source_url="https://git.acme.io/2")
    return {"id": job_id, "name": name, "project_id": project_id}


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_export_has_the_references_layout(client: SaagieClient, job: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert client.jobs.export(job["id"], str(out)) is True
    assert files(out) == [f"{job['id']}/{name}" for name in ("job.json", "version/1/job.py", "version/2/job.py")]
    assert (out / job["id"] / "version" / "2" / "job.py").read_text() == "print('second')"
    written = json.loads((out / job["id"] / "job.json").read_text())
    assert written["technology"] | {"id": None} == {"id": None, "name": "Python", "technology_catalog": "Saagie"}
    assert [path.name for path in out.iterdir()] == [job["id"]]


def test_an_export_may_be_of_the_current_version_only_and_replaces_an_older_one(
    client: Any, job: Any, tmp_path: Path
) -> None:
    client.jobs.export(job["id"], str(tmp_path))
    client.jobs.export(job["id"], str(tmp_path), versions_only_current=True)
    assert files(tmp_path / job["id"]) == ["job.json", "version/2/job.py"]


def test_what_was_exported_is_imported_with_all_its_settings(client: Any, job: Any, tmp_path: Path) -> None:
    client.jobs.export(job["id"], str(tmp_path))
    file = tmp_path / job["id"] / "job.json"
    name = f"again {uuid.uuid4()}"
    file.write_text(file.read_text().replace(job["name"], name))
    assert client.jobs.import_from_json(job["project_id"], str(tmp_path)) is True
    old = client.jobs.get_info(job["id"], versions_only_current=True)["job"]
    new = client.jobs.get_info(client.jobs.get_id(name, "Demo"))["job"]
    for field in ("description", "category", "technology", "isScheduled", "cronScheduling", "scheduleTimezone",
                  "resources", "alerting"):  # fmt: skip
        assert new[field] == old[field], field
    for field in ("runtimeVersion", "commandLine", "releaseNote", "sourceUrl", "extraTechnology", "dockerInfo"):
        assert new["versions"][0][field] == old["versions"][0][field], field
    url = new["versions"][0]["packageInfo"]["downloadUrl"]
    assert b"".join(client.session.download(url)) == b"print('second')"


@pytest.mark.parametrize("what", ["drop", "cut", "garbage", "status"])
def test_a_failed_export_leaves_no_half_folder_and_notes_the_job(
    client: Any, job: Any, emulator: Emulator, tmp_path: Path, what: str
) -> None:
    emulator.fault(what, "artifact", occurrence=2, times=0)
    with pytest.raises(errors.SaagieError):
        client.jobs.export(job["id"], str(tmp_path / "out"), str(tmp_path / "errors"))
    assert files(tmp_path / "out") == []
    assert list((tmp_path / "out").iterdir()) == []
    assert (tmp_path / "errors" / "jobs" / "jobs_error.txt").read_text() == f"{job['id']}\n"


def test_a_failed_export_leaves_the_older_one(client: Any, job: Any, emulator: Any, tmp_path: Path) -> None:
    client.jobs.export(job["id"], str(tmp_path))
    before = files(tmp_path)
    emulator.fault("cut", "artifact", times=0)
    with pytest.raises(errors.SaagieError):
        client.jobs.export(job["id"], str(tmp_path))
    assert files(tmp_path) == before


def test_a_folder_that_can_t_be_written_is_named(client: Any, job: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder, why in ((f"{tmp_path}/file", "File exists"), ("/dev/null/x", "Not a directory")):
        with pytest.raises(errors.SaagieValidationError, match=rf"can't be written to '{folder}': {why}"):
            client.jobs.export(job["id"], folder)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "a\nb", "a\0b", None, 7, "é" * 200]
)
def test_a_name_that_leads_elsewhere_is_refused(name: object) -> None:
    with pytest.raises(errors.SaagieProtocolError, match="no name of a file"):
        transfer.plain_name(name, "the file")


@pytest.mark.parametrize("name", ["job.py", "my job (1).zip", "données.csv", "-rf", "…", "a..b"])
def test_odd_names_of_files_are_taken(name: str) -> None:
    assert transfer.plain_name(name, "the file") == name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "job.json").unlink(), "holds none"),
        (lambda folder: (folder / "more").mkdir() or (folder / "more" / "job.json").write_text("{}"), "2 of them"),
        (lambda folder: (folder / "job.json").write_text("{"), "no exported job"),
        (lambda folder: (folder / "job.json").write_text("[]"), "no exported job"),
        (lambda folder: (folder / "job.json").write_text('{"versions": []}'), "no exported job"),
        (lambda folder: _link(folder / "version" / "2" / "job.py"), "no link"),
        (lambda folder: _link_folder(folder / "version" / "2"), "no link"),
        (lambda folder: (folder / "version" / "2" / "other.py").write_text(""), "alone"),
        (lambda folder: _number(folder / "job.json", "../../.."), "whole number"),
    ],
)
def test_a_folder_that_is_no_export_makes_nothing(
    client: Any, job: Any, emulator: Emulator, tmp_path: Path, change: Any, said: str
) -> None:
    client.jobs.export(job["id"], str(tmp_path))
    change(tmp_path / job["id"])
    before = emulator.requests()
    with pytest.raises(errors.SaagieValidationError, match=said):
        client.jobs.import_from_json(job["project_id"], str(tmp_path))
    assert emulator.requests() == before


def _link(file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/hostname")


def _link_folder(folder: Path) -> None:
    """Have the folder of a version lead to another place, which holds one file."""
    elsewhere = folder.parents[2] / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere, target_is_directory=True)


def _number(file: Path, number: str) -> None:
    job = json.loads(file.read_text())
    job["versions"][0]["number"] = number
    file.write_text(json.dumps(job))


def test_a_job_whose_file_is_called_like_the_description_imports(client: Any, job: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    client.jobs.export(job["id"], str(out))
    folder = out / job["id"]
    (file,) = (folder / "version" / "2").iterdir()
    file.rename(file.with_name("job.json"))
    description = json.loads((folder / "job.json").read_text())
    description["name"] = "another"
    (folder / "job.json").write_text(json.dumps(description))
    assert client.jobs.import_from_json(job["project_id"], str(out))


def test_a_file_that_vanishes_before_it_is_sent_changes_nothing(
    client: Any, job: Any, emulator: Emulator, tmp_path: Path
) -> None:
    file = tmp_path / "job.py"
    file.write_text("print()")
    call = calls.Call("addJobVersion", {"jobId": job["id"]}, upload=calls.Upload(file, "job.py"))
    file.unlink()
    before = emulator.requests()
    with pytest.raises(errors.SaagieValidationError, match=r"job\.py.*No such file"):
        client.session.send(call)
    assert emulator.requests() == before


@pytest.mark.parametrize("folder", ["", "/dev/null/x", "/proc/none"])
def test_an_export_that_can_be_noted_nowhere_ends_with_its_own_error(client: Any, tmp_path: Path, folder: str) -> None:
    with pytest.raises(errors.SaagieNotFound):
        client.jobs.export(str(uuid.uuid4()), str(tmp_path), folder)


@pytest.mark.parametrize(
    "name", ["naïve 任务 🐍.py", "a b'\"%20&?#.py", "-rf", "{file}", "job.json", ".hidden", "x" * 255]
)
def test_files_of_any_name_come_back_by_export_and_import(client: Any, job: Any, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text("print('odd')")
    client.jobs.upgrade(job["id"], str(file))
    client.jobs.export(job["id"], str(tmp_path / "out"), versions_only_current=True)
    folder = tmp_path / "out" / job["id"]
    (exported,) = (folder / "version" / "3").iterdir()  # the emulator gives files plain names
    assert exported.read_text() == "print('odd')"
    described = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**described, "name": f"odd {uuid.uuid4()}"}))
    assert client.jobs.import_from_json(job["project_id"], str(folder))


@pytest.mark.parametrize("answer", [{"id": None}, {}, "made", []])
def test_a_job_that_the_answer_does_not_name_is_looked_up_by_its_name(answer: Any) -> None:
    technology = {"id": "python", "label": "Python", "available": True}
    data: dict[str, Any] = {
        "projectTechnologies": {
            "project": {"technologiesByCategory": [{"jobCategory": "Processing", "technologies": [technology]}]}
        },
        "repositories": {"repositories": [{"name": "Saagie", "technologies": [technology]}]},
        "technologyContexts": {"technology": {"contexts": [{"id": "3.11", "available": True}]}},
        "createJob": {"createJob": answer},
        "jobNames": {"jobs": [{"id": "its-id", "name": "a job"}]},
    }
    change = JobChange(job_name="a job", runtime_version="3.11")
    with pytest.raises(errors.SaagieOutcomeUnknown, match="createJob"):
        drive(create(ID, change), lambda call: data[call.operation])
    assert drive(make_job(ID, change), lambda call: data[call.operation]) == "its-id"


def test_what_is_no_text_can_be_exported_all_the_same(tmp_path: Path) -> None:
    """JSON can hold half a character, which UTF-8 can't."""
    transfer._write_folder(None, tmp_path, "a-job", {"description": "\ud800"})  # type: ignore[arg-type]  # sends nothing
    assert json.loads((tmp_path / "a-job" / "job.json").read_text()) == {"description": "\ud800"}
    with pytest.raises(errors.SaagieProtocolError, match="no name of a file"):
        transfer.plain_name("\ud800.py", "the file")
