"""SaagieExportJobOperator and SaagieImportJobOperator, run by Airflow: on this machine and in object storage.

The object storage is fsspec's, in memory: as any other to those who speak to it through ``ObjectStoragePath``.
"""

from __future__ import annotations

import errno
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_saagie.operators.saagie import SaagieExportJobOperator, SaagieImportJobOperator

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient
    from tests.integration.airflow.operators.conftest import TaskResult
    from airflow_provider_saagie.emulator.testing import Emulator

NOBODY = "f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"


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
def doing(run_dag: Any, new_dag: Callable[[], DAG]) -> Callable[..., TaskResult]:
    """A function that runs one operator, and tells how it ended."""

    def run(operator: Any, **given: Any) -> TaskResult:
        dag = new_dag()
        with dag:
            operator(task_id="one", **given)
        return run_dag(dag)["one"]

    return run


@pytest.fixture
def job(make_job: Any, client: SaagieClient, tmp_path: Path) -> dict[str, str]:
    """A job with two versions."""
    name = f"job {uuid.uuid4()}"
    job_id = make_job("print('first')", job_name=name, description="as it was")
    (tmp_path / "second.py").write_text("print('second')")
    client.jobs.upgrade(job_id, str(tmp_path / "second.py"))
    return {"id": job_id, "name": name}


def stored(storage: SmallStorage, folder: str) -> list[str]:
    return sorted(path.partition(f"{folder}/")[2] for path in storage.find(folder))


def content(client: SaagieClient, job_id: str) -> bytes:
    version = client.jobs.get_info(job_id, versions_only_current=True)["job"]["versions"][0]
    return b"".join(client.session.download(version["packageInfo"]["downloadUrl"]))


def creations(emulator: Emulator) -> int:
    return len([request for request in emulator.requests() if request["operation"] == "createJob"])


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_job_is_exported_to_the_workers_disk(doing: Any, job: Any, tmp_path: Path, scheme: str) -> None:
    result = doing(SaagieExportJobOperator, job_id=job["id"], folder=f"{scheme}{tmp_path}/out/{{{{ dag.dag_id }}}}")
    assert result.state == "success"
    assert result.xcoms["return_value"].startswith(f"{scheme}{tmp_path}/out/dag_")
    folder = Path(result.xcoms["return_value"].removeprefix("file://"))
    assert folder.name == job["id"]
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*")) == [
        "job.json", f"version/1/{next((folder / 'version' / '1').iterdir()).name}", "version/2/second.py",
    ]  # fmt: skip
    assert result.xcoms["job_url"] == result.xcoms["_link_SaagieLink"]
    assert result.xcoms["job_id"] == job["id"]


@pytest.mark.parametrize("folder", ["memory://bucket/exports", "memory://keeper@bucket/exports/"])
def test_what_is_exported_to_object_storage_is_imported_from_there(
    doing: Any, job: Any, client: SaagieClient, storage: SmallStorage, folder: str
) -> None:
    exported = doing(SaagieExportJobOperator, job_name=job["name"], project_name="Demo", folder=folder)
    assert exported.xcoms["return_value"] == f"{folder.rstrip('/')}/{job['id']}"
    names = stored(storage, f"/bucket/exports/{job['id']}")
    assert (names[0], names[1][:10], names[2]) == ("job.json", "version/1/", "version/2/second.py")
    name = f"again {uuid.uuid4()}"
    imported = doing(SaagieImportJobOperator, folder=exported.xcoms["return_value"], project_name="Demo", job_name=name)
    assert (imported.state, imported.xcoms["created"]) == ("success", True)
    assert imported.xcoms["job_url"] == imported.xcoms["_link_SaagieLink"]
    job_id = imported.xcoms["return_value"]
    assert client.jobs.get_id(name, "Demo") == job_id
    assert client.jobs.get_info(job_id)["job"]["description"] == "as it was"
    assert content(client, job_id) == b"print('second')"


def test_a_new_export_replaces_the_older_one(doing: Any, job: Any, storage: SmallStorage) -> None:
    for options in ({}, {"versions_only_current": True}):
        doing(SaagieExportJobOperator, job_id=job["id"], folder="memory://bucket", **options)
    assert stored(storage, f"/bucket/{job['id']}") == ["job.json", "version/2/second.py"]
    doing(SaagieExportJobOperator, job_id=job["id"], folder="memory://bucket", versions_limit=1)
    assert stored(storage, f"/bucket/{job['id']}") == ["job.json", "version/2/second.py"]
    assert storage.last == f"/bucket/{job['id']}/job.json"  # without which a folder is no exported job


@pytest.mark.parametrize("full_at", ["job.json", "second.py"])
def test_a_broken_upload_leaves_no_half_folder(
    doing: Any, job: Any, storage: SmallStorage, full_at: str, capfd: Any
) -> None:
    storage.full_at = full_at
    result = doing(SaagieExportJobOperator, job_id=job["id"], folder="memory://bucket/exports")
    assert result.state == "failed"
    assert result.xcoms["_link_SaagieLink"].endswith(job["id"])
    assert storage.find("/bucket/exports") == []
    assert not storage.exists(f"/bucket/exports/{job['id']}")
    assert "no space left in the bucket" in "".join(capfd.readouterr())


def test_a_broken_upload_leaves_the_older_export(
    doing: Any, job: Any, storage: SmallStorage, client: SaagieClient, tmp_path: Path
) -> None:
    doing(SaagieExportJobOperator, job_id=job["id"], folder="memory://bucket")
    before = {path: storage.cat(path) for path in storage.find("/bucket")}
    (tmp_path / "third.py").write_text("print('third')")
    client.jobs.upgrade(job["id"], str(tmp_path / "third.py"))
    storage.full_at = "job.json"
    assert doing(SaagieExportJobOperator, job_id=job["id"], folder="memory://bucket").state == "failed"
    assert {path: storage.cat(path) for path in storage.find("/bucket")} == before


def test_a_broken_download_uploads_nothing(doing: Any, job: Any, storage: SmallStorage, emulator: Emulator) -> None:
    emulator.fault("status", "artifact", occurrence=2, status=404)
    assert doing(SaagieExportJobOperator, job_id=job["id"], folder="memory://bucket").state == "failed"
    assert storage.find("/bucket") == []


BAD = [
    ({"folder": "out"}, "relative"),
    ({"folder": ""}, "folder"),
    ({"folder": None}, "folder"),
    ({"folder": "s3://bucket/out"}, "No filesystem registered for scheme s3"),
    ({"folder": "nonsense://bucket/out"}, "can't be reached"),
    ({"versions_limit": 0}, "versions_limit"),
    ({"versions_limit": "all"}, "versions_limit"),
    ({"job_id": None}, "name its job"),
    ({"job_id": NOBODY}, "no job"),
]


def test_bad_input_exports_nothing(
    run_dag: Any, new_dag: Any, job: Any, tmp_path: Path, emulator: Emulator, capfd: Any
) -> None:
    dag = new_dag()
    with dag:
        for number, (given, _) in enumerate(BAD):
            SaagieExportJobOperator(
                task_id=f"bad_{number}", **{"job_id": job["id"], "folder": str(tmp_path / "out"), **given}
            )
    before = emulator.requests()
    assert {result.state for result in run_dag(dag).values()} == {"failed"}
    shown = "".join(capfd.readouterr())
    assert [said for _, said in BAD if said not in shown] == []
    assert emulator.requests() == before
    assert not (tmp_path / "out").exists()


@pytest.fixture
def exported(client: SaagieClient, job: Any, tmp_path: Path) -> Path:
    """A folder `exports` beside the DAG's file, which holds the job of a name that the project does not have."""
    client.jobs.export(job["id"], str(tmp_path / "exports"), versions_only_current=True)
    file = tmp_path / "exports" / job["id"] / "job.json"
    file.write_text(file.read_text().replace(job["name"], f"again {uuid.uuid4()}"))
    return file.parent


def name_in(folder: Path) -> str:
    return str(json.loads((folder / "job.json").read_text())["name"])


@pytest.mark.parametrize("folder", ["exports", "exports/JOB", "TMP/exports", "file://TMP/exports/JOB"])
def test_a_job_is_imported_from_a_folder_beside_the_dag(
    doing: Any, exported: Path, client: SaagieClient, tmp_path: Path, folder: str
) -> None:
    given = folder.replace("TMP", str(tmp_path)).replace("JOB", exported.name)
    result = doing(SaagieImportJobOperator, folder=given, project_id=client.get_project_id("Demo"))
    assert result.state == "success"
    assert result.xcoms["return_value"] == client.jobs.get_id(name_in(exported), "Demo")
    assert content(client, result.xcoms["return_value"]) == b"print('second')"


def test_a_version_file_may_be_called_job_json(doing: Any, exported: Path, client: Any) -> None:
    (exported / "version" / "2" / "second.py").rename(exported / "version" / "2" / "job.json")
    result = doing(SaagieImportJobOperator, folder=str(exported), project_name="Demo")
    assert result.state == "success"
    assert content(client, result.xcoms["return_value"]) == b"print('second')"


@pytest.mark.parametrize(("if_exists", "state"), [("fail", "failed"), ("ignore", "success"), ("skip", "skipped")])
def test_a_job_of_that_name_is_met_as_the_task_says(
    doing: Any, exported: Path, client: Any, emulator: Any, if_exists: str, state: str, capfd: Any
) -> None:
    first = doing(SaagieImportJobOperator, folder=str(exported), project_name="Demo").xcoms["return_value"]
    before = creations(emulator)
    result = doing(SaagieImportJobOperator, folder=str(exported), project_name="Demo", if_exists=if_exists)
    assert result.state == state
    assert result.xcoms.get("return_value") == (first if if_exists == "ignore" else None)
    assert result.xcoms.get("created") == (False if if_exists == "ignore" else None)
    assert result.xcoms["_link_SaagieLink"].endswith(f"/job/{first}")
    assert creations(emulator) == before
    assert "has a job named" in "".join(capfd.readouterr())


def test_a_lost_answer_is_looked_after(doing: Any, exported: Path, client: Any, emulator: Any) -> None:
    before = creations(emulator)
    emulator.fault("drop", "createJob")
    result = doing(SaagieImportJobOperator, folder=str(exported), project_name="Demo")
    assert (result.state, result.xcoms["created"]) == ("success", True)
    assert result.xcoms["return_value"] == client.jobs.get_id(name_in(exported), "Demo")
    assert creations(emulator) == before + 1


def test_a_retry_takes_what_the_try_before_has_made(
    run_dag: Any, new_dag: Any, exported: Path, client: SaagieClient, emulator: Emulator
) -> None:
    """The answer is lost, and Saagie can't be asked either: the first try fails after the job was made."""
    dag = new_dag()
    with dag:
        SaagieImportJobOperator(task_id="one", folder=str(exported), project_name="Demo", retries=1, retry_delay=0)
    before = creations(emulator)
    emulator.fault("drop", "createJob")
    emulator.fault("status", "jobs", occurrence=2, status=400)
    result = run_dag(dag)["one"]
    assert [fault["struck"] for fault in emulator.faults()] == [1, 1]
    assert (result.state, result.xcoms["created"]) == ("success", True)
    assert creations(emulator) == before + 1


def test_a_retry_takes_no_other_job_where_nothing_was_made(
    run_dag: Any, new_dag: Any, make_job: Any, exported: Path, emulator: Emulator
) -> None:
    dag = new_dag()
    with dag:
        SaagieImportJobOperator(
            task_id="one", folder=str(exported), project_name="Demo", retries=1, retry_delay=0,
            on_retry_callback=lambda _: make_job("print('other')", job_name=name_in(exported)),
        )  # fmt: skip
    emulator.fault("error", "createJob", message="Not now")
    assert run_dag(dag)["one"].state == "failed"


BAD_IMPORTS = [
    ({"folder": "nothing"}, "is no folder"),
    ({"folder": "."}, "holds none"),
    ({"folder": "memory://bucket/nothing"}, "is no folder"),
    ({"folder": ""}, "folder"),
    ({"project_name": None}, "project_id"),
    ({"project_id": NOBODY}, "project_id"),
    ({"project_name": "Nowhere"}, "'Demo'"),
    ({"project_name": None, "project_id": "Demo"}, "UUID"),
    ({"if_exists": "replace"}, "if_exists"),
]


def test_bad_input_makes_nothing(
    run_dag: Any, new_dag: Any, exported: Path, storage: Any, emulator: Emulator, capfd: Any
) -> None:
    dag = new_dag()
    with dag:
        for number, (given, _) in enumerate(BAD_IMPORTS):
            SaagieImportJobOperator(
                task_id=f"bad_{number}", **{"folder": str(exported), "project_name": "Demo", **given}
            )
    before = emulator.requests()
    assert {result.state for result in run_dag(dag).values()} == {"failed"}
    shown = "".join(capfd.readouterr())
    assert [said for _, said in BAD_IMPORTS if said not in shown] == []
    assert emulator.requests() == before


NO_JOB_FILES = ["", "{}", "[]", '{"name": "x", "versions": [{"isCurrent": true, "number": "../1"}]}']


def test_a_job_file_that_is_none_makes_nothing(
    run_dag: Any, new_dag: Any, storage: SmallStorage, emulator: Emulator, capfd: Any
) -> None:
    dag = new_dag()
    with dag:
        for number, text in enumerate(NO_JOB_FILES):
            storage.pipe_file(f"/bucket/{number}/job.json", text.encode())
            SaagieImportJobOperator(task_id=f"bad_{number}", folder=f"memory://bucket/{number}", project_name="Demo")
    before = emulator.requests()
    assert {result.state for result in run_dag(dag).values()} == {"failed"}
    assert "".join(capfd.readouterr()).count("SaagieValidationError: '") >= len(NO_JOB_FILES)
    assert emulator.requests() == before


def test_two_files_of_one_version_are_refused_in_object_storage_too(
    doing: Any, job: Any, storage: SmallStorage, capfd: Any
) -> None:
    folder = doing(SaagieExportJobOperator, job_id=job["id"], folder="memory://bucket").xcoms["return_value"]
    given = {"folder": folder, "project_name": "Demo", "job_name": f"again {uuid.uuid4()}"}
    storage.pipe_file(f"/bucket/{job['id']}/version/2/another.py", b"print('other')")
    assert doing(SaagieImportJobOperator, **given).state == "failed"
    assert "should hold the version's file alone, and no link" in "".join(capfd.readouterr())
    storage.mv(f"/bucket/{job['id']}/version/2/another.py", f"/bucket/{job['id']}/version/2/deep/another.py")
    assert doing(SaagieImportJobOperator, **given).state == "failed"
    assert "should hold the version's file alone, and no folder" in "".join(capfd.readouterr())
