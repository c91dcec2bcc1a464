"""Drives saagieapi 2.13.1 through all its job methods, in an environment of its own.

Reads its task as JSON, and prints as its last line, as JSON, what each step saw and which methods it called.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from saagieapi import SaagieApi  # type: ignore[import-not-found]  # installed in its own environment only
from saagieapi.jobs import Jobs  # type: ignore[import-not-found]
from saagieapi.projects import Projects  # type: ignore[import-not-found]

SCRIPT = "import sys, time\nprint('from the official client', sys.argv[1])\ntime.sleep(float(sys.argv[1]))\n"
FUTURE = "2100-01-01T00:00:00+0000"


class Recorded:
    """One of the client's parts, with a list of the methods that were called on it."""

    def __init__(self, part: Any, called: set[str]) -> None:
        self._part, self._called = part, called

    def __getattr__(self, name: str) -> Any:
        self._called.add(name)
        return getattr(self._part, name)


def public(kind: type) -> list[str]:
    return [name for name in dir(kind) if not name.startswith("_")]


class Driver:
    """What the steps share."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.task = task
        self.folder = Path(tempfile.mkdtemp(dir=task["folder"]))
        self.file = self.folder / "script.py"
        self.file.write_text(SCRIPT)
        self.called: dict[str, set[str]] = {"jobs": set(), "projects": set()}
        self.api = self.log_in(task["platform"])
        self.jobs = Recorded(self.api.jobs, self.called["jobs"])
        self.projects = Recorded(self.api.projects, self.called["projects"])

    def log_in(self, platform: int) -> Any:
        # The trailing slash is what a user copies: the client then joins some paths with two.
        task = self.task
        return SaagieApi(f"{task['url']}/", str(platform), task["login"], task["password"], task["realm"])

    def fault(self, **wish: Any) -> None:
        request = urllib.request.Request(
            f"{self.task['url']}/emulator/faults",
            data=json.dumps(wish).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=10).close()

    def wait(self, instance_id: str, *wanted: str) -> str:
        deadline = time.monotonic() + 20
        while True:
            current = self.jobs.get_instance(instance_id)["jobInstance"]["history"]["currentStatus"]
            if current["status"] in wanted or time.monotonic() > deadline:
                return current["status"]
            time.sleep(0.1)

    def run(self, job_id: str) -> str:
        return self.jobs.run(job_id)["runJob"]["id"]


def platform(driver: Driver) -> dict[str, Any]:
    """Look at the platform and its catalogue; let the token run out on the way."""
    api = driver.api
    seen = {
        "id": api.get_platform_info()["platform"]["id"],
        "catalogues": [one["name"] for one in api.get_repositories_info()["repositories"]],
        "technologies": sorted(one["label"] for one in api.get_available_technologies("Saagie")),
        "capacity": sorted(api.get_cluster_capacity()["getClusterCapacity"][0]),
    }
    driver.fault(what="expire", operation="platform")
    seen["after the token ran out"] = api.get_platform_info()["platform"]["id"]
    return seen


def project(driver: Driver) -> dict[str, Any]:
    """Make a project with a group and allowed technologies, read it in each way, and change it."""
    projects, name = driver.projects, driver.task["name"]
    made = projects.create(
        name=name,
        groups_and_roles=[{"some group": "Manager"}, {"others": "Viewer"}],
        description="made by the official client",
        jobs_technologies_allowed={"saagie": ["python", "bash", "spark"]},
    )["createProject"]["id"]
    driver.task["project"] = made
    projects.edit(made, description="changed by the official client", group="some group", role="Editor")
    allowed = projects.get_jobs_technologies(made)["technologiesByCategory"]
    return {
        "listed": made in [one["id"] for one in projects.list()["projects"]],
        "same id": projects.get_id(name) == made,
        "info": projects.get_info(made)["project"]["description"],
        "by name": projects.get_info_by_name(name)["projectByName"]["id"] == made,
        "rights": [[one["name"], one["role"]] for one in projects.get_rights(made)["rights"]],
        "allowed": {one["jobCategory"]: len(one["technologies"]) for one in allowed},
        "apps": len(projects.get_apps_technologies(made)["appTechnologies"]),
        "status": projects.get_status_with_callback(made, freq=1, timeout=10),
    }


def python(driver: Driver) -> dict[str, Any]:
    """Create, run, upgrade in each way, stop, roll back and edit a Python job."""
    jobs, name, in_project = driver.jobs, driver.task["name"], driver.task["project"]
    seen: dict[str, Any] = {}
    job = jobs.create(
        job_name="job",
        project_id=in_project,
        file=str(driver.file),
        category="Extraction",
        runtime_version="3.11",
        command_line="python {file} 0.2",
        release_note="first",
        resources={"cpu": {"request": 0.5, "limit": 2.6}, "memory": {"request": 1.0}},
        emails=["somebody@example.org"],
        status_list=["FAILED", "KILLED"],
    )["data"]["createJob"]["id"]
    driver.task["job"] = job
    seen["same id"] = jobs.get_id("job", name) == job
    seen["run"], first = jobs.run_with_callback(job, freq=1, timeout=20)
    seen["first"] = jobs.get_instance(first)["jobInstance"]["number"]

    upgraded = jobs.upgrade(job, use_previous_artifact=True, command_line="python {file} 60")
    seen["upgraded"] = upgraded["data"]["addJobVersion"]["number"]
    running = driver.run(job)
    driver.wait(running, "RUNNING")
    seen["stop answers"] = jobs.stop(running)["stopJobInstance"]["status"]
    seen["stopped"] = driver.wait(running, "KILLED")

    by_name = jobs.upgrade_by_name("job", name, file=str(driver.file), command_line="python {file} 0", release_note="3")
    seen["upgraded by name"] = by_name["data"]["addJobVersion"]["number"]
    again = jobs.create_or_upgrade("job", in_project, command_line="python {file} 0.1", description="described")
    seen["created or upgraded"] = [again["addJobVersion"]["number"], again["editJob"]["id"] == job]

    info = jobs.get_info(job)["job"]
    alias = jobs.get_info_by_alias(in_project, info["alias"], instances_limit=1)["jobByAlias"]
    seen["info"] = {
        "description": info["description"],
        "instances": [one["history"]["currentStatus"]["status"] for one in info["instances"]],
        "versions": [one["packageInfo"]["name"] for one in info["versions"]],
        "alerting": info["alerting"]["statusList"],
        "cpu": info["resources"]["cpu"],
        "by alias": [alias["id"] == job, len(alias["instances"])],
    }
    seen["rolled back"] = [one["isCurrent"] for one in jobs.rollback(job, 1)["rollbackJobVersion"]["versions"]]
    scheduled = jobs.edit(job, is_scheduled=True, cron_scheduling="0 3 * * *", schedule_timezone="Europe/Paris")
    seen["scheduled"] = [scheduled["editJob"]["cronScheduling"], scheduled["editJob"]["scheduleTimezone"]]
    seen["not any more"] = jobs.edit(job, is_scheduled=False)["editJob"]["isScheduled"]
    return seen


def bash(driver: Driver) -> dict[str, Any]:
    """Create a Bash job, that has no file, by `create_or_upgrade`; let it fail."""
    jobs = driver.jobs
    job = jobs.create_or_upgrade(
        "bash", driver.task["project"], technology="bash", technology_catalog="Saagie", category="Processing",
        runtime_version="debian12-bookworm", command_line="echo to stderr >&2; exit 3",
    )["data"]["createJob"]["id"]  # fmt: skip
    driver.task["bash"] = job
    ended, instance = jobs.run_with_callback(job, freq=1, timeout=20)
    current = jobs.get_instance(instance)["jobInstance"]["history"]["currentStatus"]
    return {"run": ended, "reason": current["reason"], "details": current["details"]}


def spark(driver: Driver) -> dict[str, Any]:
    """Create a Spark job with a language of its own; it can't be run here, and says so."""
    jobs = driver.jobs
    job = jobs.create(
        job_name="spark", project_id=driver.task["project"], technology="spark", runtime_version="3.5",
        command_line="spark-submit {file}", file=str(driver.file),
        extra_technology="Python", extra_technology_version="3.10",
    )["data"]["createJob"]["id"]  # fmt: skip
    driver.task["spark"] = job
    ended, instance = jobs.run_with_callback(job, freq=1, timeout=20)
    details = jobs.get_instance(instance)["jobInstance"]["history"]["currentStatus"]["details"]
    version = jobs.get_info(job, versions_only_current=True)["job"]["versions"][0]
    return {"run": ended, "says why": bool(details), "language": version["extraTechnology"]}


def lists(driver: Driver) -> dict[str, Any]:
    """List the project's jobs, in full and in short."""
    in_project = driver.task["project"]
    full = driver.jobs.list_for_project(in_project, instances_limit=1, versions_limit=1)["jobs"]
    return {
        "full": {one["name"]: [len(one["instances"]), len(one["versions"])] for one in full},
        "short": sorted(one["name"] for one in driver.jobs.list_for_project_minimal(in_project)["jobs"]),
    }


def transfer(driver: Driver) -> dict[str, Any]:
    """Export each job, import it into another project, and copy one beside itself."""
    jobs = driver.jobs
    target = driver.projects.create(name=f"{driver.task['name']} copy")["createProject"]["id"]
    driver.task["copy"] = target
    seen: dict[str, Any] = {}
    for kind in ("job", "bash", "spark"):
        exported = jobs.export(driver.task[kind], str(driver.folder / "export"))
        seen[kind] = [exported, jobs.import_from_json(target, str(driver.folder / "export" / driver.task[kind]))]
    files = sorted((driver.folder / "export" / driver.task["job"]).rglob("script.py"))
    seen["files"] = [len(files), all(one.read_text() == SCRIPT for one in files)]
    imported = jobs.list_for_project(target)["jobs"]
    seen["imported"] = {one["name"]: one["versions"][0]["commandLine"] for one in imported}
    copied = next(one["id"] for one in imported if one["name"] == "job")
    seen["imported runs"] = jobs.run_with_callback(copied, freq=1, timeout=20)[0]
    seen["copies"] = [jobs.duplicate(copied)["duplicateJob"]["name"] for _ in range(2)]
    return seen


def deletions(driver: Driver) -> dict[str, Any]:
    """Count and delete instances in each way, then versions."""
    jobs, job = driver.jobs, driver.task["job"]
    ids = [driver.run(job) for _ in range(4)]
    for one in ids:
        driver.wait(one, "SUCCEEDED")

    def counts(method: Any) -> dict[str, int]:
        return {one["selector"]: one["count"] for one in method(job)["countJobInstancesBySelector"]}

    return {
        "counts": counts(jobs.count_deletable_instances_by_status),
        "the same": counts(jobs.count_deletable_instances_by_status) == counts(jobs.count_instances_by_status),
        "by ids": jobs.delete_instances(job, ids[:1])["deleteJobInstances"],
        "by selector": jobs.delete_instances_by_selector(job, "STOPPED"),
        "with exceptions": jobs.delete_instances_by_selector(
            job, "SUCCEEDED", exclude_instances_id=ids[1:3], include_instances_id=ids[2:3]
        ),
        "left by date": jobs.count_deletable_instances_by_date(job, FUTURE),
        "by date": jobs.delete_instances_by_date(job, FUTURE),
        "left": jobs.get_info(job)["job"]["countJobInstance"],
        "versions": jobs.delete_versions(job, [2, 3])["deleteJobVersions"],
        "versions left": [one["number"] for one in jobs.get_info(job)["job"]["versions"]],
    }


def move(driver: Driver) -> dict[str, Any]:
    """Move a job to another platform, with its versions, and look at it there."""
    other = driver.log_in(driver.task["other platform"])
    target = other.projects.create(name=driver.task["name"])["createProject"]["id"]
    job = driver.task["job"]
    moved = driver.jobs.move_job(job, driver.task["other platform"], target)["moveJob"]
    found = other.jobs.get_info(moved)["job"]
    seen = {
        "gone here": driver.jobs.get_info(job)["job"],
        "versions there": [[one["commandLine"], one["isCurrent"]] for one in found["versions"]],
        "runs there": other.jobs.run_with_callback(moved, freq=1, timeout=20)[0],
    }
    other.projects.delete(target)
    return seen


def end(driver: Driver) -> dict[str, Any]:
    """Delete a job, then the projects with what is left in them."""
    deleted = driver.jobs.delete(driver.task["bash"])
    gone = [driver.projects.delete(driver.task[one]) for one in ("project", "copy")]
    return {"job": deleted, "projects": gone}


STEPS = (platform, project, python, bash, spark, lists, transfer, deletions, move, end)


def main() -> None:
    """Go through the steps; what each saw becomes one JSON object."""
    logging.disable()
    driver = Driver(json.load(sys.stdin))
    seen: dict[str, Any] = {step.__name__: step(driver) for step in STEPS}
    for name, kind in {"jobs": Jobs, "projects": Projects}.items():
        seen[f"{name} not called"] = sorted(set(public(kind)) - driver.called[name])
    sys.stdout.write("\n")  # the client writes to stdout too, and may not have ended its line
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
