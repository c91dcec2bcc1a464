"""An emulator with something to look at: jobs that have succeeded, failed, run, or never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.testing import Emulator, LocalInstance

PROJECT = "Demo"
CREATE = """
mutation createJob($job: JobInput!, $version: JobVersionInput!) { createJob(job: $job, jobVersion: $version) { id } }
"""
ADD_VERSION = """
mutation addJobVersion($id: UUID!, $version: JobVersionInput!) {
  addJobVersion(jobId: $id, jobVersion: $version) { number }
}
"""
RUN = "mutation runJob($id: UUID!) { runJob(jobId: $id) { id } }"
RUNTIMES = {"Bash": "debian12-bookworm", "Python": "3.11", "Spark": "3.5"}
LOADS = """echo 'Connecting to the warehouse'
for table in customers orders invoices returns; do echo "Loading $table"; done
echo 'warning: 3 rows of returns have no customer' >&2
echo 'Loaded 4 tables, 18,204 rows'
echo 'rows=18204' >> "$SAAGIE_OUTPUT_VARS_PATH"
"""
FAILS = "echo 'Reading the orders of last night'; echo 'orders.csv: no such file' >&2; exit 2"
COUNTS = 'n=0; while [ "$n" -lt 900 ]; do n=$((n+1)); echo "Row group $n of 900"; sleep 0.1; done'


@dataclass
class Scene:
    """The emulator, and a session that is logged in to it: its requests are counted and get faults."""

    emulator: Emulator
    session: requests.Session

    @property
    def project(self) -> str:
        return f"{self.emulator.url}/projects/platform/1/project/{self.emulator.projects[PROJECT]}"

    def job(self, name: str) -> str:
        """Return the address of a job's page."""
        return f"{self.project}/job/{self.emulator.jobs()[name].id}"

    def latest(self, name: str) -> LocalInstance:
        return self.emulator.jobs()[name].instances[0]

    def create(self, name: str, command: str, technology: str = "Bash", **settings: Any) -> str:
        """Create a job and return its id."""
        found = self.emulator.graphql("{ repositories { technologies { id label } } }", gateway=True)["repositories"]
        ids = {kind["label"]: kind["id"] for repository in found for kind in repository["technologies"]}
        job = {
            "projectId": self.emulator.projects[PROJECT],
            "name": name,
            "category": "Processing",
            "technology": {"id": ids[technology]},
            "isScheduled": False,
            "isStreaming": False,
            **settings,
        }
        version = {"runtimeVersion": RUNTIMES[technology], "commandLine": command, "releaseNote": "First version"}
        job_id: str = self.send(CREATE, job=job, version=version)["createJob"]["id"]
        return job_id

    def add_version(self, job_id: str, command: str, note: str) -> None:
        version = {"runtimeVersion": RUNTIMES["Bash"], "commandLine": command, "releaseNote": note}
        self.send(ADD_VERSION, id=job_id, version=version)

    def run(self, job_id: str, status: str) -> LocalInstance:
        """Start a job and return its instance once it has the status."""
        instance_id = self.send(RUN, id=job_id)["runJob"]["id"]

        def reached() -> LocalInstance | None:
            found = [one for job in self.emulator.jobs().values() for one in job.instances if one.id == instance_id]
            return found[0] if found[0].status == status else None

        return wait_until(reached)

    def send(self, document: str, **variables: Any) -> dict[str, Any]:
        url = f"{self.emulator.url}/projects/api/platform/1/graphql"
        response = self.session.post(url, json={"query": document, "variables": variables}, timeout=60)
        response.raise_for_status()
        data: dict[str, Any] = response.json()["data"]
        return data


def build(emulator: Emulator) -> Scene:
    """Fill an emulator."""
    emulator.begin([PROJECT])
    scene = Scene(emulator, _logged_in(emulator))
    loads = scene.create("Load the warehouse", LOADS, description="Copies last night's tables into the warehouse.")
    for _ in range(3):
        scene.run(loads, "SUCCEEDED")
    scene.add_version(loads, FAILS, "Reads the orders too")
    scene.run(loads, "FAILED")
    scene.add_version(loads, LOADS, "Back to what worked")
    scene.run(loads, "SUCCEEDED")
    scene.create("Tell the shops", "python {file} --all", "Python", isScheduled=True, cronScheduling="0 7 * * 1-5")
    scene.run(scene.create("Check the invoices", FAILS), "FAILED")
    scene.run(scene.create("Aggregate by region", "spark-submit {file}", "Spark"), "FAILED")
    scene.run(scene.create("Rebuild the index", COUNTS), "RUNNING")
    return scene


def _logged_in(emulator: Emulator) -> requests.Session:
    session = requests.Session()
    session.headers["User-Agent"] = "airflow-provider-saagie/0.1.0 dag=nightly task=load"
    response = session.post(
        f"{emulator.url}/authentication/api/open/authenticate",
        json={"login": emulator.login, "password": emulator.password},
        headers={"Saagie-Realm": emulator.realm},
        timeout=60,
    )
    session.headers["Authorization"] = f"Bearer {response.text}"
    return session
