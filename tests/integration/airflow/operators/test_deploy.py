"""SaagieCreateOrUpgradeJobOperator, run by Airflow against the emulator."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.operators.saagie import SaagieCreateOrUpgradeJobOperator

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient
    from tests.integration.airflow.operators.conftest import TaskResult
    from airflow_provider_saagie.emulator.testing import Emulator


@pytest.fixture
def deploy(run_dag: Any, new_dag: Callable[[], DAG], tmp_path: Path) -> Callable[..., TaskResult]:
    """A function that runs one deploy operator in a DAG whose file has a folder `jobs` beside it."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "job.py").write_text("print(1)")
    name = f"job {uuid.uuid4()}"

    def run(**given: Any) -> TaskResult:
        dag = new_dag()
        with dag:
            settings = {"job_name": name, "project_name": "Demo", "file": "jobs/job.py", "runtime_version": "3.11"}
            SaagieCreateOrUpgradeJobOperator(task_id="deploy", **{**settings, **given})
        return run_dag(dag)["deploy"]

    return run


def test_a_new_job_is_made_of_the_file_beside_the_dag(deploy: Any, client: SaagieClient) -> None:
    result = deploy(description="of {{ dag.dag_id }}", resources={"memory": {"limit": 2.0}})
    assert result.state == "success"
    job_id = result.xcoms["return_value"]
    assert (result.xcoms["version"], result.xcoms["changed"]) == (1, True)
    assert result.xcoms["job_url"].endswith(f"/job/{job_id}")
    assert result.xcoms["_link_SaagieLink"] == result.xcoms["job_url"]
    job = client.jobs.get_info(job_id)["job"]
    assert job["description"].startswith("of dag_")
    assert job["resources"]["memory"]["limit"] == 2.0
    package = job["versions"][0]["packageInfo"]
    assert package["name"] == "job.py"
    assert b"".join(client.session.download(package["downloadUrl"])) == b"print(1)"


def test_an_unchanged_job_is_left_alone_whatever_the_release_note(
    deploy: Any, emulator: Emulator, tmp_path: Path
) -> None:
    deploy(description="same")
    before = emulator.requests()
    for given in ({"description": "same"}, {}, {"release_note": "another"}):
        result = deploy(**given)
        assert (result.state, result.xcoms["version"], result.xcoms["changed"]) == ("success", 1, False)
    assert emulator.requests() == before


@pytest.mark.parametrize(
    "given",
    [
        {"description": "new"},
        {"command_line": "python {file} --fast"},
        {"runtime_version": "3.12"},
        {"emails": ["a@acme.io"]},
        {"cron_scheduling": "0 1 * * *"},
        {"resources": {"cpu": {"limit": 1}}},
        {"source_url": "https://git.acme.io/1"},
        {"skip_unchanged": False},
    ],
    ids=str,
)
def test_any_change_of_the_settings_adds_a_version(deploy: Any, given: dict[str, Any]) -> None:
    deploy()
    result = deploy(**given)
    assert (result.state, result.xcoms["version"], result.xcoms["changed"]) == ("success", 2, True)


def test_a_change_of_the_file_adds_a_version(deploy: Any, tmp_path: Path, client: SaagieClient) -> None:
    deploy()
    (tmp_path / "jobs" / "job.py").write_text("print(2)")
    result = deploy(file=Path("jobs") / "job.py")  # a path will do as well as a text
    assert (result.xcoms["version"], result.xcoms["changed"]) == (2, True)
    version = client.jobs.get_info(result.xcoms["return_value"], versions_only_current=True)["job"]["versions"][0]
    assert b"".join(client.session.download(version["packageInfo"]["downloadUrl"])) == b"print(2)"


def test_a_file_may_be_in_object_storage(deploy: Any, tmp_path: Path, client: SaagieClient) -> None:
    far = tmp_path / "bucket" / "far.py"
    far.parent.mkdir()
    far.write_text("print('far')")
    result = deploy(file=f"file://{far}")
    assert result.state == "success"
    version = client.jobs.get_info(result.xcoms["return_value"])["job"]["versions"][0]
    assert version["packageInfo"]["name"] == "far.py"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"file": "jobs/missing.py"}, "jobs/missing.py"),
        ({"file": "file:///no/such/file.py"}, "can't be read"),
        ({"technology": "cobol"}, "'Python'"),
        ({"runtime_version": "1.5"}, "'3.11'"),
        ({"project_name": "Nowhere"}, "'Demo'"),
        ({"project_name": None}, "project_id"),
        ({"job_name": ""}, "job_name"),
        ({"emails": "a@acme.io"}, "emails"),
    ],
    ids=str,
)
def test_bad_input_changes_nothing_and_says_what_is_wrong(
    deploy: Any, emulator: Emulator, given: dict[str, Any], said: str, capfd: Any
) -> None:
    before = emulator.requests()
    assert deploy(**given).state == "failed"
    assert said in "".join(capfd.readouterr())
    assert emulator.requests() == before


def test_a_bad_edition_of_a_job_that_exists_adds_no_version(deploy: Any, emulator: Emulator) -> None:
    deploy()
    before = emulator.requests()
    assert deploy(description="new", cron_scheduling="whenever").state == "failed"
    assert emulator.requests() == before
