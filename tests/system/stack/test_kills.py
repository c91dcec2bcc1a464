"""What happens to an instance when a user ends or clears its task: seen from Airflow and from Saagie."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest

from tests.system.stack.saagie_side import SaagieSide, processes_of, wait_until
from tests.system.stack.task_run import TaskRun

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

WAYS = ("deferred", "running")


def test_ending_or_clearing_task_stops_instance_once(begin: Callable[[str], TaskRun], saagie: SaagieSide) -> None:
    """Unless the task has stop_on_kill=False."""

    def is_stopped(instance_id: str) -> None:
        wait_until(lambda: saagie.status(instance_id) == "KILLED")
        wait_until(lambda: not processes_of(instance_id))

    left = {way: begin(f"left_{way}") for way in WAYS}
    ended = {(state, way): begin(f"plain_{way}") for way in WAYS for state in ("failed", "success")}
    cleared = begin("plain_running")
    instances = {run.run_id: run.settles() for run in (*left.values(), *ended.values(), cleared)}
    assert all(map(processes_of, instances.values()))
    left_worker = left["running"].task["pid"]
    for run in left.values():
        run.airflow.set_task_state(run.dag_id, run.run_id, "run", "failed")
    for (state, _), run in ended.items():
        run.airflow.set_task_state(run.dag_id, run.run_id, "run", state)
    cleared.airflow.clear(cleared.dag_id, cleared.run_id, "run")
    for run in (*ended.values(), cleared):
        is_stopped(instances[run.run_id])
    again = cleared.settles(2)
    cleared.airflow.set_task_state(cleared.dag_id, cleared.run_id, "run", "failed")
    is_stopped(again)
    wait_until(lambda: not psutil.pid_exists(left_worker))

    # By now, those that were marked first would have been stopped too, and each second request would have come.
    for way, run in left.items():
        instance_id = instances[run.run_id]
        assert (saagie.status(instance_id), saagie.stops(instance_id)) == ("RUNNING", []), way
        saagie.stop(instance_id)
        is_stopped(instance_id)
    for key, run in ended.items():
        assert run.link().startswith(f"{saagie.url}/projects/platform/1/project/"), key
        assert run.link().endswith(instances[run.run_id]), key
        assert len(saagie.stops(instances[run.run_id])) == 1, key
    assert [len(saagie.stops(one)) for one in (instances[cleared.run_id], again)] == [1, 1]
