"""Run DAGs against the emulator, in this process; see `tests/support/dag_runs.py`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_saagie.client import deployment, projects
from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.emulator.testing import Emulator
from tests.support import dag_runs
from tests.unit.client.conftest import settings_for


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Airflow's metadata database, ready for use."""
    dag_runs.prepare_database()


@pytest.fixture
def set_connection(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that changes the connection `saagie_default` to the emulator, for example `timeout=3`."""

    def set_it(**extra: Any) -> None:
        connection = json.loads(emulator.connection())
        connection["extra"] |= extra
        monkeypatch.setenv("AIRFLOW_CONN_SAAGIE_DEFAULT", json.dumps(connection))

    set_it()
    return set_it


@pytest.fixture
def new_dag(tmp_path: Path) -> Callable[[], DAG]:
    """A function that returns an empty DAG, whose file is in `tmp_path`."""
    return lambda: dag_runs.new_dag(tmp_path)


@pytest.fixture
def run_dag(airflow_db: None, set_connection: object) -> dag_runs.RunDag:
    """A function that runs a DAG against the emulator and returns the results of its tasks."""
    return dag_runs.run_dag


@pytest.fixture
def run_tasks(airflow_db: None, set_connection: object, new_dag: Callable[[], DAG]) -> dag_runs.RunTasks:
    """A function that runs operators against the emulator, in one DAG run, and returns their results."""
    return lambda *tasks: dag_runs.run_tasks(new_dag(), *tasks)


@pytest.fixture
def client(emulator: Emulator) -> Iterator[SaagieClient]:
    """A client of the emulator."""
    with SaagieClient(settings_for(emulator)) as client:
        yield client


@pytest.fixture
def make_job(client: SaagieClient, tmp_path: Path) -> Callable[..., str]:
    """A function that creates a job of some Python code and returns its id."""

    def make(code: str, **more: Any) -> str:
        file = tmp_path / f"{uuid.uuid4()}.py"
        file.write_text(code)
        given = {"job_name": f"job {file.stem}", "runtime_version": "3.11", "command_line": "python {file}"}
        project_id = client.session.run(projects.get_project_id("Demo"))
        steps = deployment.create(project_id, JobChange(**{**given, "file": str(file), **more}))
        return client.session.run(steps)["data"]["createJob"]["id"]

    return make
