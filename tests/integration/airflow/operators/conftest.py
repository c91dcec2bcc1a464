"""Runs DAGs for real, in this process, with Airflow's own `dag.test()`."""

from __future__ import annotations

import json
import os
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client import deployment, projects
from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.client.saagie import SaagieClient
from tests.unit.client.conftest import settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import DAG

    from airflow_provider_saagie.emulator.testing import Emulator


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """A metadata database, made once."""
    with _airflows_own_warnings():
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.utils.db import initdb

        initdb()
        DagBundlesManager().sync_bundles_to_db()


@contextmanager
def _airflows_own_warnings() -> Iterator[None]:
    """Let Airflow's own code warn about itself; ours may not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass
class TaskResult:
    """How a task ended.

    :param state: its state.
    :param xcoms: what it pushed, by key.
    """

    state: str
    xcoms: dict[str, Any]


@pytest.fixture
def run_dag(airflow_db: None, emulator: Emulator) -> Callable[[DAG], dict[str, TaskResult]]:
    """A function that runs a DAG against the emulator, and tells how its tasks ended."""

    os.environ["AIRFLOW_CONN_SAAGIE_DEFAULT"] = connection(emulator)
    return run_quietly


def run_quietly(dag: DAG) -> dict[str, TaskResult]:
    """Run a DAG against the Saagie that the environment names, and tell how its tasks ended."""
    with _airflows_own_warnings():
        return _run(dag)


def connection(emulator: Emulator, **changes: Any) -> str:
    given: dict[str, Any] = {
        "conn_type": "saagie",
        "host": emulator.url,
        "login": emulator.login,
        "password": emulator.password,
        "extra": {"realm": emulator.realm, "platform_id": emulator.platform},
    }
    return json.dumps({**given, **changes})


def _run(dag: DAG) -> dict[str, TaskResult]:
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    bag = DagBag(os.devnull, bundle_name="dags-folder")
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)
    run = dag.test()
    with create_session() as session:
        query = session.query(XComModel).filter(XComModel.dag_id == dag.dag_id, XComModel.run_id == run.run_id)
        pushed: dict[str, dict[str, Any]] = {}
        for row in query:
            pushed.setdefault(row.task_id, {})[row.key] = XComModel.deserialize_value(row)
    return {ti.task_id: TaskResult(str(ti.state), pushed.get(ti.task_id, {})) for ti in run.get_task_instances()}


@pytest.fixture
def client(emulator: Emulator) -> Iterator[SaagieClient]:
    """A client of the emulator."""
    with SaagieClient(settings_for(emulator)) as client:
        yield client


@pytest.fixture
def make_job(client: SaagieClient, tmp_path: Path) -> Callable[..., str]:
    """A function that makes a job of some Python, and gives its id."""

    def make(code: str, **more: Any) -> str:
        file = tmp_path / f"{uuid.uuid4()}.py"
        file.write_text(code)
        given = {"job_name": f"job {uuid.uuid4()}", "runtime_version": "3.11", "command_line": "python {file}"}
        project_id = client.session.run(projects.get_project_id("Demo"))
        steps = deployment.create(project_id, JobChange(**{**given, "file": str(file), **more}))
        return client.session.run(steps)["data"]["createJob"]["id"]

    return make


@pytest.fixture
def new_dag(tmp_path: Path) -> Callable[[], DAG]:
    """A function that gives an empty DAG, as if it stood in a file of the test's folder."""

    def new() -> DAG:
        from airflow.sdk import DAG

        dag = DAG(f"dag_{uuid.uuid4().hex}", schedule=None)
        dag.fileloc = str(tmp_path / "dag.py")
        dag.relative_fileloc = "dag.py"
        return dag

    return new
