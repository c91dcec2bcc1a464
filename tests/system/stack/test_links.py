"""The link "Open in Saagie" in a real Airflow: before the end, at the end and after a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.airflow_api import AirflowApi
from tests.system.stack.saagie_side import LIMIT, SaagieSide, wait_until
from tests.system.stack.task_run import SLEEPS

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

GOOD, BAD = "links", "links_of_failures"
LINK = "Open in Saagie"
MISSED = "XCom not found"


class Links:
    """The links and logs of a run."""

    def __init__(self, airflow: AirflowApi, dag_id: str, run_id: str) -> None:
        self.airflow, self.dag_id, self.run_id = airflow, dag_id, run_id

    def of(self, task_id: str, index: int = -1) -> str:
        return self.airflow.links(self.dag_id, self.run_id, task_id, index)[LINK] or ""

    def missed(self, task_id: str, index: int = -1) -> bool:
        """Return whether the log of the last try has the error line of a missing XCom."""
        last = self.airflow.task(self.dag_id, self.run_id, task_id, index)["try_number"]
        return MISSED in self.airflow.log_text(self.dag_id, self.run_id, task_id, last, index)


def test_mapped_tasks_have_links_without_xcoms_of_results(
    airflow: AirflowApi, saagie: SaagieSide, tmp_path: Path
) -> None:
    airflow.wait_for_dag(GOOD)
    run_id = airflow.trigger(GOOD, {"folder": str(tmp_path)})
    links = Links(airflow, GOOD, run_id)
    wait_until(lambda: all(links.of("run", n) and links.of("sense", n) for n in (0, 1)))
    waiting = {task: [links.of(task, n) for n in (0, 1)] for task in ("run", "sense")}
    for url in waiting["run"]:
        saagie.end(url.rpartition("/")[2], "SUCCEEDED")

    assert airflow.wait_for_run(GOOD, run_id, seconds=LIMIT) == "success"

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
    assert [links.of("delete", n) for n in (0, 1)] == [project, project]  # the job is deleted
    for task in airflow.tasks(GOOD, run_id):
        assert not links.missed(task["task_id"], task["map_index"]), task["task_id"]


def test_failed_tasks_have_links_and_no_error_lines(airflow: AirflowApi, saagie: SaagieSide, tmp_path: Path) -> None:
    project_id = saagie.client.get_project_id("Demo")
    saagie.make_job("raise SystemExit(1)", tmp_path, "Links fails")
    instance_id = saagie.run(saagie.make_job(SLEEPS, tmp_path, "Links busy"))
    for operation in ("stopJobInstance", "deletableInstances"):
        saagie.fault("error", operation, times=0)
    try:
        airflow.wait_for_dag(BAD)
        run_id = airflow.trigger(BAD)
        assert airflow.wait_for_run(BAD, run_id, seconds=LIMIT) == "failed"
    finally:
        saagie.clear_faults()
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
