"""DAG runs with one Saagie task and a job each, observed from Airflow and from Saagie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from airflow_provider_saagie.client import instances
from scripts.airflow_api import AirflowApi
from scripts.stack import Stack
from tests.system.stack.saagie_side import LIMIT, SaagieSide, wait_until

SLEEPS = "import time\nprint('started', flush=True)\ntime.sleep(3600)\n"


@dataclass(frozen=True, repr=False)
class TaskRun:
    """The run. Its DAG's id ends with how its task waits: `_deferred` or `_running`."""

    stack: Stack
    saagie: SaagieSide
    dag_id: str
    run_id: str
    job_id: str
    task_id: str = "run"

    def __repr__(self) -> str:
        return f"{self.dag_id} {self.run_id}"

    @property
    def airflow(self) -> AirflowApi:
        return self.stack.airflow

    @property
    def task(self) -> dict[str, Any]:
        return self.airflow.task(self.dag_id, self.run_id, self.task_id)

    def log(self, try_number: int | None = None) -> str:
        """Return the log of a try, by default of the last."""
        return self.airflow.log_text(self.dag_id, self.run_id, self.task_id, try_number or self.task["try_number"])

    def errors(self, try_number: int = 1) -> str:
        """Return the exceptions of a try, as its log shows them."""
        lines = self.airflow.log(self.dag_id, self.run_id, self.task_id, try_number)
        return "\n".join(str(line.get("error_detail")) for line in lines if isinstance(line, dict))

    def xcom(self, key: str = "return_value") -> Any:
        return self.airflow.xcom(self.dag_id, self.run_id, self.task_id, key)

    def link(self) -> str:
        return str(self.airflow.links(self.dag_id, self.run_id, self.task_id)["Open in Saagie"])

    def instances(self) -> list[instances.JobInstance]:
        """Return the job's instances, the oldest first."""
        return self.saagie.client.session.run(instances.list_instances(self.job_id, limit=20))[::-1]

    def unfinished(self) -> list[str]:
        return [instance.id for instance in self.instances() if instance.end_time is None]

    def waits_for(self, number: int = 1) -> str:
        """Wait until the task waits for the instance of that number, and return the instance's id."""
        state = self.dag_id.rpartition("_")[2]

        def instance_id() -> str | None:
            found = [one.id for one in self.instances() if one.number == number and one.status == "RUNNING"]
            is_shown = found and (self.xcom("instance_url") or "").endswith(found[0])
            return found[0] if is_shown and self.task["state"] == state else None

        found: str = wait_until(instance_id)
        return found

    def settles(self, number: int = 1) -> str:
        """Wait as `waits_for`, and until whatever happens next is handled as usual.

        A fresh triggerer's first call to Airflow takes seconds, in which it can't handle a kill; the job's line in the
        log comes later. If a task resumes before the scheduler knows of its deferral, Airflow takes it for lost.
        """
        instance_id = self.waits_for(number)
        wait_until(lambda: "[job] started" in self.log())
        if self.dag_id.endswith("_deferred"):
            wait_until(
                lambda: scheduler_knows_of_deferral(self.stack, self.run_id, self.task_id, self.task["try_number"])
            )
        return instance_id

    def kill_worker(self) -> None:
        """Kill the task's process, as the kernel does when memory is short."""
        wait_until(lambda: self.task["pid"])
        psutil.Process(self.task["pid"]).kill()

    def is_followed_by_retry(self, first: str) -> None:
        """Wait until the second try is attached to the instance of the first."""
        wait_until(lambda: self.task["try_number"] == 2 and "it is waited for" in self.log())
        assert self.saagie.status(first) == "RUNNING"

    def ends(self) -> dict[str, Any]:
        """Wait for the task's end and return the task."""
        return self.airflow.wait_for_state(
            self.dag_id, self.run_id, self.task_id, "success", "failed", "skipped", seconds=LIMIT
        )

    def succeeds(self, instance_id: str) -> None:
        """Let the instance succeed, and check that the run does so with it."""
        self.saagie.end(instance_id, "SUCCEEDED")
        assert self.airflow.wait_for_run(self.dag_id, self.run_id, seconds=LIMIT) == "success", self
        assert self.xcom() == instance_id, self


def scheduler_knows_of_deferral(
    stack: Stack, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
) -> bool:
    """Return whether the scheduler has logged the end of the task's first half."""
    log = stack.wishes.folder / "logs" / "airflow-scheduler.log"
    key = (f"task_id='{task_id}'", f"run_id='{run_id}'", f"try_number={try_number},", f"map_index={map_index})")
    lines = log.read_text(errors="replace").splitlines()
    return any("Received executor event" in line and all(part in line for part in key) for line in lines)


def parse_again(airflow: AirflowApi, dag_id: str) -> None:
    """Have Airflow parse a DAG's file again, which has been edited."""
    airflow.wait_for_dag(dag_id)
    token = airflow.call("GET", f"dags/{dag_id}/details")["file_token"]
    airflow.call("PUT", f"parseDagFile/{quote(token, safe='')}")


@contextmanager
def task_runs(stack: Stack, saagie: SaagieSide, folder: Path) -> Iterator[Callable[..., TaskRun]]:
    """Give a function that creates a job of some Python and starts a run of a DAG with it; end all runs afterwards.

    :param folder: for the jobs' files.
    """
    begun: list[TaskRun] = []

    def begin(dag_id: str, code: str = SLEEPS, task_id: str = "run") -> TaskRun:
        stack.airflow.wait_for_dag(dag_id)
        job_id = saagie.make_job(code, folder)
        run_id = stack.airflow.trigger(dag_id, {"job_id": job_id})
        begun.append(TaskRun(stack, saagie, dag_id, run_id, job_id, task_id))
        return begun[-1]

    yield begin
    for run in begun:
        if run.airflow.run_state(run.dag_id, run.run_id) not in ("success", "failed"):
            run.airflow.set_run_state(run.dag_id, run.run_id, "failed")
        for instance_id in run.unfinished():
            saagie.stop(instance_id)
