"""SaagieCreateOrUpgradeJobOperator with the emulator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.operators.saagie import SaagieCreateOrUpgradeJobOperator
from tests.support.executed_tasks import TaskRun, run_task

if TYPE_CHECKING:
    from airflow_provider_saagie.client.saagie import SaagieClient
    from airflow_provider_saagie.emulator.testing import Emulator


@pytest.fixture
def deploy(saagie_connection: str, tmp_path: Path) -> Callable[..., TaskRun]:
    """A function that deploys the job `nightly` from the folder `jobs` next to the DAG's file."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "job.py").write_text("print(1)")
    required = {"job_name": "nightly", "project_name": "Demo", "file": "jobs/job.py", "runtime_version": "3.11"}

    def run(**given: Any) -> TaskRun:
        task = SaagieCreateOrUpgradeJobOperator(task_id="deploy", **{**required, **given})
        return run_task(task, dag_file=tmp_path / "dag.py")

    return run


def read_file(client: SaagieClient, job_id: str) -> tuple[str, bytes]:
    """Return name and content of the current version's file."""
    version = client.jobs.get_info(job_id, versions_only_current=True)["job"]["versions"][0]["packageInfo"]
    return version["name"], b"".join(client.session.download(version["downloadUrl"]))


def test_new_job_has_settings_and_file(deploy: Any, client: SaagieClient) -> None:
    run = deploy(description="a report", resources={"memory": {"limit": 2.0}})
    assert run.error is None
    assert run.xcoms == {"version": 1, "changed": True, "job_url": run.link, "_link_SaagieLink": run.link}
    assert run.link.endswith(f"/job/{run.result}")
    job = client.jobs.get_info(run.result)["job"]
    assert (job["description"], job["resources"]["memory"]["limit"]) == ("a report", 2.0)
    assert read_file(client, run.result) == ("job.py", b"print(1)")


def test_version_is_added_for_each_change_and_only_then(deploy: Any, emulator: Emulator) -> None:
    settings: dict[str, Any] = {}
    deploy()
    for version, change in enumerate(
        [
            {"description": "new"},
            {"command_line": "python {file} --fast"},
            {"runtime_version": "3.12"},
            {"emails": ["a@acme.io"]},
            {"cron_scheduling": "0 1 * * *"},
            {"resources": {"cpu": {"limit": 1}}},
            {"source_url": "https://git.acme.io/1"},
        ],
        2,
    ):
        settings |= change
        run = deploy(**settings)
        assert (run.error, run.xcoms["version"], run.xcoms["changed"]) == (None, version, True), change
        before = emulator.requests()
        for same in (settings, {"runtime_version": settings.get("runtime_version", "3.11"), "release_note": "other"}):
            again = deploy(**same)
            assert (again.error, again.xcoms["version"], again.xcoms["changed"]) == (None, version, False), change
            assert again.result == run.result
        assert emulator.requests() == before
    assert deploy(**settings, skip_unchanged=False).xcoms["version"] == version + 1


def test_changed_file_adds_version(deploy: Any, tmp_path: Path, client: SaagieClient) -> None:
    deploy()
    (tmp_path / "jobs" / "job.py").write_text("print(2)")
    run = deploy(file=Path("jobs") / "job.py")
    assert (run.xcoms["version"], run.xcoms["changed"]) == (2, True)
    assert read_file(client, run.result) == ("job.py", b"print(2)")
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "remote.py").write_text("print('remote')")
    run = deploy(file=f"file://{tmp_path}/bucket/remote.py")
    assert run.xcoms["version"] == 3
    assert read_file(client, run.result) == ("remote.py", b"print('remote')")


def test_wrong_argument_changes_nothing(deploy: Any, emulator: Emulator) -> None:
    deploy()
    before = emulator.requests()
    assert "'Python'" in str(deploy(job_name="another", technology="cobol").error)
    for given, message in [
        ({"file": "jobs/missing.py"}, "jobs/missing.py"),
        ({"runtime_version": "1.5"}, "'3.11'"),
        ({"project_name": "Nowhere"}, "'Demo'"),
        ({"emails": "a@acme.io"}, "emails"),
        ({"description": "new", "cron_scheduling": "whenever"}, "whenever"),
    ]:
        for job_name in ("nightly", "another"):
            assert message in str(deploy(job_name=job_name, **given).error), (job_name, given)
    assert emulator.requests() == before
