"""A real Airflow, of the environment's version, for the suite of `make test-oldest`."""

from __future__ import annotations

import shutil
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from scripts import stack as stacks
from scripts.processes import ROOT
from tests.system.stack.saagie_side import SaagieSide, connect
from tests.system.stack.task_run import PATIENCE, TaskRun, begun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scripts.airflow_api import AirflowApi
    from scripts.stack import Stack

# `make test` passes by; `make test-oldest` names the files, and those that are named are collected all the same.
collect_ignore_glob = ["test_*.py"]
AIRFLOW = tuple(int(part) for part in version("apache-airflow").split(".")[:3])
DAGS = (ROOT / "example_dags", ROOT / "tests" / "oldest" / "dags")
EVENT_DAG = ROOT / "tests" / "system" / "stack" / "dags" / "event_dags.py"
# Seconds in which a scheduler hears of a deferral; where the trigger fires earlier, Airflow may fail the task.
HEARD = 6.0


class Run(TaskRun):
    """A DAG run of one task."""

    def ends(self) -> str:
        """Wait for the end of the run, and give the task's state."""
        self.airflow.wait_for_run(self.dag_id, self.run_id, seconds=PATIENCE)
        return str(self.task["state"])

    def link(self) -> str | None:
        return self.airflow.links(self.dag_id, self.run_id, self.task_id)["Open in Saagie"]

    def waits_for(self, number: int = 1) -> str:
        """Wait as before, and until the job has said something, and Airflow has heard of a deferral."""
        instance_id = super().waits_for(number)
        self.speaks()
        if self.dag_id.endswith("_deferred"):
            time.sleep(HEARD)
        return instance_id


@pytest.fixture(scope="session")
def old_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of this suite's own."""
    folder: Path = tmp_path_factory.mktemp("oldest")
    for source in DAGS:
        ignored = shutil.ignore_patterns("__pycache__", "tests")
        shutil.copytree(source, folder / "dags", ignore=ignored, dirs_exist_ok=True)
    shutil.copy(EVENT_DAG, folder / "dags")
    with stacks.temporary(folder / "run", folder / "dags", parallelism=4) as running:
        yield running


@pytest.fixture(scope="session")
def airflow(old_stack: Stack) -> AirflowApi:
    return old_stack.airflow


@pytest.fixture(scope="session")
def saagie(old_stack: Stack) -> Iterator[SaagieSide]:
    side = connect(old_stack)
    yield side
    side.client.close()


@pytest.fixture
def make_job(saagie: SaagieSide, tmp_path: Path) -> Callable[[str], str]:
    """A function that makes a job of some Python, and gives its id."""
    return lambda code: saagie.make_job(code, tmp_path)


@pytest.fixture
def begin(airflow: AirflowApi, saagie: SaagieSide, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """A function that makes a job of some Python and starts a run of a DAG for it."""
    with begun(Run, airflow, saagie, tmp_path) as start:
        yield start
