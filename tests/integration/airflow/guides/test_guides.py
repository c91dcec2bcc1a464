"""What the guides show runs: their DAGs in `dag.test()`, their scripts as programs, on a local Saagie."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import RetryAction

from airflow_provider_saagie.exceptions import SaagieInfrastructureError, SaagieInstanceKilled, SaagieOutOfMemory
from airflow_provider_saagie.hooks.saagie import SaagieHook
from tests.integration.airflow.operators.conftest import TaskResult, airflow_db, run_quietly  # noqa: F401 - a fixture, by its name
from tests.integration.emulator.contract import official
from tests.support.pages import DOCS, README, ROOT, blocks

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_saagie.emulator.testing import Emulator

HERE = Path(__file__).parent
DAGS = HERE / "dags"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SHOWN_UUID = re.compile(rf"{UUID.pattern}|[0-9a-f]{{8}}-…")

Run = Callable[["DAG"], dict[str, "TaskResult"]]

LOOKS_EACH_TEN_SECONDS = pytest.mark.long

pytestmark = pytest.mark.usefixtures("saagie_connection")


@pytest.fixture
def run(airflow_db: None) -> Run:  # noqa: F811
    return run_quietly


def load(name: str) -> dict[str, Any]:
    """Run a DAG file as Airflow does, and give its names; a DAG's file is known to it."""
    return runpy.run_path(str(DAGS / f"{name}.py"), run_name=name)


def make_job(arguments: str = "") -> str:
    client = SaagieHook().get_conn()
    made = client.jobs.create(
        "Load orders",
        client.get_project_id("Demo"),
        file=str(DAGS / "jobs" / "load_orders.py"),
        runtime_version="3.11",
        command_line=f"python {{file}} {arguments}",
    )
    return made["data"]["createJob"]["id"]


def states(results: dict[str, TaskResult]) -> dict[str, str]:
    return {task_id: result.state for task_id, result in results.items()}


def test_the_ways_to_wait(run: Run, saagie_emulator: Emulator) -> None:
    make_job()
    results = run(load("waits")["nightly"].dag)
    assert states(results) == dict.fromkeys(("nightly", "alone", "start_only", "theirs"), "success")
    assert len(saagie_emulator.jobs()["Load orders"].instances) == 3
    assert results["theirs"].xcoms["return_value"] == results["start_only"].xcoms["return_value"]


def test_a_jobs_own_fault_is_not_retried_and_told(
    run: Run, saagie_emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    make_job("broken")
    assert states(run(load("failures")["broken"].dag)) == {"broken": "failed"}
    (instance,) = saagie_emulator.jobs()["Load orders"].instances
    said = "".join(capfd.readouterr())
    assert f"SaagieJobFailed: FAILED GENERIC_ERROR exit code 3 {instance.url}" in said


def test_whose_fault_it_was_decides_on_retries() -> None:
    policy = load("failures")["by_fault"]

    def decision(error: Exception) -> tuple[RetryAction, timedelta | None]:
        decided = policy.evaluate(error, 1, 3)
        return decided.action, decided.retry_delay

    assert decision(SaagieInfrastructureError("evicted")) == (RetryAction.RETRY, timedelta(minutes=5))
    assert decision(SaagieOutOfMemory("too large")) == (RetryAction.FAIL, None)
    assert decision(SaagieInstanceKilled("by hand")) == (RetryAction.DEFAULT, None)


def test_the_message_in_the_guide_is_the_real_one(
    run: Run, saagie_emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    make_job("broken")
    run(load("failures")["broken"].dag)
    assert_shown_is_said(DOCS / "guides" / "failures.md", "".join(capfd.readouterr()))


def test_the_message_in_the_readme_is_the_real_one(
    run: Run, saagie_emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    example = runpy.run_path(str(ROOT / "example_dags" / "saagie_failure.py"), run_name="failure")
    assert states(run(example["run_failing_job"].dag))["run_failing_job"] == "failed"
    assert_shown_is_said(README, "".join(capfd.readouterr()))


def assert_shown_is_said(page: Path, said: str) -> None:
    """Compare the message that a page shows, but for ids, ports, times and what is left out."""
    (shown,) = blocks(page, "text")
    for line in shown.splitlines():
        pattern = re.escape(SHOWN_UUID.sub("ID", line)).replace("ID", UUID.pattern).replace("…", ".*")
        pattern = re.sub(r"127\\\.0\\\.0\\\.1:\d+", r"127\\.0\\.0\\.1:\\d+", pattern)
        pattern = re.sub(r"after\\ [\d\\.]+\\ s", r"after\\ [\\d.]+\\ s", pattern)
        assert re.search(pattern, said), (line, said)


def test_old_instances_of_all_jobs_go(run: Run, saagie_emulator: Emulator) -> None:
    jobs = SaagieHook().jobs
    job_id = make_job()
    for _ in range(2):
        jobs.run_with_callback(job_id, freq=1)
    purge = load("purge_all")["purge"]
    results = run(purge.dag)
    assert set(states(results).values()) == {"success"}
    assert len(saagie_emulator.jobs()["Load orders"].instances) == 2, "younger than a month"


@pytest.mark.parametrize("name", [pytest.param("blocking", marks=LOOKS_EACH_TEN_SECONDS), "deferred"])
def test_before_and_after_run_the_job(name: str, run: Run, saagie_emulator: Emulator) -> None:
    make_job()
    assert states(run(load("moved")[name])) == {"load_orders": "success"}
    (instance,) = saagie_emulator.jobs()["Load orders"].instances
    assert instance.status == "SUCCEEDED"


def test_before_and_after_deploy_the_job(run: Run, saagie_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DAGS)
    moved = load("moved")
    for name, versions in (("deployment", 1), ("deployment", 2), ("deployed", 2)):
        assert states(run(moved[name])) == {"deploy": "success"}
        assert len(saagie_emulator.jobs()["Load orders"].versions) == versions


@LOOKS_EACH_TEN_SECONDS
def test_the_script_of_today_runs_the_job(saagie_emulator: Emulator) -> None:
    official.need_official_client()
    make_job()
    subprocess.run(
        [*official.PYTHON, HERE / "saagieapi_script.py"],
        env={
            "PATH": os.environ["PATH"],
            "SAAGIE_URL": saagie_emulator.url,
            "SAAGIE_PASSWORD": saagie_emulator.password,
        },
        check=True,
        timeout=100,
    )
    (instance,) = saagie_emulator.jobs()["Load orders"].instances
    assert instance.status == "SUCCEEDED"


def test_ci_deploys_without_an_airflow_that_runs(saagie_emulator: Emulator, tmp_path: Path) -> None:
    for version in (1, 2):
        subprocess.run(
            [sys.executable, HERE / "deploy_jobs.py"],
            env={
                "PATH": os.environ["PATH"],
                "AIRFLOW_HOME": str(tmp_path),
                "AIRFLOW_CONN_SAAGIE_DEFAULT": saagie_emulator.connection(),
                "COMMIT": f"commit {version}",
            },
            check=True,
            timeout=100,
        )
        assert len(saagie_emulator.jobs()["Load orders"].versions) == version
