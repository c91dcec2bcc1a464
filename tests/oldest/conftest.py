"""A real Airflow, of the environment's version, for the suite of `make test-oldest`."""

from __future__ import annotations

import shutil
import time
import uuid
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client import instances
from scripts import stack as stacks
from scripts.processes import ROOT
from tests.airflow.saagie_side import SaagieSide, connect, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scripts.airflow_api import AirflowApi
    from scripts.stack import Stack

# `make test` passes by; `make test-oldest` names the files, and those that are named are collected all the same.
collect_ignore_glob = ["test_*.py"]
AIRFLOW = tuple(int(part) for part in version("apache-airflow").split(".")[:3])
DAGS = (ROOT / "example_dags", ROOT / "tests" / "oldest" / "dags")
EVENT_DAG = ROOT / "tests" / "airflow" / "dags" / "event_dags.py"
PATIENCE = 90.0  # seconds
# Seconds in which a scheduler hears of a deferral; where the trigger fires earlier, Airflow may fail the task.
HEARD = 6.0


@dataclass(frozen=True)
class Run:
    """A DAG run of one task with a job of its own."""

    airflow: AirflowApi
    saagie: SaagieSide
    dag_id: str
    run_id: str
    job_id: str
    task_id: str = "run"

    @property
    def task(self) -> dict[str, Any]:
        return self.airflow.task(self.dag_id, self.run_id, self.task_id)

    def ends(self) -> str:
        """Wait for the end of the run, and give the task's state."""
        self.airflow.wait_for_run(self.dag_id, self.run_id, seconds=PATIENCE)
        return str(self.task["state"])

    def log(self, try_number: int = 1) -> str:
        return self.airflow.log_text(self.dag_id, self.run_id, self.task_id, try_number)

    def xcom(self, key: str = "return_value") -> Any:
        return self.airflow.xcom(self.dag_id, self.run_id, self.task_id, key)

    def link(self) -> str | None:
        return self.airflow.links(self.dag_id, self.run_id, self.task_id)["Open in Saagie"]

    def instances(self) -> list[instances.JobInstance]:
        """Give the job's instances, the oldest first."""
        return self.saagie.client.session.run(instances.list_instances(self.job_id, limit=20))[::-1]

    def waits(self, number: int = 1) -> str:
        """Wait until the task waits for the instance of that number, which runs, and give its id."""
        state = self.dag_id.rpartition("_")[2]

        def there() -> str | None:
            found = [one for one in self.instances() if one.number == number and one.status == "RUNNING"]
            url = self.xcom("instance_url")
            is_shown = found and url and url.endswith(found[0].id)
            return found[0].id if is_shown and self.task["state"] == state else None

        instance_id: str = wait_until(there, PATIENCE, f"the task waits for the instance {number}")
        wait_until(lambda: "[job] started" in self.log(number), PATIENCE, "the job's line is in the task's log")
        if state == "deferred":
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

    def make(code: str) -> str:
        file = tmp_path / f"{uuid.uuid4()}.py"
        file.write_text(code)
        made = saagie.client.jobs.create(
            f"Oldest {uuid.uuid4()}", saagie.client.get_project_id("Demo"), file=str(file), runtime_version="3.11",
            command_line="python {file}",
        )  # fmt: skip
        return str(made["data"]["createJob"]["id"])

    return make


@pytest.fixture
def begin(airflow: AirflowApi, saagie: SaagieSide, make_job: Callable[[str], str]) -> Iterator[Callable[..., Run]]:
    """A function that makes a job of some Python and starts a run of a DAG for it."""
    begun: list[Run] = []

    def start(dag_id: str, code: str, task_id: str = "run") -> Run:
        airflow.wait_for_dag(dag_id)
        job_id = make_job(code)
        begun.append(Run(airflow, saagie, dag_id, airflow.trigger(dag_id, {"job_id": job_id}), job_id, task_id))
        return begun[-1]

    yield start
    for run in begun:
        if airflow.run_state(run.dag_id, run.run_id) not in ("success", "failed"):
            airflow.set_run_state(run.dag_id, run.run_id, "failed")
        for instance in run.instances():
            if instance.end_time is None:
                saagie.stop(instance.id)
