"""SaagieExportJobOperator and SaagieImportJobOperator with the emulator, on this machine and in object storage.

The object storage is fsspec's, in memory: `ObjectStoragePath` reaches it as any other.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.exceptions import SaagieValidationError
from airflow_provider_saagie.operators.saagie import SaagieExportJobOperator, SaagieImportJobOperator
from tests.support.executed_tasks import TaskRun, run_task

MISSING = "f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"

pytestmark = pytest.mark.usefixtures("saagie_connection")


class SmallStorage(MemoryFileSystem):
    """A storage that is full before a file of a certain name."""

    protocol = "small"
    full_at = ""
    last = ""

    def put_file(self, lpath: Any, rpath: Any, **more: Any) -> None:
        self.last = str(rpath)
        if self.full_at and str(rpath).endswith(self.full_at):
            raise OSError(errno.ENOSPC, "no space left in the bucket")
        super().put_file(lpath, rpath, **more)


@pytest.fixture
def storage() -> Iterator[SmallStorage]:
    """A storage in memory, which Airflow reaches as `memory://`, and `memory://keeper@` with a connection."""
    storage = SmallStorage()
    storage.full_at = ""
    attach("memory", fs=storage)
    attach("memory", conn_id="keeper", fs=storage)
    yield storage
    storage.store.clear()


@pytest.fixture
def job_id(make_job: Any, client: SaagieClient, tmp_path: Path) -> str:
    """A job with two versions."""
    job_id: str = make_job("print('first')", job_name="original", description="a report")
    (tmp_path / "second.py").write_text("print('second')")
    client.jobs.upgrade(job_id, str(tmp_path / "second.py"))
    return job_id


@pytest.fixture
def export(job_id: str) -> Callable[..., TaskRun]:
    """A function that exports the job."""
    required = {"job_id": job_id, "folder": "memory://bucket"}
    return lambda **given: run_task(SaagieExportJobOperator(task_id="export", **{**required, **given}))


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., TaskRun]:
    """A function that imports a job, by default from the folder `exports` next to the DAG's file."""
    required = {"folder": "exports", "project_name": "Demo"}
    return lambda **given: run_task(
        SaagieImportJobOperator(task_id="load", **{**required, **given}), dag_file=tmp_path / "dag.py"
    )


@pytest.fixture
def exported(client: SaagieClient, job_id: str, tmp_path: Path) -> Path:
    """A folder next to the DAG's file with the exported job, renamed to `copy`."""
    client.jobs.export(job_id, str(tmp_path / "exports"), versions_only_current=True)
    file = tmp_path / "exports" / job_id / "job.json"
    file.write_text(file.read_text().replace("original", "copy"))
    return file.parent


def read_file(client: SaagieClient, job_id: str) -> bytes:
    """Return the content of the current version's file."""
    version = client.jobs.get_info(job_id, versions_only_current=True)["job"]["versions"][0]
    return b"".join(client.session.download(version["packageInfo"]["downloadUrl"]))


def creations(emulator: Emulator) -> int:
    return sum(request["operation"] == "createJob" for request in emulator.requests())


def test_exported_job_is_imported(
    export: Any, load: Any, job_id: str, client: SaagieClient, storage: SmallStorage, tmp_path: Path
) -> None:
    folders = (f"{tmp_path}/a", f"file://{tmp_path}/b", "memory://bucket/exports", "memory://keeper@bucket/exports/")
    for folder in folders:
        run = export(job_id=None, job_name="original", project_name="Demo", folder=folder)
        assert (run.error, run.result) == (None, f"{folder.rstrip('/')}/{job_id}")
        assert run.xcoms == {"job_id": job_id, "job_url": run.link, "_link_SaagieLink": run.link}
        assert run.link.endswith(f"/job/{job_id}")
        exported = ObjectStoragePath(run.result).rglob("*.*")
        job_file, first, second = sorted(str(path).partition(f"{job_id}/")[2] for path in exported)
        assert (job_file, first[:10], second) == ("job.json", "version/1/", "version/2/second.py")
        imported = load(folder=run.result, job_name=f"copy {folder}")
        links = {"job_url": imported.link, "_link_SaagieLink": imported.link}
        assert imported.xcoms == {"created": True, **links}
        assert imported.result == client.jobs.get_id(f"copy {folder}", "Demo")
        assert client.jobs.get_info(imported.result)["job"]["description"] == "a report"
        assert read_file(client, imported.result) == b"print('second')"
        storage.store.clear()


def test_export_replaces_older_one_as_a_whole(
    export: Any, job_id: str, storage: SmallStorage, client: SaagieClient, emulator: Emulator, tmp_path: Path
) -> None:
    for storage.full_at in ("job.json", "second.py"):
        run = export()
        assert "no space left in the bucket" in str(run.error)
        assert run.link.endswith(job_id)
        assert not storage.exists(f"/bucket/{job_id}"), storage.full_at
    storage.full_at = ""
    emulator.fault("status", "artifact", occurrence=2, status=404)
    assert export().error is not None
    assert storage.find("/bucket") == []
    for options in ({"versions_only_current": True}, {"versions_limit": 1}):
        export()
        assert len(storage.find("/bucket")) == 3
        export(**options)
        assert storage.find("/bucket") == [f"/bucket/{job_id}/job.json", f"/bucket/{job_id}/version/2/second.py"]
    assert storage.last == f"/bucket/{job_id}/job.json"  # without it, a folder is not an exported job
    before = {path: storage.cat(path) for path in storage.find("/bucket")}
    (tmp_path / "third.py").write_text("print('third')")
    client.jobs.upgrade(job_id, str(tmp_path / "third.py"))
    storage.full_at = "job.json"
    assert export().error is not None
    assert {path: storage.cat(path) for path in storage.find("/bucket")} == before


def test_missing_job_or_project_changes_nothing(
    export: Any, load: Any, exported: Path, emulator: Emulator, tmp_path: Path
) -> None:
    before = emulator.requests()
    assert "no job" in str(export(job_id=MISSING, folder=f"{tmp_path}/out").error)
    assert not (tmp_path / "out").exists()
    assert "'Demo'" in str(load(project_name="Nowhere").error)
    assert "does not exist" in str(load(project_name=None, project_id=MISSING).error)
    assert emulator.requests() == before


def test_import_from_folder_next_to_dag(
    load: Any, exported: Path, client: SaagieClient, tmp_path: Path, emulator: Emulator
) -> None:
    for folder in ("exports", f"exports/{exported.name}", f"{tmp_path}/exports", f"file://{exported}"):
        run = load(folder=folder, project_name=None, project_id=emulator.projects["Demo"])
        assert run.error is None, folder
        assert run.result == client.jobs.get_id("copy", "Demo")
        assert read_file(client, run.result) == b"print('second')"
        client.jobs.delete(run.result)


def test_existing_job_fails_is_ignored_or_skips(load: Any, exported: Path, emulator: Emulator) -> None:
    job_id = load().result
    for if_exists, error in [("fail", SaagieValidationError), ("ignore", None), ("skip", AirflowSkipException)]:
        run = load(if_exists=if_exists)
        assert (type(run.error) if error else run.error) is error, if_exists
        assert run.result == (None if error else job_id)
        assert run.xcoms.get("created") == (None if error else False)
        assert run.link.endswith(f"/job/{job_id}")
        assert error is None or "has a job named 'copy'" in str(run.error)
    assert creations(emulator) == 2, "of the original, and of the first import"


def test_lost_answer_finds_only_what_was_created(
    load: Any, exported: Path, client: SaagieClient, make_job: Any, emulator: Emulator
) -> None:
    before = creations(emulator)
    emulator.fault("drop", "createJob")
    run = load()
    assert (run.error, run.xcoms["created"], run.result) == (None, True, client.jobs.get_id("copy", "Demo"))
    assert creations(emulator) == before + 1
    client.jobs.delete(run.result)
    emulator.fault("error", "createJob", message="Not now")
    run = TaskRun(SaagieImportJobOperator(task_id="load", folder=str(exported), project_name="Demo")).execute()
    assert "Not now" in str(run.error)
    make_job("print('other')", job_name="copy")
    assert "has a job named" in str(run.execute().error)
