"""A bare client of the tests' own, so that the emulator is judged without any client of ours."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_saagie.emulator import catalogue
from airflow_provider_saagie.emulator.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_saagie.emulator.testing import Emulator

ENDS = {"SUCCEEDED", "FAILED", "KILLED", "ERROR", "SKIPPED"}
NOBODY = "00000000-0000-0000-0000-000000000000"
BASH = next(one.id for one in catalogue.technologies().values() if one.technology_id == "bash")

CREATE_JOB = """
mutation createJob($job: JobInput!, $version: JobVersionInput!, $file: Upload) {
  createJob(job: $job, jobVersion: $version, file: $file) { id name alias }
}
"""
RUN_JOB = "mutation runJob($id: UUID!) { runJob(jobId: $id) { id number status } }"
STOP = "mutation stop($id: UUID!) { stopJobInstance(jobInstanceId: $id) { id status } }"
INSTANCE = """
query jobInstance($id: UUID!) {
  jobInstance(id: $id) {
    id number jobId startTime endTime effectiveDockerImage
    history { currentStatus { status reason details recordAt } statuses { status reason details recordAt } }
    runTrigger { triggerType ... on AuthoredTrigger { author } }
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


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"  # one that ended but was not collected yet counts as gone


def wait_until_gone(pid: int, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        assert time.monotonic() < deadline, f"{pid} is still there"
        time.sleep(0.05)


class Client:
    """Speaks GraphQL over requests."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {emulator.log_in()}"

    def answer(self, document: str, variables: dict[str, Any] | None = None, url: str | None = None) -> dict[str, Any]:
        """Send a document and return the whole answer."""
        response = self.session.post(
            url or self.emulator.graphql_url, json={"query": document, "variables": variables}, timeout=30
        )
        response.raise_for_status()
        return response.json()

    def data(self, document: str, variables: dict[str, Any] | None = None, url: str | None = None) -> dict[str, Any]:
        """Send a document that has to succeed."""
        answer = self.answer(document, variables, url)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def error(self, document: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a document that has to fail with one error."""
        answer = self.answer(document, variables)
        assert len(answer["errors"]) == 1, answer
        return answer["errors"][0]

    def upload(self, document: str, variables: dict[str, Any], name: str, content: bytes) -> dict[str, Any]:
        """Send a document with a file, as the GraphQL multipart request specification says."""
        response = self.session.post(
            self.emulator.graphql_url,
            data={
                "operations": json.dumps({"query": document, "variables": {**variables, "file": None}}),
                "map": json.dumps({"0": ["variables.file"]}),
            },
            files={"0": (name, content)},
            timeout=30,
        )
        response.raise_for_status()
        answer = response.json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def technologies(self) -> dict[str, str]:
        found = self.data("{ repositories { technologies { id label } } }", url=self.emulator.gateway_url)
        return {one["label"]: one["id"] for catalogue in found["repositories"] for one in catalogue["technologies"]}

    def demo_project(self) -> str:
        return self.data('{ projectByName(name: "Demo") { id } }')["projectByName"]["id"]

    def job(
        self,
        command: str,
        script: str | None = None,
        technology: str = "Python",
        runtime: str | None = None,
        file_name: str = "job.py",
        **settings: Any,
    ) -> str:
        """Make a job with a name of its own and return its id."""
        runtimes = {"Python": "3.11", "Bash": "debian12-bookworm", "Spark": "3.5"}
        variables = {
            "job": {
                "projectId": self.demo_project(),
                "name": f"job {uuid.uuid4()}",
                "category": "Processing",
                "technology": {"id": self.technologies()[technology]},
                "isScheduled": False,
                "isStreaming": False,
                **settings,
            },
            "version": {"runtimeVersion": runtime or runtimes[technology], "commandLine": command},
        }
        if script is None:
            return self.data(CREATE_JOB, variables)["createJob"]["id"]
        return self.upload(CREATE_JOB, variables, file_name, script.encode())["createJob"]["id"]

    def run(self, job_id: str) -> str:
        return self.data(RUN_JOB, {"id": job_id})["runJob"]["id"]

    def stop(self, instance_id: str) -> dict[str, Any]:
        return self.data(STOP, {"id": instance_id})["stopJobInstance"]

    def instance(self, instance_id: str) -> dict[str, Any]:
        return self.data(INSTANCE, {"id": instance_id})["jobInstance"]

    def status(self, instance_id: str) -> str:
        return self.instance(instance_id)["history"]["currentStatus"]["status"]

    def wait(self, instance_id: str, *statuses: str, seconds: float = 20) -> dict[str, Any]:
        """Wait until an instance has one of these statuses, or any end."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.instance(instance_id)
            if found["history"]["currentStatus"]["status"] in (set(statuses) or ENDS):
                return found
            time.sleep(0.05)
        raise AssertionError(f"still {found['history']['currentStatus']}")

    def lines(self, instance_id: str, *streams: str, **page: int) -> list[str]:
        wanted = streams or ("STDOUT", "STDERR")
        content = self.data(LOGS, {"id": instance_id, "streams": wanted, **page})["filteredLogs"]["content"]
        return [line["value"] for line in content]

    def wait_for_line(self, instance_id: str, line: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while line not in self.lines(instance_id):
            assert time.monotonic() < deadline, f"no line {line!r}: {self.lines(instance_id)}"
            time.sleep(0.05)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """What the emulator keeps, without an emulator."""
    opened = Database(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    made = Client(emulator)
    yield made
    made.session.close()


@pytest.fixture
def client_of() -> Iterator[Callable[[Emulator], Client]]:
    """A function that makes a client of an emulator of the test's own."""
    made: list[Client] = []

    def make(emulator: Emulator) -> Client:
        made.append(Client(emulator))
        return made[-1]

    yield make
    for one in made:
        one.session.close()
