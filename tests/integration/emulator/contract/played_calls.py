"""Calls as data, and the function by which the official client and ours play them.

The official client runs this file in an environment of its own, so it needs only Python.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

NOBODY = "00000000-0000-4000-8000-000000000000"
FUTURE, PAST = "2100-01-01T00:00:00+0000", "2000-01-01T00:00:00+01:00"
SLEEPS = "import sys, time\nprint('played')\ntime.sleep(float(sys.argv[1]))\n"
RESOURCES = {"cpu": {"request": 0.5, "limit": 2.6}, "memory": {"request": 1.0}}


@dataclass(frozen=True)
class Step:
    """A call, or an action between calls.

    :param name: the answer's name in later arguments.
    :param method: a method of the Jobs API, of another part such as ``projects.create``, or one of ``ACTIONS``.
    :param arguments: by name; ``"$name.path.0.to"`` stands for a part of an earlier answer.
    """

    name: str
    method: str
    arguments: dict[str, Any] = field(default_factory=dict)


def step(name: str, method: str, /, **arguments: Any) -> Step:
    return Step(name, method, arguments)


# fmt: off
ALIKE = (
    # create
    step("made", "create", job_name="job", project_id="$project", file="$folder/sleeps.py", description="as made",
         category="Extraction", technology="python", technology_catalog="Saagie", runtime_version="3.11",
         command_line="python {file} 0", release_note="first", cron_scheduling="0 0 1 1 *",
         schedule_timezone="Europe/Paris", resources=RESOURCES, emails=["a@acme.io", "b@acme.io"],
         status_list=["FAILED", "KILLED"], source_url="https://git.acme.io/1"),
    step("bash", "create_or_upgrade", job_name="bash", project_id="$project", technology="BASH",
         technology_catalog="saagie", runtime_version="debian12-bookworm", command_line="exit 3",
         docker_info={"image": "acme/bash:1"}),
    step("spark", "create", job_name="spark", project_id="$project", file="$folder/sleeps.py", technology="spark",
         runtime_version="3.5", command_line="spark-submit {file}", extra_technology="Python",
         extra_technology_version="3.10"),
    step("defaults", "create", job_name="by default", project_id="$project", file="$folder/sleeps.py"),
    # read
    step("id", "get_id", job_name="job", project_name="$project_name"),
    step("names", "list_for_project_minimal", project_id="$project"),
    step("all", "list_for_project", project_id="$project"),
    step("all of it", "get_info", job_id="$id"),
    step("all of bash", "get_info", job_id="$bash.data.createJob.id"),
    step("all of spark", "get_info", job_id="$spark.data.createJob.id"),
    # change
    step("upgraded", "upgrade", job_id="$id", file="$folder/other.py", runtime_version="3.12",
         command_line="python {file} 600", release_note="second", source_url="https://git.acme.io/2"),
    step("upgraded by default", "upgrade", job_id="$id"),
    step("without the artifact", "upgrade", job_id="$id", use_previous_artifact=False, command_line=""),
    step("upgraded by name", "upgrade_by_name", job_name="job", project_name="$project_name",
         file="$folder/sleeps.py", command_line="python {file} 600"),
    step("docker", "upgrade", job_id="$bash.data.createJob.id", docker_info={"image": "acme/bash:2"}),
    step("kept docker", "upgrade", job_id="$bash.data.createJob.id", command_line="exit 4"),
    step("after upgrades", "get_info", job_id="$id", instances_limit=0),
    step("of bash after upgrades", "get_info", job_id="$bash.data.createJob.id", versions_limit=2),
    step("edited", "edit", job_id="$id", job_name="job", description="edited", resources={"cpu": {"limit": 1.5}}),
    step("edited nothing", "edit", job_id="$id"),
    step("told", "edit", job_id="$id", emails=["c@acme.io"]),
    step("told nobody", "edit", job_id="$id", emails=[]),
    step("scheduled", "edit", job_id="$id", is_scheduled=True, cron_scheduling="5 4 1 1 *",
         schedule_timezone="Pacific/Pago_Pago"),
    step("still scheduled", "edit", job_id="$id", description="once more"),
    step("not scheduled", "edit", job_id="$id", is_scheduled=False),
    step("created or upgraded", "create_or_upgrade", job_name="job", project_id="$project", file="$folder/sleeps.py",
         description="by both", command_line="python {file} 600", release_note="fifth", is_scheduled=True,
         cron_scheduling="0 1 1 1 *", emails=["d@acme.io"], status_list=["SUCCEEDED"]),
    step("after edits", "get_info_by_alias", project_id="$project", job_alias="job", versions_only_current=True),
    step("two versions", "list_for_project", project_id="$project", instances_limit=1, versions_limit=2),
    # run
    step("run", "run", job_id="$id"),
    step("runs", "until", instance_id="$run.runJob.id", statuses=["RUNNING"]),
    step("one that runs", "get_instance", job_instance_id="$run.runJob.id", pprint_result=False),
    step("stop", "stop", job_instance_id="$run.runJob.id"),
    step("stopped", "until", instance_id="$run.runJob.id", statuses=["KILLED"]),
    step("one that was stopped", "get_instance", job_instance_id="$run.runJob.id"),
    step("rolled back", "rollback", job_id="$id", version_number=1),
    step("followed", "run_with_callback", job_id="$id", freq=0.1, timeout=300),
    step("followed to a failure", "run_with_callback", job_id="$bash.data.createJob.id", freq=0.1),
    step("one that failed", "get_instance", job_instance_id="$followed to a failure.1"),
    step("after runs", "get_info", job_id="$id", instances_limit=1),
    step("by alias after runs", "get_info_by_alias", project_id="$project", job_alias="job", instances_limit=1),
    # delete instances and versions
    step("more", "run_several", job_id="$id", number=5),
    step("counted", "count_deletable_instances_by_status", job_id="$id"),
    step("counted in the old way", "count_instances_by_status", job_id="$id"),
    step("counted by date", "count_deletable_instances_by_date", job_id="$id", date_before=FUTURE),
    step("deleted", "delete_instances", job_id="$id", job_instances_id=["$more.0", "$more.1"]),
    step("deleted by selector", "delete_instances_by_selector", job_id="$id", selector="SUCCEEDED",
         exclude_instances_id=["$more.2", "$more.3"], include_instances_id=["$more.2"]),
    step("deleted the stopped", "delete_instances_by_selector", job_id="$id", selector="STOPPED"),
    step("deleted by date", "delete_instances_by_date", job_id="$id", date_before=FUTURE,
         exclude_instances_id=["$more.3"]),
    step("left", "get_info", job_id="$id", versions_limit=1),
    step("versions deleted", "delete_versions", job_id="$id", versions=[2, 3]),
    step("versions left", "get_info", job_id="$id"),
    step("no version", "delete_versions", job_id="$id", versions=[99]),
    step("the current version", "delete_versions", job_id="$id", versions=[1]),
    step("no instance", "delete_instances", job_id="$id", job_instances_id=[NOBODY]),
    # copy and move
    step("copied", "duplicate", job_id="$id"),
    step("copy", "get_info", job_id="$copied.duplicateJob.id"),
    step("exported", "export", job_id="$id", output_folder="$folder/exported"),
    step("exported spark", "export", job_id="$spark.data.createJob.id", output_folder="$folder/exported"),
    step("exported bash", "export", job_id="$bash.data.createJob.id", output_folder="$folder/exported"),
    step("exported one version", "export", job_id="$id", output_folder="$folder/current", error_folder="$folder/errors",
         versions_only_current=True),
    step("exported two versions", "export", job_id="$bash.data.createJob.id", output_folder="$folder/two",
         versions_limit=2),
    step("imported", "import_from_json", project_id="$second", path_to_folder="$folder/exported/$id"),
    step("import", "get_id", job_name="job", project_name="$second_name"),
    step("all of the import", "get_info", job_id="$import"),
    step("imported bash", "import_from_json", project_id="$second",
         path_to_folder="$folder/exported/$bash.data.createJob.id"),
    step("bash import", "get_id", job_name="bash", project_name="$second_name"),
    step("all of the bash import", "get_info", job_id="$bash import"),
    step("imported spark", "import_from_json", project_id="$second",
         path_to_folder="$folder/exported/$spark.data.createJob.id"),
    step("spark import", "get_id", job_name="spark", project_name="$second_name"),
    step("all of the spark import", "get_info", job_id="$spark import"),
    step("exported import", "export", job_id="$import", output_folder="$folder/again"),
    step("exported spark import", "export", job_id="$spark import", output_folder="$folder/again"),
    step("not scheduled for the move", "edit", job_id="$id", is_scheduled=False),
    step("moved within", "move_job", job_id="$id", target_platform_id="$platform", target_project_id="$third"),
    step("in its new project", "list_for_project_minimal", project_id="$third"),
    step("moved away", "move_job", job_id="$defaults.data.createJob.id", target_platform_id="$other_platform",
         target_project_id="$far"),
    step("gone from here", "list_for_project_minimal", project_id="$project"),
    step("gone", "delete", job_id="$bash.data.createJob.id"),
)

# Only the official client makes these calls: our projects have other methods.
PROJECTS = (
    step("platform", "api.get_platform_info"),
    step("catalogues", "api.get_repositories_info"),
    step("technologies", "api.get_available_technologies", catalog="Saagie"),
    step("capacity", "api.get_cluster_capacity"),
    step("token expires", "fault", what="expire", operation="platform"),
    step("platform again", "api.get_platform_info"),
    step("project made", "projects.create", name="official", groups_and_roles=[{"group": "Manager"}, {"g": "Viewer"}],
         description="made", jobs_technologies_allowed={"saagie": ["python", "bash", "spark"]}),
    step("project id", "projects.get_id", project_name="official"),
    step("project edited", "projects.edit", project_id="$project id", description="changed", group="group",
         role="Editor"),
    step("project read", "projects.get_info", project_id="$project id"),
    step("by name", "projects.get_info_by_name", project_name="official"),
    step("rights", "projects.get_rights", project_id="$project id"),
    step("allowed", "projects.get_jobs_technologies", project_id="$project id"),
    step("apps", "projects.get_apps_technologies", project_id="$project id"),
    step("status", "projects.get_status_with_callback", project_id="$project id", freq=0.1, timeout=300),
    step("listed", "projects.list"),
    step("project deleted", "projects.delete", project_id="$project id"),
)
# fmt: on


def play(client: Any, steps: Iterable[Step], names: Mapping[str, Any], log_in: Callable[..., Any]) -> dict[str, Any]:
    """Play steps one after the other.

    :param client: the official client or our hook.
    :param names: what the steps may refer to from the start; ``folder`` holds files.
    :param log_in: logs in with a password and returns another client.
    :return: the answer to each step by its name; ``{"raised": [its classes]}`` if it raised.
    """
    Path(names["folder"], "sleeps.py").write_text(SLEEPS)
    Path(names["folder"], "other.py").write_text("# the other\n" + SLEEPS)
    known, answers = dict(names), {}
    actions = Actions(client, names, log_in)
    for one in steps:
        path = one.method.removeprefix("api.") if "." in one.method else f"jobs.{one.method}"
        method = getattr(actions, one.method) if one.method in ACTIONS else attrgetter(path)(client)
        try:
            answer = method(**resolved(one.arguments, known))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - what it raises is its answer
            answer = {"raised": [kind.__name__ for kind in type(error).__mro__ if kind is not object]}
        known[one.name] = answers[one.name] = answer
    return answers


def resolved(value: Any, known: Mapping[str, Any]) -> Any:
    """Replace references by parts of earlier answers."""
    if isinstance(value, dict):
        return {key: resolved(inner, known) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolved(inner, known) for inner in value]
    if not isinstance(value, str) or "$" not in value:
        return value
    if "/" in value:
        return "/".join(str(resolved(part, known)) for part in value.split("/"))
    name, *path = value[1:].split(".")
    found = known[name]
    for part in path:
        found = found[int(part)] if isinstance(found, list | tuple) else found[part]
    return found


@dataclass
class Actions:
    """Actions between the calls, the same for both clients."""

    client: Any
    names: Mapping[str, Any]
    log_in: Callable[..., Any]

    def until(self, instance_id: str, statuses: list[str]) -> str:
        """Wait until an instance has one of some statuses."""
        limit = time.monotonic() + 120
        while (status := self.client.jobs.get_instance(instance_id)["jobInstance"]["status"]) not in statuses:
            if time.monotonic() > limit:
                raise AssertionError(f"{instance_id} is still {status}")
            time.sleep(0.05)
        return str(status)

    def run_several(self, job_id: str, number: int) -> list[str]:
        """Run a job several times to its success, and return the instances."""
        ids = []
        for _ in range(number):
            ids.append(self.client.jobs.run(job_id)["runJob"]["id"])
            self.until(ids[-1], ["SUCCEEDED"])
        return ids

    def fault(self, **wish: Any) -> None:
        self._control("POST", "faults", wish)

    def no_faults(self) -> None:
        self._control("DELETE", "faults")

    def write(self, path: str, text: str) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)

    def try_to_log_in(self, password: str) -> None:
        self.log_in(password)

    def follow_to(self, job_id: str, status: str, **arguments: Any) -> Any:
        """Run a job with a callback, and give its instance a status by hand while it runs."""
        jobs = self.log_in(self.names["password"]).jobs  # a client is for one thread
        before = {one["id"] for one in jobs.get_info(job_id)["job"]["instances"]}

        def interfere() -> None:
            while True:
                for one in jobs.get_info(job_id)["job"]["instances"]:
                    if one["id"] not in before and one["status"] == "RUNNING":
                        return self._control("POST", f"instances/{one['id']}", {"status": status})
                time.sleep(0.05)

        thread = threading.Thread(target=interfere)
        thread.start()
        try:
            return self.client.jobs.run_with_callback(job_id, **arguments)[0]
        finally:
            thread.join()

    def _control(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        data, headers = None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.names['url']}/emulator/{path}", data, headers, method=method)
        urllib.request.urlopen(request, timeout=60).close()


ACTIONS = ("until", "run_several", "fault", "no_faults", "write", "try_to_log_in", "follow_to")
