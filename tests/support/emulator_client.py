"""A bare GraphQL client, so that the emulator is judged without any client of this package.

It works over HTTP with an emulator that is a process, and in this process with the emulator's app.
"""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.testclient import TestClient

from airflow_provider_saagie.emulator import catalogue
from airflow_provider_saagie.emulator.app import create_app
from airflow_provider_saagie.emulator.settings import Settings
from airflow_provider_saagie.emulator.states import ENDS
from airflow_provider_saagie.emulator.testing import Emulator
from tests.support.waiting import wait_until

LOGIN_PATH = "/authentication/api/open/authenticate"
LOGIN, PASSWORD, REALM = "airflow", "correct horse", "local"
PORT = 8123  # of an app in this process, where nothing listens; requests name it in their Host header
URL = f"http://127.0.0.1:{PORT}"
NOBODY = "00000000-0000-0000-0000-000000000000"
TECHNOLOGIES = {one.technology_id: one.id for one in catalogue.technologies().values()}
RUNTIMES = {"python": "3.11", "bash": "debian12-bookworm", "spark": "3.5"}

CREATE_PROJECT = "mutation createProject($project: ProjectInput!) { createProject(project: $project) { id } }"
DELETE_PROJECT = "mutation deleteProject($id: UUID!) { deleteProject(projectId: $id) }"
CREATE_JOB = """
mutation createJob($job: JobInput!, $version: JobVersionInput!, $file: Upload) {
  createJob(job: $job, jobVersion: $version, file: $file) { id name alias }
}
"""
ADD_VERSION = """
mutation addJobVersion($id: UUID!, $version: JobVersionInput!, $file: Upload) {
  addJobVersion(jobId: $id, jobVersion: $version, file: $file) { number packageInfo { name } }
}
"""
EDIT_JOB = "mutation editJob($job: JobEditionInput!) { editJob(job: $job) { id name alias scheduleStatus } }"
DELETE_JOB = "mutation deleteJob($id: UUID!) { deleteJob(jobId: $id) }"
RUN_JOB = "mutation runJob($id: UUID!) { runJob(jobId: $id) { id number status } }"
STOP = "mutation stopJobInstance($id: UUID!) { stopJobInstance(jobInstanceId: $id) { id status } }"
INSTANCE = """
query jobInstance($id: UUID!) {
  jobInstance(id: $id) {
    id number jobId startTime endTime
    history { currentStatus { status reason details } statuses { status } }
    runTrigger { __typename triggerType ... on AuthoredTrigger { author } }
    stopTrigger { author triggerType }
    executionVariablesOutput { key value isPassword }
  }
}
"""
LOGS = """
query logs($id: UUID!, $limit: Int, $skip: Int, $streams: [LogStream]!) {
  filteredLogs(jobInstanceID: $id, limit: $limit, skip: $skip, streams: $streams) {
    count content { index value stream }
  }
}
"""


class Client:
    """A logged-in client.

    :param http: sends requests to the emulator.
    :param password: the password of the emulator's login.
    :param database: the store of an emulator in this process.
    """

    def __init__(self, http: httpx.Client, password: str = PASSWORD, database: Any = None) -> None:
        self.http = http
        self.platform = 1
        self.database = database
        self._password = password
        self.log_in()

    def log_in(self) -> str:
        """Get a token and use it from now on."""
        credentials = {"login": LOGIN, "password": self._password}
        answer = self.http.post(LOGIN_PATH, json=credentials, headers={"Saagie-Realm": REALM})
        if "<" in answer.text or answer.text.count(".") != 1:
            raise ValueError(f"not a token: {answer.text[:100]}")
        self.http.headers["Authorization"] = f"Bearer {answer.raise_for_status().text}"
        return answer.text

    @property
    def graphql_path(self) -> str:
        return f"/projects/api/platform/{self.platform}/graphql"

    def send(self, document: str, variables: dict[str, Any], file: tuple[str, bytes] | None = None) -> httpx.Response:
        return self.http.post(self.graphql_path, **graphql_body(document, variables, file))

    def answer(self, document: str, **variables: Any) -> dict[str, Any]:
        """Send a document and return the whole answer."""
        return self.send(document, variables).raise_for_status().json()

    def data(self, document: str, *, upload: tuple[str, bytes] | None = None, **variables: Any) -> dict[str, Any]:
        """Send a document that has to succeed, perhaps with a file's name and content."""
        return data_of(self.send(document, variables, upload))

    def error(self, document: str, **variables: Any) -> dict[str, Any]:
        """Send a document that has to fail with one error."""
        (error,) = self.answer(document, **variables)["errors"]
        return error

    def project(self) -> str:
        """Return the id of the project `Demo`."""
        return self.data('{ projectByName(name: "Demo") { id } }')["projectByName"]["id"]

    def wish(self, command: str = "true", kind: str = "bash", **changes: Any) -> dict[str, Any]:
        """Return the variables of `createJob`; changes go to the version if it has a field of that name."""
        job = {
            "projectId": changes.get("projectId") or self.project(), "name": f"job {uuid.uuid4()}",
            "category": "Processing", "technology": {"id": TECHNOLOGIES[kind]},
            "isScheduled": False, "isStreaming": False,
        }  # fmt: skip
        version = {"runtimeVersion": RUNTIMES[kind], "commandLine": command}
        of_version = {*version, "sourceUrl", "dockerInfo", "extraTechnology", "releaseNote"}
        return {
            "job": job | {name: value for name, value in changes.items() if name not in of_version},
            "version": version | {name: value for name, value in changes.items() if name in of_version},
        }

    def job(self, command: str = "true", file: str | None = None, file_name: str = "job.sh", **changes: Any) -> str:
        """Create a job with a name of its own and return its id."""
        upload = None if file is None else (file_name, file.encode())
        return self.data(CREATE_JOB, **self.wish(command, **changes), upload=upload)["createJob"]["id"]

    def add_version(self, job: str, command: str = "true", file: str | None = None, **changes: Any) -> dict[str, Any]:
        """Add a version to a job."""
        version = {"runtimeVersion": RUNTIMES["bash"], "commandLine": command, **changes}
        upload = None if file is None else ("other.sh", file.encode())
        return self.data(ADD_VERSION, id=job, version=version, upload=upload)["addJobVersion"]

    def run(self, job: str) -> str:
        return self.data(RUN_JOB, id=job)["runJob"]["id"]

    def start(self, command: str, **changes: Any) -> str:
        """Create a job, run it and return the instance's id."""
        return self.run(self.job(command, **changes))

    def stop(self, instance: str) -> dict[str, Any]:
        return self.data(STOP, id=instance)["stopJobInstance"]

    def instance(self, instance: str) -> dict[str, Any]:
        return self.data(INSTANCE, id=instance)["jobInstance"]

    def current(self, instance: str) -> tuple[str, str | None, str | None]:
        """Return an instance's status, reason and details."""
        current = self.instance(instance)["history"]["currentStatus"]
        return current["status"], current["reason"], current["details"]

    def statuses(self, instance: str) -> list[str]:
        """Return the statuses that an instance has had."""
        return [one["status"] for one in self.instance(instance)["history"]["statuses"]]

    def wait(self, instance: str, *statuses: str) -> dict[str, Any]:
        """Wait until an instance has one of these statuses, or any final one."""
        wait_until(lambda: self.current(instance)[0] in (statuses or ENDS))
        return self.instance(instance)

    def lines(self, instance: str, *streams: str) -> list[str]:
        found = self.data(LOGS, id=instance, streams=streams or ("STDOUT", "STDERR"))["filteredLogs"]
        return [line["value"] for line in found["content"]]

    def wait_for_lines(self, instance: str, count: int = 1) -> list[str]:
        """Wait until an instance has written this many lines."""
        return wait_until(lambda: found if len(found := self.lines(instance)) >= count else [])

    def set_instance(self, instance: str, status: str, **more: Any) -> httpx.Response:
        """Give an instance a status by hand."""
        return self.http.post(f"/emulator/instances/{instance}", json={"status": status, **more})

    def fault(self, what: str, operation: str = "*", **options: Any) -> None:
        """Inject a fault."""
        self.http.post("/emulator/faults", json={"what": what, "operation": operation, **options}).raise_for_status()

    def faults(self) -> list[dict[str, Any]]:
        return self.http.get("/emulator/faults").json()["faults"]

    def stats(self) -> dict[str, Any]:
        return self.http.get("/emulator/stats").json()

    def mutations(self) -> list[dict[str, Any]]:
        return self.http.get("/emulator/requests").json()["requests"]

    def artifacts(self) -> list[Path]:
        """List the files of jobs in the data folder."""
        folder = self.database.folder / "artifacts"
        return list(folder.iterdir()) if folder.exists() else []


def graphql_body(document: str, variables: dict[str, Any], file: tuple[str, bytes] | None) -> dict[str, Any]:
    """Return httpx's arguments for a document; with a file, as the GraphQL multipart request specification says."""
    if file is None:
        return {"json": {"query": document, "variables": variables}}
    operations = {"query": document, "variables": {**variables, "file": None}}
    parts = {"operations": json.dumps(operations), "map": json.dumps({"0": ["variables.file"]})}
    return {"data": parts, "files": {"0": file}}


def data_of(response: httpx.Response) -> dict[str, Any]:
    """Return the data of an answer without errors."""
    answer = response.raise_for_status().json()
    assert "errors" not in answer, answer["errors"]
    return answer["data"]


@contextmanager
def client_of_app(folder: Path, **settings: Any) -> Iterator[Client]:
    """Run the emulator's app in this process."""
    app = create_app(Settings(data=folder, password=PASSWORD, port=PORT, **settings))
    with TestClient(app, base_url=URL, follow_redirects=False) as http:
        yield Client(http, database=app.state.parts.database)


@contextmanager
def client_of_process(emulator: Emulator) -> Iterator[Client]:
    """Connect to an emulator that is a process."""
    with httpx.Client(base_url=emulator.url, trust_env=False, timeout=60) as http:
        yield Client(http, emulator.password)


def wait_until_gone(pid: int) -> None:
    """Wait until a process has ended."""
    wait_until(lambda: not is_alive(pid))


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
