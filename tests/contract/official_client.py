"""Drives saagieapi 2.13.1, in an environment of its own: reads its task as JSON, prints what it saw as JSON."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from saagieapi import SaagieApi  # type: ignore[import-not-found]  # installed in its own environment only

SCRIPT = "import sys, time\nprint('from the official client', sys.argv[1])\ntime.sleep(float(sys.argv[1]))\n"


def status(api: Any, instance_id: str) -> str:
    return api.jobs.get_instance(instance_id)["jobInstance"]["history"]["currentStatus"]["status"]


def wait(api: Any, instance_id: str, *wanted: str) -> str:
    deadline = time.monotonic() + 20
    while (found := status(api, instance_id)) not in wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def main() -> None:
    """Log in, deploy, run, stop, read and delete; each step's result goes into one JSON object."""
    task = json.load(sys.stdin)
    logging.disable()
    folder = Path(tempfile.mkdtemp())
    file = folder / "script.py"
    file.write_text(SCRIPT)
    seen: dict[str, Any] = {}
    # The trailing slash is what a user copies: the client then joins paths with two.
    api = SaagieApi(f"{task['url']}/", task["platform"], task["login"], task["password"], task["realm"])

    seen["platform"] = api.get_platform_info()["platform"]["id"]
    seen["technologies"] = sorted(one["label"] for one in api.get_available_technologies("Saagie"))
    project = api.projects.create(
        name=task["name"],
        groups_and_roles=[{"some group": "Manager"}],
        jobs_technologies_allowed={"saagie": ["python", "bash", "spark"]},
    )["createProject"]["id"]
    seen["same project"] = api.projects.get_id(task["name"]) == project

    created = api.jobs.create(
        job_name="job",
        project_id=project,
        file=str(file),
        category="Extraction",
        runtime_version="3.11",
        command_line="python {file} 0.2",
        release_note="first",
        resources={"cpu": {"request": 0.5, "limit": 2.6}, "memory": {"request": 1.0}},
        emails=["somebody@example.org"],
        status_list=["FAILED", "KILLED"],
    )
    job = created["data"]["createJob"]["id"]
    seen["same job"] = api.jobs.get_id("job", task["name"]) == job
    seen["run"] = api.jobs.run_with_callback(job, freq=1, timeout=20)[0]

    upgraded = api.jobs.upgrade(job, use_previous_artifact=True, command_line="python {file} 60")
    seen["upgraded"] = upgraded["data"]["addJobVersion"]["number"]
    stopped = api.jobs.run(job)["runJob"]["id"]
    wait(api, stopped, "RUNNING")
    seen["stop answers"] = api.jobs.stop(stopped)["stopJobInstance"]["status"]
    seen["stopped"] = wait(api, stopped, "KILLED")

    info = api.jobs.get_info(job)["job"]
    seen["info"] = {
        "instances": [one["history"]["currentStatus"]["status"] for one in info["instances"]],
        "versions": [one["packageInfo"]["name"] for one in info["versions"]],
        "alerting": info["alerting"]["statusList"],
        "cpu": info["resources"]["cpu"],
    }
    seen["exported"] = api.jobs.export(job, str(folder / "export"))
    seen["exported file"] = next((folder / "export").rglob("script.py")).read_text() == SCRIPT
    seen["rolled back"] = [one["isCurrent"] for one in api.jobs.rollback(job, 1)["rollbackJobVersion"]["versions"]]
    seen["edited"] = api.jobs.edit(job, is_scheduled=True, cron_scheduling="0 3 * * *")["editJob"]["cronScheduling"]
    seen["counts"] = {
        one["selector"]: one["count"]
        for one in api.jobs.count_deletable_instances_by_status(job)["countJobInstancesBySelector"]
    }
    seen["deleted by selector"] = api.jobs.delete_instances_by_selector(job, "STOPPED")
    seen["deleted by date"] = api.jobs.delete_instances_by_date(job, "2100-01-01T00:00:00+0000")
    seen["deleted version"] = api.jobs.delete_versions(job, [2])["deleteJobVersions"]
    seen["copy"] = api.jobs.duplicate(job)["duplicateJob"]["name"]
    seen["deleted job"] = api.jobs.delete(job)
    seen["deleted project"] = api.projects.delete(project)
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
