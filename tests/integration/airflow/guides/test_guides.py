"""The guides' DAGs run in `dag.test()` and their scripts as programs, with the emulator."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import RetryAction

from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.exceptions import SaagieInfrastructureError, SaagieInstanceKilled, SaagieOutOfMemory
from airflow_provider_saagie.hooks.saagie import SaagieHook
from tests.integration.emulator.contract import official
from tests.support.dag_runs import RunDag, TaskResult
from tests.support.pages import DOCS, README, ROOT, blocks

HERE = Path(__file__).parent
DAGS = HERE / "dags"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SHOWN_UUID = re.compile(rf"{UUID.pattern}|[0-9a-f]{{8}}-…")

POLLS_EACH_TEN_SECONDS = pytest.mark.long
pytestmark = pytest.mark.usefixtures("saagie_connection")


def load(name: str) -> dict[str, Any]:
    """Run a DAG file as Airflow does, and return its names; the DAGs know their file."""
    return runpy.run_path(str(DAGS / f"{name}.py"), run_name=name)


def make_job(arguments: str = "") -> str:
    client = SaagieHook().get_conn()
    given: dict[str, Any] = {"runtime_version": "3.11", "command_line": f"python {{file}} {arguments}"}
    file = str(DAGS / "jobs" / "load_orders.py")
    return client.jobs.create("Load orders", client.get_project_id("Demo"), file, **given)["data"]["createJob"]["id"]


def states(results: dict[str, TaskResult]) -> dict[str, str]:
    return {task_id: result.state for task_id, result in results.items()}


def assert_page_shows(page: Path, output: str) -> None:
    """Compare the message that a page shows, except ids, ports, times and omissions."""
    (shown,) = blocks(page, "text")
    for line in shown.splitlines():
        pattern = re.escape(SHOWN_UUID.sub("ID", line)).replace("ID", UUID.pattern).replace("…", ".*")
        pattern = re.sub(r"127\\\.0\\\.0\\\.1:\d+", r"127\\.0\\.0\\.1:\\d+", pattern)
        pattern = re.sub(r"after\\ [\d\\.]+\\ s", r"after\\ [\\d.]+\\ s", pattern)
        assert re.search(pattern, output), (line, output)


def test_each_way_to_wait_runs(run_dag: RunDag, emulator: Emulator) -> None:
    make_job()
    results = run_dag(load("waits")["nightly"].dag)
    assert states(results) == dict.fromkeys(("nightly", "alone", "start_only", "theirs"), "success")
    assert len(emulator.jobs()["Load orders"].instances) == 3
    assert results["theirs"].xcoms["return_value"] == results["start_only"].xcoms["return_value"]


def test_job_fault_fails_task_at_once(run_dag: RunDag, emulator: Emulator, capfd: pytest.CaptureFixture[str]) -> None:
    make_job("broken")
    assert states(run_dag(load("failures")["broken"].dag)) == {"broken": "failed"}
    (instance,) = emulator.jobs()["Load orders"].instances
    output = "".join(capfd.readouterr())
    assert f"SaagieJobFailed: FAILED GENERIC_ERROR exit code 3 {instance.url}" in output
    assert_page_shows(DOCS / "guides" / "failures.md", output)


def test_retry_policy_depends_on_fault() -> None:
    policy = load("failures")["by_fault"]
    for error, action, delay in [
        (SaagieInfrastructureError("evicted"), RetryAction.RETRY, timedelta(minutes=5)),
        (SaagieOutOfMemory("too large"), RetryAction.FAIL, None),
        (SaagieInstanceKilled("by hand"), RetryAction.DEFAULT, None),
    ]:
        decided = policy.evaluate(error, 1, 3)
        assert (decided.action, decided.retry_delay) == (action, delay), error


def test_readme_shows_real_message(run_dag: RunDag, capfd: pytest.CaptureFixture[str]) -> None:
    example = runpy.run_path(str(ROOT / "example_dags" / "saagie_failure.py"), run_name="failure")
    assert states(run_dag(example["run_failing_job"].dag))["run_failing_job"] == "failed"
    assert_page_shows(README, "".join(capfd.readouterr()))


def test_purge_of_all_jobs_keeps_young_instances(run_dag: RunDag, emulator: Emulator) -> None:
    job_id = make_job()
    for _ in range(2):
        emulator.set_instance(SaagieHook().jobs.run(job_id)["runJob"]["id"], "SUCCEEDED")
    assert set(states(run_dag(load("purge_all")["purge"].dag)).values()) == {"success"}
    assert len(emulator.jobs()["Load orders"].instances) == 2


@pytest.mark.parametrize("name", [pytest.param("blocking", marks=POLLS_EACH_TEN_SECONDS), "deferred"])
def test_dag_before_and_after_move_runs_job(name: str, run_dag: RunDag, emulator: Emulator) -> None:
    make_job()
    assert states(run_dag(load("moved")[name])) == {"load_orders": "success"}
    assert [instance.status for instance in emulator.jobs()["Load orders"].instances] == ["SUCCEEDED"]


def test_dag_before_and_after_move_deploys_job(
    run_dag: RunDag, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(DAGS)
    moved = load("moved")
    for name, versions in (("deployment", 1), ("deployment", 2), ("deployed", 2)):
        assert states(run_dag(moved[name])) == {"deploy": "success"}
        assert len(emulator.jobs()["Load orders"].versions) == versions


@POLLS_EACH_TEN_SECONDS
def test_script_before_move_runs_job(emulator: Emulator) -> None:
    official.need_official_client()
    make_job()
    environment = {"SAAGIE_URL": emulator.url, "SAAGIE_PASSWORD": emulator.password}
    run_script([*official.PYTHON, HERE / "saagieapi_script.py"], environment)
    assert [instance.status for instance in emulator.jobs()["Load orders"].instances] == ["SUCCEEDED"]


def test_ci_deploys_without_running_airflow(emulator: Emulator, tmp_path: Path) -> None:
    make_job()
    connection = {"AIRFLOW_CONN_SAAGIE_DEFAULT": emulator.connection(), "COMMIT": "commit 2"}
    run_script([sys.executable, HERE / "deploy_jobs.py"], {"AIRFLOW_HOME": str(tmp_path), **connection})
    assert len(emulator.jobs()["Load orders"].versions) == 2


def run_script(command: list[str | Path], environment: dict[str, str]) -> None:
    subprocess.run(command, env={"PATH": os.environ["PATH"], **environment}, check=True, timeout=100)
