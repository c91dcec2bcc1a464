"""An emulator with something to look at: jobs that have succeeded, failed, run, or never run."""

from dataclasses import dataclass
from typing import Any

import httpx

from airflow_provider_saagie.emulator.testing import Emulator, LocalInstance
from tests.support.emulator_client import Client

PROJECT = "Demo"
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
    """The emulator, and a client that is logged in to it: its requests are counted and get faults."""

    emulator: Emulator
    client: Client

    @property
    def project(self) -> str:
        return f"{self.emulator.url}/projects/platform/1/project/{self.emulator.projects[PROJECT]}"

    def job(self, name: str) -> str:
        """Return the address of a job's page."""
        return f"{self.project}/job/{self.emulator.jobs()[name].id}"

    def latest(self, name: str) -> LocalInstance:
        return self.emulator.jobs()[name].instances[0]

    def create(self, name: str, command: str, kind: str = "bash", **settings: Any) -> str:
        """Create a job and return its id."""
        return self.client.job(command, kind=kind, name=name, releaseNote="First version", **settings)

    def run(self, job_id: str, status: str) -> LocalInstance:
        """Start a job and return its instance once it has the status."""
        instance = self.client.run(job_id)
        self.client.wait(instance, status)
        return next(one for job in self.emulator.jobs().values() for one in job.instances if one.id == instance)


def build(emulator: Emulator) -> Scene:
    """Fill an emulator."""
    emulator.begin([PROJECT])
    agent = {"User-Agent": "airflow-provider-saagie/0.1.0 dag=nightly task=load"}
    http = httpx.Client(base_url=emulator.url, trust_env=False, timeout=60, headers=agent)
    scene = Scene(emulator, Client(http, emulator.password))
    loads = scene.create("Load the warehouse", LOADS, description="Copies last night's tables into the warehouse.")
    for _ in range(3):
        scene.run(loads, "SUCCEEDED")
    scene.client.add_version(loads, FAILS, releaseNote="Reads the orders too")
    scene.run(loads, "FAILED")
    scene.client.add_version(loads, LOADS, releaseNote="Back to what worked")
    scene.run(loads, "SUCCEEDED")
    scene.create("Tell the shops", "python {file} --all", "python", isScheduled=True, cronScheduling="0 7 * * 1-5")
    scene.run(scene.create("Check the invoices", FAILS), "FAILED")
    scene.run(scene.create("Aggregate by region", "spark-submit {file}", "spark"), "FAILED")
    scene.run(scene.create("Rebuild the index", COUNTS), "RUNNING")
    return scene
