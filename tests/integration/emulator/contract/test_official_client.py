"""The official client, saagieapi 2.13.1, takes the emulator for a Saagie: all its job methods, on two platforms."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.emulator.contract.official import need_official_client, played
from tests.support.emulator_process import running_emulator

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.testing import Emulator

DRIVER = Path(__file__).with_name("official_client.py")
# They go through apps, pipelines and environment variables, which the emulator doesn't serve.
NOT_SERVED = ["export", "import_from_json"]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the client saw, step by step; it is run once."""
    need_official_client()
    folder = tmp_path_factory.mktemp("official")
    with running_emulator(folder / "data", "--platform", "1", "--platform", "7") as emulator:
        return drive(emulator, folder)


def drive(emulator: Emulator, folder: Path) -> dict[str, Any]:
    task = {
        "url": emulator.url,
        "platform": emulator.platform,
        "other platform": 7,
        "login": emulator.login,
        "password": emulator.password,
        "realm": emulator.realm,
        "name": f"official {uuid.uuid4()}",
        "folder": str(folder),
    }
    return played(DRIVER, task)


def test_none_of_its_job_methods_is_left_out(seen: dict[str, Any]) -> None:
    assert seen["jobs not called"] == []


def test_of_its_project_methods_only_those_are_left_out_that_need_more_than_jobs(seen: dict[str, Any]) -> None:
    assert seen["projects not called"] == NOT_SERVED


def test_it_logs_in_reads_the_catalogue_and_logs_in_again_when_its_token_runs_out(seen: dict[str, Any]) -> None:
    assert seen["platform"] == {
        "id": 1,
        "catalogues": ["Saagie", "Saagie Community"],
        "technologies": ["Bash", "Java/Scala", "Jupyter Notebook", "Python", "Spark"],
        "capacity": ["cpu", "gpu", "memory"],
        "after the token ran out": 1,
    }


def test_it_makes_a_project_with_groups_and_allowed_technologies(seen: dict[str, Any]) -> None:
    assert seen["project"] == {
        "listed": True,
        "same id": True,
        "info": "changed by the official client",
        "by name": True,
        "rights": [["some group", "ROLE_PROJECT_EDITOR"]],
        "allowed": {"Extraction": 3, "Processing": 3, "Smart App": 0},  # the client asks for these two
        "apps": 1,
        "status": "READY",
    }


def test_it_deploys_runs_stops_and_changes_a_python_job(seen: dict[str, Any]) -> None:
    assert seen["python"] == {
        "same id": True,
        "run": "SUCCEEDED",
        "first": 1,
        "upgraded": 2,
        "stop answers": "KILLING",
        "stopped": "KILLED",
        "upgraded by name": 3,
        "created or upgraded": [4, True],
        "info": {
            "description": "described",
            "instances": ["KILLED", "SUCCEEDED"],
            "versions": ["script.py"] * 4,
            "alerting": ["FAILED", "KILLED"],
            "cpu": {"request": 0.5, "limit": 2.6},
            "by alias": [True, 1],
        },
        "rolled back": [False, False, False, True],
        "scheduled": ["0 3 * * *", "Europe/Paris"],
        "not any more": False,
    }


def test_a_bash_job_fails_with_its_exit_code(seen: dict[str, Any]) -> None:
    assert seen["bash"] == {"run": "FAILED", "reason": "GENERIC_ERROR", "details": "exit code 3"}


def test_a_spark_job_is_deployed_and_says_why_it_does_not_run(seen: dict[str, Any]) -> None:
    assert seen["spark"] == {
        "run": "FAILED",
        "says why": True,
        "language": {"language": "Python", "version": "3.10"},
    }


def test_it_lists_jobs_in_full_and_in_short(seen: dict[str, Any]) -> None:
    assert seen["lists"] == {
        "full": {"job": [1, 1], "bash": [1, 1], "spark": [1, 1]},
        "short": ["bash", "job", "spark"],
    }


def test_it_exports_jobs_and_imports_them_elsewhere(seen: dict[str, Any]) -> None:
    assert seen["transfer"] == {
        "job": [True, True],
        "bash": [True, True],
        "spark": [True, True],
        "files": [4, True],
        "imported": {"job": "python {file} 0.2", "bash": "echo to stderr >&2; exit 3", "spark": "spark-submit {file}"},
        "imported runs": "SUCCEEDED",
        "copies": ["Copy of job", "Copy of job 2"],
    }


def test_it_counts_and_deletes_instances_in_each_way(seen: dict[str, Any]) -> None:
    """Of five that succeeded one goes by its id, then all but one: what is included wins over what is excluded."""
    assert seen["deletions"] == {
        "counts": {"ALL": 6, "SUCCEEDED": 5, "FAILED": 0, "STOPPED": 1, "UNKNOWN": 0},
        "the same": True,
        "by ids": [{"id": seen["deletions"]["by ids"][0]["id"], "success": True}],
        "by selector": {"deleteJobInstancesBySelector": 1},
        "with exceptions": {"deleteJobInstancesBySelector": 3},
        "left by date": {"countJobInstancesByDate": 1},
        "by date": {"deleteJobInstancesByDate": 1},
        "left": 0,
        "versions": [{"number": 2, "success": True}, {"number": 3, "success": True}],
        "versions left": [4, 1],
    }


def test_it_moves_a_job_to_another_platform(seen: dict[str, Any]) -> None:
    assert seen["move"] == {
        "gone here": None,
        "versions there": [["python {file} 0.1", False], ["python {file} 0.2", True]],
        "runs there": "SUCCEEDED",
    }


def test_it_deletes_what_it_has_made(seen: dict[str, Any]) -> None:
    assert seen["end"] == {
        "job": {"deleteJob": True},
        "projects": [{"deleteProject": True}, {"deleteProject": True}],
    }
