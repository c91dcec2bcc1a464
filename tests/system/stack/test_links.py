"""The button "Open in Saagie" in a real Airflow: before the end, at the end and after a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from tests.system.stack.saagie_side import SaagieSide, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.airflow_api import AirflowApi

pytestmark = [pytest.mark.slow, pytest.mark.long]

GOOD, BAD = "links", "links_of_failures"
BUTTON = "Open in Saagie"
MISSED = "XCom not found"


class Links:
    """The buttons and logs of a run."""

    def __init__(self, airflow: AirflowApi, dag_id: str, run_id: str) -> None:
        self.airflow, self.dag_id, self.run_id = airflow, dag_id, run_id

    def of(self, task_id: str, index: int = -1) -> str:
        return self.airflow.links(self.dag_id, self.run_id, task_id, index)[BUTTON] or ""

    def missed(self, task_id: str, index: int = -1) -> bool:
        """Say whether the log of the task's last try has the error line of an XCom that was looked for in vain."""
        last = self.airflow.task(self.dag_id, self.run_id, task_id, index)["try_number"]
        return MISSED in self.airflow.log_text(self.dag_id, self.run_id, task_id, last, index)


def test_each_mapped_task_has_its_button_also_without_xcoms_of_results(
    airflow: AirflowApi, saagie: SaagieSide, tmp_path: Path
) -> None:
    airflow.wait_for_dag(GOOD)
    run_id = airflow.trigger(GOOD, {"folder": str(tmp_path)})
    links = Links(airflow, GOOD, run_id)
    wait_until(lambda: all(links.of("run", n) and links.of("sense", n) for n in (0, 1)), 120, "those that wait have it")
    waiting = {task: [links.of(task, n) for n in (0, 1)] for task in ("run", "sense")}
    for url in waiting["run"]:
        saagie.end(url.rpartition("/")[2], "SUCCEEDED")

    assert airflow.wait_for_run(GOOD, run_id, seconds=180) == "success"

    project_id = saagie.client.get_project_id("Demo")
    project = f"{saagie.url}/projects/platform/1/project/{project_id}"
    jobs = [f"{project}/job/{saagie.client.jobs.get_id(name, 'Demo')}" for name in ("Links a", "Links b")]
    assert waiting["run"] == waiting["sense"]
    assert [url.partition("/instances/")[0] for url in waiting["run"]] == jobs
    for task in ("run", "sense"):
        assert [links.of(task, n) for n in (0, 1)] == waiting[task], task
    for task in ("deploy", "stop", "back", "purge", "export"):
        assert [links.of(task, n) for n in (0, 1)] == jobs, task
    copies = [links.of("copy", n) for n in (0, 1)]
    assert len({*copies, *jobs}) == 4
    assert all(url.startswith(f"{project}/job/") for url in copies)
    assert [links.of("delete", n) for n in (0, 1)] == [project, project]  # what it led to is gone
    for task in airflow.tasks(GOOD, run_id):
        assert not links.missed(task["task_id"], task["map_index"]), task["task_id"]


def test_a_failed_task_has_its_button_and_no_error_line_where_there_is_none(
    airflow: AirflowApi, saagie: SaagieSide, tmp_path: Path
) -> None:
    project_id = saagie.client.get_project_id("Demo")
    instance_id = ""
    for name, code in (("Links busy", "import time; time.sleep(300)"), ("Links fails", "raise SystemExit(1)")):
        file = tmp_path / f"{name}.py"
        file.write_text(code)
        made = saagie.client.jobs.create(
            name, project_id, file=str(file), runtime_version="3.11", command_line="python {file}"
        )
        if name == "Links busy":
            instance_id = saagie.client.jobs.run(made["data"]["createJob"]["id"])["runJob"]["id"]
    for operation in ("stopJobInstance", "deletableInstances"):
        fault = {"what": "error", "operation": operation, "times": 0}
        requests.post(f"{saagie.url}/emulator/faults", json=fault, timeout=10).raise_for_status()
    try:
        airflow.wait_for_dag(BAD)
        run_id = airflow.trigger(BAD)
        assert airflow.wait_for_run(BAD, run_id, seconds=180) == "failed"
    finally:
        requests.delete(f"{saagie.url}/emulator/faults", timeout=10)
        saagie.stop(instance_id)

    states = {task["task_id"]: task["state"] for task in airflow.tasks(BAD, run_id)}
    assert set(states.values()) == {"failed"}, states
    links = Links(airflow, BAD, run_id)
    project = f"{saagie.url}/projects/platform/1/project/{project_id}"
    busy, fails = (f"{project}/job/{saagie.client.jobs.get_id(name, 'Demo')}" for name in ("Links busy", "Links fails"))
    shown = {task: links.of(task) for task in states}
    assert shown.pop("run") == shown.pop("sense")
    assert links.of("run").startswith(f"{fails}/instances/")
    assert shown.pop("copy") == project
    assert shown.pop("lost") == ""
    assert shown == dict.fromkeys(shown, busy)
    for task in states:
        assert not links.missed(task), task
