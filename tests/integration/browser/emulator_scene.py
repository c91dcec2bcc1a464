"""Fills an emulator with something to look at: a project with jobs that have succeeded, failed, run, or never run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.testing import Emulator, LocalInstance

PROJECT = "Demo"
_CREATE = """
mutation createJob($job: JobInput!, $version: JobVersionInput!) { createJob(job: $job, jobVersion: $version) { id } }
"""
_ADD_VERSION = """
mutation addJobVersion($id: UUID!, $version: JobVersionInput!) {
  addJobVersion(jobId: $id, jobVersion: $version) { number }
}
"""
_RUN = "mutation runJob($id: UUID!) { runJob(jobId: $id) { id } }"
_RUNTIMES = {"Bash": "debian12-bookworm", "Python": "3.11", "Spark": "3.5"}
_LOADS = """echo 'Connecting to the warehouse'
for table in customers orders invoices returns; do echo "Loading $table"; sleep 0.05; done
echo 'warning: 3 rows of returns have no customer' >&2
echo 'Loaded 4 tables, 18,204 rows'
echo 'rows=18204' >> "$SAAGIE_OUTPUT_VARS_PATH"
"""
_FAILS = "echo 'Reading the orders of last night'; echo 'orders.csv: no such file' >&2; exit 2"
_COUNTS = 'n=0; while [ "$n" -lt 900 ]; do n=$((n+1)); echo "Row group $n of 900"; sleep 0.1; done'


@dataclass
class Scene:
    """What there is to look at."""

    emulator: Emulator
    session: requests.Session

    @property
    def project(self) -> str:
        return f"{self.emulator.url}/projects/platform/1/project/{self.emulator.projects[PROJECT]}"

    def job(self, name: str) -> str:
        return f"{self.project}/job/{self.emulator.jobs()[name].id}"

    def latest(self, name: str) -> LocalInstance:
        return self.emulator.jobs()[name].instances[0]

    def create(self, name: str, command: str, technology: str = "Bash", **settings: Any) -> str:
        """Make a job, and give its id."""
        found = self.emulator.graphql("{ repositories { technologies { id label } } }", gateway=True)["repositories"]
        ids = {one["label"]: one["id"] for repository in found for one in repository["technologies"]}
        job = {
            "projectId": self.emulator.projects[PROJECT],
            "name": name,
            "category": "Processing",
            "technology": {"id": ids[technology]},
            "isScheduled": False,
            "isStreaming": False,
            **settings,
        }
        version = {"runtimeVersion": _RUNTIMES[technology], "commandLine": command, "releaseNote": "First version"}
        return self.send(_CREATE, job=job, version=version)["createJob"]["id"]

    def add_version(self, job_id: str, command: str, note: str) -> None:
        version = {"runtimeVersion": _RUNTIMES["Bash"], "commandLine": command, "releaseNote": note}
        self.send(_ADD_VERSION, id=job_id, version=version)

    def run(self, job_id: str, *until: str) -> str:
        """Start a job and wait until its instance has one of these statuses."""
        instance = self.send(_RUN, id=job_id)["runJob"]["id"]
        deadline = time.monotonic() + 20
        while until and self.status(instance) not in until:
            assert time.monotonic() < deadline, self.status(instance)
            time.sleep(0.05)
        return instance

    def send(self, document: str, **variables: Any) -> dict[str, Any]:
        """Send a document as a client would: it is counted, and faults strike it."""
        url = f"{self.emulator.url}/projects/api/platform/1/graphql"
        answer = self.session.post(url, json={"query": document, "variables": variables}, timeout=10)
        answer.raise_for_status()
        return answer.json()["data"]

    def status(self, instance_id: str) -> str:
        every = [one for job in self.emulator.jobs().values() for one in job.instances]
        return next(one.status for one in every if one.id == instance_id)


def build(emulator: Emulator) -> Scene:
    """Fill an emulator."""
    emulator.begin([PROJECT])
    scene = Scene(emulator, _logged_in(emulator))
    loads = scene.create("Load the warehouse", _LOADS, description="Copies last night's tables into the warehouse.")
    for _ in range(3):
        scene.run(loads, "SUCCEEDED")
    scene.add_version(loads, _FAILS, "Reads the orders too")
    scene.run(loads, "FAILED")
    scene.add_version(loads, _LOADS, "Back to what worked")
    scene.run(loads, "SUCCEEDED")
    scene.create("Tell the shops", "python {file} --all", "Python", isScheduled=True, cronScheduling="0 7 * * 1-5")
    scene.run(scene.create("Check the invoices", _FAILS), "FAILED")
    scene.run(scene.create("Aggregate by region", "spark-submit {file}", "Spark"), "FAILED")
    scene.run(scene.create("Rebuild the index", _COUNTS), "RUNNING")
    return scene


def _logged_in(emulator: Emulator) -> requests.Session:
    session = requests.Session()
    session.headers["User-Agent"] = "airflow-provider-saagie/0.1.0 dag=nightly task=load"
    answer = session.post(
        f"{emulator.url}/authentication/api/open/authenticate",
        json={"login": emulator.login, "password": emulator.password},
        headers={"Saagie-Realm": emulator.realm},
        timeout=10,
    )
    session.headers["Authorization"] = f"Bearer {answer.text}"
    return session
