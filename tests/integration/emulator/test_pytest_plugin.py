"""Test the pytest plugin in a pytest of its own, as a user's project loads it: by its entry point."""

import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_saagie.emulator import pytest_plugin, testing
from tests.support.emulator_client import wait_until_gone
from tests.support.pages import DOCS, ROOT, blocks

Run = Callable[..., subprocess.CompletedProcess[str]]
MODULE = "airflow_provider_saagie.emulator.pytest_plugin"
PAGE = DOCS / "emulator.md"
TWO_TESTS = """
import os
import sys

from tests.support.emulator_client import client_of_process

seen = []


def test_first(saagie_emulator):
    seen.append((saagie_emulator.process.pid, saagie_emulator.projects))
    with client_of_process(saagie_emulator) as client:
        run = client.start("sleep 300", name="sleeps", projectId=saagie_emulator.projects["Second"])
    assert saagie_emulator.jobs()["sleeps"].instances[0].id == run
    saagie_emulator.fault("outage", seconds=1000)
    assert saagie_emulator.jobs()["sleeps"].instances


def test_second(saagie_emulator):
    pid, before = seen[0]
    assert saagie_emulator.process.pid == pid
    assert list(saagie_emulator.projects) == ["First", "Second"]
    assert not set(saagie_emulator.projects.values()) & set(before.values())
    assert saagie_emulator.jobs() == {}
    assert saagie_emulator.requests() == saagie_emulator.faults() == []
    assert "airflow" not in sys.modules
    print("PID", pid)


def test_connections(saagie_connection, saagie_emulator):
    assert saagie_connection == "saagie_default"
    assert os.environ["AIRFLOW_CONN_SAAGIE_DEFAULT"] == os.environ["AIRFLOW_CONN_OTHER"]
    assert saagie_emulator.url in os.environ["AIRFLOW_CONN_OTHER"]
    assert saagie_emulator.password not in repr(saagie_emulator)


def test_the_connections_were_for_that_test():
    assert not [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]
"""
TWO_PLATFORMS = """
import json

import pytest

NAMES = "{ projects { name } }"


@pytest.mark.parametrize("time", ["first", "second"])
def test_it(saagie_emulator, time):
    other = saagie_emulator.on(7)
    assert saagie_emulator.on(1) is saagie_emulator
    assert (other.platform, other.url) == (7, saagie_emulator.url)
    assert json.loads(other.connection())["extra"]["platform_id"] == 7
    assert other.projects["Demo"] != saagie_emulator.projects["Demo"]
    for one in (saagie_emulator, other):
        assert one.graphql(NAMES)["projects"] == [{"name": "Demo"}]
    make = "mutation make($project: ProjectInput!) { createProject(project: $project) { id } }"
    other.graphql(make, project={"name": "Left behind"})
    assert other.requests() == []
    with pytest.raises(ValueError, match="--platform 8"):
        saagie_emulator.on(8)


def test_without_a_connection(saagie_connection):
    pass
"""
KILLED = """
import os, signal


def test_it(saagie_emulator):
    open("pid", "w").write(str(saagie_emulator.process.pid))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def run_pytest(tmp_path: Path) -> Run:
    """A function that runs a user's tests, for whom the entry point of our pyproject.toml is known."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    lines = "\n".join(f"{name} = {value}" for name, value in declared.items())
    installed = tmp_path / "installed" / "saagie_plugin-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: saagie-plugin\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[pytest11]\n{lines}\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
    environment["PYTHONPATH"] = os.pathsep.join([str(installed.parent), str(ROOT)])

    def run(*arguments: str, test: str = "", settings: str = "") -> subprocess.CompletedProcess[str]:
        if test:
            (tmp_path / "test_it.py").write_text(test)
            (tmp_path / "pytest.ini").write_text(f"[pytest]\n{settings}\n")
        without = [f"-pno:{plugin}" for plugin in ("cacheprovider", "asyncio", "looptime_plugin")]
        command = [sys.executable, "-m", "pytest", "-q", "-rA", *without, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.mark.long  # a pytest of its own, which takes seconds
def test_tests_share_a_process_with_clean_projects(run_pytest: Run) -> None:
    settings = "saagie_projects =\n  First\n  Second\nsaagie_connections =\n  saagie_default\n  other"
    ended = run_pytest(test=TWO_TESTS, settings=settings)
    assert "4 passed" in ended.stdout, ended.stdout + ended.stderr
    wait_until_gone(int(ended.stdout.split("PID ")[1].split()[0]))


@pytest.mark.long
def test_platforms_have_clean_projects_of_their_own(run_pytest: Run) -> None:
    settings = "saagie_emulator_options = --simulate --platform 7 --platform=1\nsaagie_connections ="
    ended = run_pytest(test=TWO_PLATFORMS, settings=settings)
    assert "2 passed, 1 error" in ended.stdout, ended.stdout + ended.stderr
    assert "saagie_connections names no connection" in ended.stdout


@pytest.mark.long
def test_example_tests_pass(run_pytest: Run, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "example_dags", tmp_path, dirs_exist_ok=True)
    ended = run_pytest("tests")
    assert "3 passed" in ended.stdout, ended.stdout + ended.stderr


@pytest.mark.long
def test_emulator_ends_with_a_killed_session(run_pytest: Run, tmp_path: Path) -> None:
    assert run_pytest(test=KILLED).returncode == -signal.SIGKILL
    wait_until_gone(int((tmp_path / "pid").read_text()))


def test_failing_start_raises_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="--realm can't be set"):
        testing.start(tmp_path, ["--simulate", "--realm=other"])
    with pytest.raises(RuntimeError, match=r"(?s)did not start.*--no-such-option"):
        testing.start(tmp_path, ["--no-such-option"])
    (tmp_path / "ariadne.py").write_text("raise ModuleNotFoundError('No module named ariadne')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"pip install 'airflow-provider-saagie\[emulator\]'"):
        testing.start(tmp_path)


def test_unused_plugin_loads_only_itself() -> None:
    code = f"import sys, pytest; before = set(sys.modules); import {MODULE}; print(*set(sys.modules) - before)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert set(loaded.split()) == {"airflow_provider_saagie", "airflow_provider_saagie.emulator", MODULE}


def test_docs_have_the_example_and_all_methods_and_settings() -> None:
    page = PAGE.read_text()
    shown = next(block for block in blocks(PAGE, "python") if "saagie_connection" in block and "def test_" in block)
    assert shown.strip() in (ROOT / "example_dags/tests/test_example_dags.py").read_text()
    methods = {name for name in vars(testing.Emulator) if not name.startswith("_")} - {"begin", "stop"}
    assert {name for name in methods if f"{name}(" not in page and f"`{name}`" not in page} == set()
    assert {name for name in pytest_plugin.SETTINGS if f"| `{name}` |" not in page} == set()
