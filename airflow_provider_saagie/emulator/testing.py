"""An emulator as tests hold it: a process of its own, and what a test asks of it. Needs nothing but Python itself."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["Emulator", "LocalInstance", "LocalJob", "start"]

_READY = "Saagie emulator listening on "
_OBSERVER = {"Saagie-Emulator-Observer": "1"}  # so that faults don't strike the test's own requests
_OURS = {"--host", "--port", "--data", "--login", "--password", "--realm"}
_STOP_SECONDS = 15
_SECONDS = 30  # how long a request of a test may take
_JOB_KINDS = ("JobTechnology", "SparkTechnology")
_CATEGORIES = ("Extraction", "Processing", "Smart App")

_PROJECTS = "query testProjects { projects { id name } }"
_DELETE_PROJECT = "mutation testDeleteProject($id: UUID!) { deleteProject(projectId: $id) }"
_CREATE_PROJECT = "mutation testCreateProject($project: ProjectInput!) { createProject(project: $project) { id } }"
_TECHNOLOGIES = "query testTechnologies { repositories { technologies { __typename id } } }"
_JOBS = """
query testJobs($project: UUID!) {
  jobs(projectId: $project) {
    id name alias
    versions { number }
    instances { id number history { currentStatus { status reason details } } executionVariablesOutput { key value } }
  }
}
"""
_LOG = """
query testLog($id: UUID!, $streams: [LogStream]!) {
  filteredLogs(jobInstanceID: $id, limit: 10000, skip: 0, streams: $streams) { content { value } }
}
"""


@dataclass(frozen=True, slots=True)
class LocalInstance:
    """An instance of a job, as it stands.

    :param id: its id.
    :param number: 1 for the job's first.
    :param status: for example `SUCCEEDED`.
    :param reason: for example `OUT_OF_MEMORY`, or None.
    :param details: more about the reason, or None.
    :param outputs: what the job handed on.
    :param url: its page.
    """

    id: str
    number: int
    status: str
    reason: str | None
    details: str | None
    outputs: dict[str, str | None]
    url: str


@dataclass(frozen=True, slots=True)
class LocalJob:
    """A job, as it stands.

    :param versions: the numbers of its versions, newest first.
    :param instances: newest first.
    """

    id: str
    name: str
    alias: str
    project: str
    versions: tuple[int, ...]
    instances: tuple[LocalInstance, ...]


class Emulator:
    """A running emulator.

    :param url: where it listens.
    :param password: the password of its one login.
    :param process: the process that serves it.
    :param platforms: the numbers of its platforms; the first is the one that is spoken to.
    """

    login = "airflow"
    realm = "local"

    def __init__(
        self, url: str, password: str, process: subprocess.Popen[str], platforms: Sequence[int] = (1,)
    ) -> None:
        self.url = url
        self.password = password
        self.process = process
        self.platform, *others = platforms
        self._others = {one: Emulator(url, password, process, (one,)) for one in others}
        self.projects: dict[str, str] = {}
        self._token: str | None = None
        self._seen_before = 0

    def __repr__(self) -> str:
        """Show it without its password."""
        return f"<Emulator {self.url}>"

    def connection(self) -> str:
        """Write the Airflow connection to it.

        :return: JSON, as `AIRFLOW_CONN_...` takes it.
        """
        extra = {"realm": self.realm, "platform_id": self.platform}
        return json.dumps(
            {"conn_type": "saagie", "host": self.url, "login": self.login, "password": self.password, "extra": extra}
        )

    def on(self, platform: int) -> Emulator:
        """Speak to another of its platforms, one that it was given with `--platform`.

        :param platform: the platform's number.
        :return: the same emulator, with the projects and jobs of that platform.
        :raises ValueError: where it has no such platform.
        """
        if platform == self.platform:
            return self
        if platform not in self._others:
            raise ValueError(f"The emulator has no platform {platform}: give it the option --platform {platform}")
        return self._others[platform]

    def begin(self, projects: Iterable[str]) -> None:
        """Empty it, for a test: what runs is stopped, what there is deleted, and no fault is left.

        :param projects: names of the projects that each platform has then; they allow every technology.
        """
        projects = list(projects)
        for other in self._others.values():
            other.begin(projects)
        self.clear_faults()
        for one in self.graphql(_PROJECTS)["projects"]:
            self.graphql(_DELETE_PROJECT, id=one["id"])
        allowed = self._technologies()
        self.projects = {name: self._create_project(name, allowed) for name in projects}
        self._seen_before = len(self._all_requests())

    def jobs(self) -> dict[str, LocalJob]:
        """List the jobs of all projects, with their versions and instances.

        :return: each by its name.
        """
        return {
            job["name"]: self._job(job, project, project_id)
            for project, project_id in self.projects.items()
            for job in self.graphql(_JOBS, project=project_id)["jobs"]
        }

    def log(self, instance_id: str, *streams: str) -> list[str]:
        """Read an instance's log.

        :param instance_id: its id.
        :param streams: `STDOUT`, `STDERR`; both where none is named.
        :return: the first 10,000 lines.
        """
        wanted = list(streams or ("STDOUT", "STDERR"))
        return [line["value"] for line in self.graphql(_LOG, id=instance_id, streams=wanted)["filteredLogs"]["content"]]

    def fault(self, what: str, operation: str = "*", **options: Any) -> None:
        """Let something go wrong, for example `fault("status", "runJob", status=503)`.

        :param what: the kind of fault.
        :param operation: what it strikes.
        :param options: what else the kind takes.
        """
        self._control("POST", "faults", {"what": what, "operation": operation, **options})

    def faults(self) -> list[dict[str, Any]]:
        """List the faults that are switched on.

        :return: each with how many requests it has `seen` and `struck`.
        """
        found: list[dict[str, Any]] = self._control("GET", "faults")["faults"]
        return found

    def clear_faults(self) -> None:
        """Switch all faults off."""
        self._control("DELETE", "faults")

    def requests(self) -> list[dict[str, Any]]:
        """List the mutations that came in since the test began, without the test's own.

        :return: the newest last.
        """
        return self._all_requests()[self._seen_before :]

    def stats(self) -> dict[str, Any]:
        """Count what came in since the emulator was started.

        :return: requests by operation, faults that struck, connections.
        """
        return self._control("GET", "stats")

    def set_instance(
        self, instance_id: str, status: str, reason: str | None = None, details: str | None = None
    ) -> None:
        """Give an instance a status by hand.

        :param instance_id: its id.
        :param status: for example `FAILED`.
        :param reason: for example `OUT_OF_MEMORY`.
        :param details: free text.
        """
        wish = {"status": status, "reason": reason, "details": details}
        self._control("POST", f"instances/{instance_id}", wish)

    def graphql(self, document: str, *, gateway: bool = False, **variables: Any) -> dict[str, Any]:
        """Send a GraphQL document. Like all that a test asks through this class, no fault strikes it.

        :param document: the document.
        :param gateway: to the technology catalogue, not the platform.
        :param variables: its variables.
        :return: the answer's data.
        :raises RuntimeError: where the answer holds errors.
        """
        path = "/gateway/api/graphql" if gateway else f"/projects/api/platform/{self.platform}/graphql"
        body = {"query": document, "variables": variables}
        self._token = self._token or self._log_in()
        try:
            answer = self._send("POST", path, body, {"Authorization": f"Bearer {self._token}"})
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 401:
                raise
            self._token = self._log_in()
            answer = self._send("POST", path, body, {"Authorization": f"Bearer {self._token}"})
        found: dict[str, Any] = json.loads(answer)
        if found.get("errors"):
            raise RuntimeError("; ".join(error["message"] for error in found["errors"]))
        data: dict[str, Any] = found["data"]
        return data

    def stop(self) -> None:
        """End it, and all that it runs."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _job(self, job: dict[str, Any], project: str, project_id: str) -> LocalJob:
        page = f"{self.url}/projects/platform/{self.platform}/project/{project_id}/job/{job['id']}"
        return LocalJob(
            id=job["id"],
            name=job["name"],
            alias=job["alias"],
            project=project,
            versions=tuple(version["number"] for version in job["versions"]),
            instances=tuple(_instance(one, page) for one in job["instances"]),
        )

    def _technologies(self) -> list[dict[str, str]]:
        found = self.graphql(_TECHNOLOGIES, gateway=True)["repositories"]
        every = [one for repository in found for one in repository["technologies"]]
        return [{"id": one["id"]} for one in every if one["__typename"] in _JOB_KINDS]

    def _create_project(self, name: str, allowed: list[dict[str, str]]) -> str:
        chosen = [{"jobCategory": category, "technologies": allowed} for category in _CATEGORIES]
        wish = {"name": name, "technologiesByCategory": chosen}
        return str(self.graphql(_CREATE_PROJECT, project=wish)["createProject"]["id"])

    def _all_requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._control("GET", "requests")["requests"]
        return found

    def _control(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._send(method, f"/emulator/{path}", body, {}))
        except urllib.error.HTTPError as error:
            with error:
                said = json.loads(error.read())["error"]
            raise ValueError(said) from None
        return found

    def _log_in(self) -> str:
        credentials = {"login": self.login, "password": self.password}
        path = "/authentication/api/open/authenticate"
        return self._send("POST", path, credentials, {"Saagie-Realm": self.realm}).decode()

    def _send(self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(  # noqa: S310, the emulator's own address
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **_OBSERVER, **headers},
        )
        # Past any proxy of the environment: the emulator is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_SECONDS) as answer:
            content: bytes = answer.read()
        return content


def start(folder: Path, options: Sequence[str] = ()) -> Emulator:
    """Start an emulator on any free port, and wait until it answers.

    :param folder: where it keeps its data and writes what goes wrong; it has to exist.
    :param options: more options of `saagie-emulator`, but none that says where it is and for whom; `--platform` gives
        it further platforms beside the first.
    :return: the emulator; `stop()` ends it, and so does the end of this process.
    :raises ValueError: where an option is not left to the caller.
    :raises RuntimeError: where it does not start; the message says why.
    """
    if taken := sorted({option.partition("=")[0] for option in options} & _OURS):
        raise ValueError(f"{', '.join(taken)} can't be set: a test's emulator has its own")
    platforms = _platforms(options)
    password = secrets.token_urlsafe(24)
    log = folder / "emulator.log"
    module = "airflow_provider_saagie.emulator.attached"
    command = [sys.executable, "-m", module, "--port", "0", "--data", str(folder / "data"), "--platform", "1"]
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(  # noqa: S603, our own program
            [*command, *options],
            stdin=subprocess.PIPE,  # never written to: it is closed when this process ends
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "SAAGIE_EMULATOR_PASSWORD": password},
        )
    line = process.stdout.readline().strip() if process.stdout is not None else ""
    emulator = Emulator(line.removeprefix(_READY), password, process, platforms)
    if not line.startswith(_READY):
        emulator.stop()
        said = log.read_text(encoding="utf-8").strip()
        if "ModuleNotFoundError" in said:
            said += "\nThe emulator needs more than the provider does: pip install 'airflow-provider-saagie[emulator]'"
        raise RuntimeError(f"The emulator did not start:\n{said[-2000:]}")
    return emulator


def _platforms(options: Sequence[str]) -> list[int]:
    """Read the platforms' numbers out of options; what is no number, the emulator itself refuses."""
    given = ["1"]
    for option, following in pairwise([*options, ""]):
        name, _, value = option.partition("=")
        if name == "--platform":
            given.append(value or following)
    return [int(one) for one in dict.fromkeys(given) if one.isascii() and one.isdigit()]


def _instance(one: dict[str, Any], page: str) -> LocalInstance:
    current = one["history"]["currentStatus"]
    return LocalInstance(
        id=one["id"],
        number=one["number"],
        status=current["status"],
        reason=current["reason"],
        details=current["details"],
        outputs={variable["key"]: variable["value"] for variable in one["executionVariablesOutput"] or ()},
        url=f"{page}/instances/{one['id']}",
    )
