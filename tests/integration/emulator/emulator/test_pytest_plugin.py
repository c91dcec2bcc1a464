"""The pytest plugin, in a pytest of its own, as a user's project would load it: by its entry point."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
MODULE = "airflow_provider_saagie.emulator.pytest_plugin"
TWO_TESTS = '''
import os
import signal
import sys

CREATE = """
mutation create($job: JobInput!, $version: JobVersionInput!) { createJob(job: $job, jobVersion: $version) { id } }
"""
seen = []


def sleeping_job(emulator):
    found = emulator.graphql("{ repositories { technologies { id label } } }", gateway=True)
    bash = next(one["id"] for one in found["repositories"][0]["technologies"] if one["label"] == "Bash")
    job = {"projectId": emulator.projects["Second"], "name": "sleeps", "category": "Processing",
           "technology": {"id": bash}, "isScheduled": False, "isStreaming": False}
    version = {"runtimeVersion": "debian12-bookworm", "commandLine": "echo started; sleep 60"}
    return emulator.graphql(CREATE, job=job, version=version)["createJob"]["id"]


def test_first(saagie_emulator):
    seen.append((saagie_emulator.process.pid, saagie_emulator.projects))
    job = sleeping_job(saagie_emulator)
    run = saagie_emulator.graphql("mutation run($id: UUID!) { runJob(jobId: $id) { id } }", id=job)
    assert saagie_emulator.jobs()["sleeps"].instances[0].id == run["runJob"]["id"]
    saagie_emulator.fault("outage", seconds=60)
    assert saagie_emulator.jobs()["sleeps"].instances
    assert saagie_emulator.requests() == []


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
'''
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
    with pytest.raises(ValueError, match="--platform 8"):
        saagie_emulator.on(8)
"""
SETTINGS = """
[pytest]
saagie_projects =
    First
    Second
saagie_connections =
    saagie_default
    other
"""


@dataclass
class Project:
    """A user's folder of tests."""

    folder: Path
    path: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run its tests with pytest."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-p", "no:asyncio", *arguments],
            cwd=self.folder,
            env={**kept, "PYTHONPATH": self.path},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A folder in which the entry point of our pyproject.toml is known, whatever is installed."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    lines = "\n".join(f"{name} = {value}" for name, value in declared.items())
    installed = tmp_path / "installed" / "saagie_plugin-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: saagie-plugin\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[pytest11]\n{lines}\n")
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder, os.pathsep.join([str(installed.parent), str(ROOT)]))


@pytest.mark.long  # a pytest of its own, which takes seconds
def test_each_test_finds_the_same_process_and_clean_projects(project: Project) -> None:
    (project.folder / "test_it.py").write_text(TWO_TESTS)
    (project.folder / "pytest.ini").write_text(SETTINGS)
    ended = project.run()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "4 passed" in ended.stdout
    pid = int(ended.stdout.split("PID ")[1].split()[0])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.long
def test_the_example_tests_pass_as_they_stand(project: Project) -> None:
    shutil.copytree(ROOT / "example_dags", project.folder, dirs_exist_ok=True)
    ended = project.run("tests")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "3 passed" in ended.stdout


@pytest.mark.long  # a pytest of its own, which takes seconds
def test_an_emulator_that_does_not_start_says_why(project: Project) -> None:
    (project.folder / "test_it.py").write_text("def test_it(saagie_emulator):\n    pass\n")
    (project.folder / "pytest.ini").write_text("[pytest]\nsaagie_emulator_options = --no-such-option\n")
    ended = project.run()
    assert ended.returncode == 1
    assert "The emulator did not start" in ended.stdout
    assert "--no-such-option" in ended.stdout


@pytest.mark.long  # a pytest of its own, which takes seconds
def test_where_the_extra_is_missing_it_is_named(project: Project) -> None:
    (project.folder / "test_it.py").write_text("def test_it(saagie_emulator):\n    pass\n")
    (project.folder / "ariadne.py").write_text("raise ModuleNotFoundError('No module named ariadne')\n")
    project.path = os.pathsep.join([str(project.folder), project.path])
    ended = project.run()
    assert ended.returncode == 1
    assert "pip install 'airflow-provider-saagie[emulator]'" in ended.stdout


@pytest.mark.long  # a pytest of its own, which takes seconds
def test_options_that_are_not_the_users_are_refused(project: Project) -> None:
    (project.folder / "test_it.py").write_text("def test_it(saagie_emulator):\n    pass\n")
    (project.folder / "pytest.ini").write_text("[pytest]\nsaagie_emulator_options = --simulate --realm=other\n")
    ended = project.run()
    assert ended.returncode == 1
    assert "--realm can't be set" in ended.stdout


@pytest.mark.long  # a pytest of its own, which takes seconds
def test_a_second_platform_has_clean_projects_of_its_own(project: Project) -> None:
    (project.folder / "test_it.py").write_text(TWO_PLATFORMS)
    options = "saagie_emulator_options = --simulate --platform 7 --platform=1"
    (project.folder / "pytest.ini").write_text(f"[pytest]\n{options}\n")
    ended = project.run()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 passed" in ended.stdout


@pytest.mark.long  # a pytest of its own, which takes seconds
def test_no_connection_at_all_is_a_clear_error(project: Project) -> None:
    (project.folder / "test_it.py").write_text("def test_it(saagie_connection):\n    pass\n")
    (project.folder / "pytest.ini").write_text("[pytest]\nsaagie_connections =\n")
    assert "saagie_connections names no connection" in project.run().stdout


@pytest.mark.long  # a pytest of its own, which takes seconds
def test_the_emulator_ends_with_a_session_that_is_killed(project: Project) -> None:
    killed = "import os, signal\n\n\ndef test_it(saagie_emulator):\n"
    killed += "    open('pid', 'w').write(str(saagie_emulator.process.pid))\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    (project.folder / "test_it.py").write_text(killed)
    assert project.run().returncode == -signal.SIGKILL
    pid, deadline = int((project.folder / "pid").read_text()), time.monotonic() + 15
    while Path(f"/proc/{pid}").exists() and "zombie" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.05)


def test_unused_it_loads_nothing_but_itself() -> None:
    code = f"import sys, pytest; before = set(sys.modules); import {MODULE}; print(*set(sys.modules) - before)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert set(ended.stdout.split()) == {"airflow_provider_saagie", "airflow_provider_saagie.emulator", MODULE}


def test_the_docs_show_the_example_as_it_stands() -> None:
    page = (ROOT / "docs" / "emulator.md").read_text()
    shown = next(block for block in page.split("```") if "saagie_connection" in block and "def test_" in block)
    assert shown.removeprefix("python\n").strip() in (ROOT / "example_dags/tests/test_example_dags.py").read_text()


def test_the_docs_name_all_that_a_test_may_ask_and_set() -> None:
    from airflow_provider_saagie.emulator import pytest_plugin
    from airflow_provider_saagie.emulator.testing import Emulator

    page = (ROOT / "docs" / "emulator.md").read_text()
    asked = {name for name in vars(Emulator) if not name.startswith("_")} - {"begin", "stop"}  # the plugin's own
    assert {name for name in asked if f"{name}(" not in page and f"`{name}`" not in page} == set()
    assert {name for name in pytest_plugin.SETTINGS if f"| `{name}` |" not in page} == set()
