"""A run of one Saagie task with a job of its own: begun, looked at from both sides, and not left running."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_saagie.client import instances
from tests.system.stack.saagie_side import SaagieSide, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scripts.airflow_api import AirflowApi

SLEEPS = "import time\nprint('started', flush=True)\ntime.sleep(300)\n"
PATIENCE = 90.0  # seconds: a lost answer alone takes some twenty


@dataclass(frozen=True)
class TaskRun:
    """The run. Its DAG's name ends with how its task waits: `_deferred` or `_running`."""

    airflow: AirflowApi
    saagie: SaagieSide
    dag_id: str
    run_id: str
    job_id: str
    task_id: str = "run"

    @property
    def task(self) -> dict[str, Any]:
        return self.airflow.task(self.dag_id, self.run_id, self.task_id)

    def log(self, try_number: int | None = None) -> str:
        """Give the log of a try; of the last one, where none is named."""
        return self.airflow.log_text(self.dag_id, self.run_id, self.task_id, try_number or self.task["try_number"])

    def xcom(self, key: str = "return_value") -> Any:
        return self.airflow.xcom(self.dag_id, self.run_id, self.task_id, key)

    def instances(self) -> list[instances.JobInstance]:
        """Give the job's instances, the oldest first."""
        return self.saagie.client.session.run(instances.list_instances(self.job_id, limit=20))[::-1]

    def on_their_way(self) -> list[str]:
        return [one.id for one in self.instances() if one.end_time is None]

    def waits_for(self, number: int) -> str:
        """Wait until the task waits for the instance of that number, and give its id."""
        state = self.dag_id.rpartition("_")[2]

        def there() -> str | None:
            found = [one for one in self.instances() if one.number == number and one.status == "RUNNING"]
            url = self.xcom("instance_url")
            is_shown = found and url and url.endswith(found[0].id)
            return found[0].id if is_shown and self.task["state"] == state else None

        instance_id: str = wait_until(there, PATIENCE, f"the task waits for the instance {number}")
        return instance_id

    def speaks(self) -> None:
        """Wait until the job's first line is in the task's log."""
        wait_until(lambda: "[job] started" in self.log(), PATIENCE, "the job's line is in the task's log")


Run = TypeVar("Run", bound=TaskRun)


@contextmanager
def begun(kind: type[Run], airflow: AirflowApi, saagie: SaagieSide, folder: Path) -> Iterator[Callable[..., Run]]:
    """Give a function that makes a job of some Python and starts a run of a DAG for it; stop them all in the end.

    :param kind: what the runs are.
    :param folder: for the jobs' files.
    """
    all_of_them: list[Run] = []

    def begin(dag_id: str, code: str = SLEEPS, task_id: str = "run") -> Run:
        airflow.wait_for_dag(dag_id)
        job_id = saagie.make_job(code, folder)
        all_of_them.append(kind(airflow, saagie, dag_id, airflow.trigger(dag_id, {"job_id": job_id}), job_id, task_id))
        return all_of_them[-1]

    yield begin
    for run in all_of_them:
        if airflow.run_state(run.dag_id, run.run_id) not in ("success", "failed"):
            airflow.set_run_state(run.dag_id, run.run_id, "failed")
        for instance_id in run.on_their_way():
            saagie.stop(instance_id)
