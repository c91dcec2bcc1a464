"""What happens to an instance when a user ends or clears its task: seen from Airflow and from Saagie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.system.stack.saagie_side import LIMIT, SaagieSide, processes_of, wait_until

if TYPE_CHECKING:
    from scripts.airflow_api import AirflowApi

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

DAG = "kills"
LEFT = ("deferred_then_left", "running_then_left")  # with stop_on_kill=False
ENDED = ("deferred_then_failed", "deferred_then_success", "running_then_failed", "running_then_success")
CLEARED = "running_then_cleared"


@dataclass
class Kills:
    """A DAG run whose tasks wait for a job that lasts an hour."""

    airflow: AirflowApi
    saagie: SaagieSide
    run_id: str

    def waits(self, task_id: str, after: str | None = None) -> str:
        """Wait until a task waits for an instance other than `after`, with its line in the log; return the id."""
        self.airflow.wait_for_state(DAG, self.run_id, task_id, task_id.partition("_")[0], seconds=LIMIT)

        def new_instance() -> str | None:
            url = self.airflow.xcom(DAG, self.run_id, task_id, "instance_url")
            found = url.rpartition("/")[2] if url else None
            return found if found != after else None

        instance_id: str = wait_until(new_instance)
        wait_until(lambda: self.saagie.status(instance_id) == "RUNNING" and processes_of(instance_id))
        # A fresh triggerer's first call to Airflow takes seconds, in which it can't handle a kill; this line is later.
        wait_until(lambda: "[job] Going to sleep" in self.log(task_id))
        self.check_link(task_id, instance_id)
        return instance_id

    def log(self, task_id: str) -> str:
        task = self.airflow.task(DAG, self.run_id, task_id)
        return self.airflow.log_text(DAG, self.run_id, task_id, task["try_number"])

    def check_link(self, task_id: str, instance_id: str) -> None:
        link = self.airflow.links(DAG, self.run_id, task_id)["Open in Saagie"] or ""
        assert link.startswith(f"{self.saagie.url}/projects/platform/1/project/"), task_id
        assert link.endswith(instance_id), task_id

    def mark(self, task_id: str, state: str) -> None:
        self.airflow.set_task_state(DAG, self.run_id, task_id, state)

    def is_stopped(self, instance_id: str) -> None:
        wait_until(lambda: self.saagie.status(instance_id) == "KILLED")
        wait_until(lambda: not processes_of(instance_id))


def test_ending_or_clearing_task_stops_instance_once(airflow: AirflowApi, saagie: SaagieSide) -> None:
    airflow.wait_for_dag(DAG)
    kills = Kills(airflow, saagie, airflow.trigger(DAG))
    instances = {task_id: kills.waits(task_id) for task_id in (*LEFT, *ENDED, CLEARED)}
    left_worker = airflow.task(DAG, kills.run_id, "running_then_left")["pid"]
    for task_id in LEFT:
        kills.mark(task_id, "failed")
    for task_id in ENDED:
        kills.mark(task_id, task_id.rpartition("_")[2])
    airflow.clear(DAG, kills.run_id, CLEARED)
    for task_id in (*ENDED, CLEARED):
        kills.is_stopped(instances[task_id])
    again = kills.waits(CLEARED, after=instances[CLEARED])
    kills.mark(CLEARED, "failed")
    kills.is_stopped(again)
    wait_until(lambda: not psutil.pid_exists(left_worker))

    # By now, those that were marked first would have been stopped too, and each second request would have come.
    for task_id in LEFT:
        assert saagie.status(instances[task_id]) == "RUNNING", task_id
        assert saagie.stops(instances[task_id]) == [], task_id
        saagie.stop(instances[task_id])
        kills.is_stopped(instances[task_id])
    for task_id in ENDED:
        kills.check_link(task_id, instances[task_id])
        assert len(saagie.stops(instances[task_id])) == 1, task_id
    assert [len(saagie.stops(one)) for one in (instances[CLEARED], again)] == [1, 1]
    airflow.set_run_state(DAG, kills.run_id, "failed")
