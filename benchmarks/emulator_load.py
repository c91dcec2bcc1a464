"""How quick the emulator is: its start, a job's start, and 10,000 simulated instances asked for a hundred at a time.

Run it with ``python -m benchmarks.emulator_load``: it ends with 1 where a figure is worse than what is promised.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks.saagie_scene import PLATFORM, log_in, running_emulator

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.testing import Emulator

INSTANCES, BATCH, ROUNDS, STARTS, JOBS = 10_000, 100, 5, 3, 20
# What a watcher asks for of each instance.
STATUS = """
fragment watched on JobInstance {
  id number jobId startTime endTime
  history { currentStatus { status reason details recordAt } }
  runTrigger { triggerType ... on AuthoredTrigger { author } } stopTrigger { author triggerType }
}
"""
CREATE = "mutation c($job: JobInput!, $version: JobVersionInput!) { createJob(job: $job, jobVersion: $version) { id } }"
RUN = "mutation r($id: UUID!) { runJob(jobId: $id) { id } }"
LINES = "query l($id: UUID!) { filteredLogs(jobInstanceID: $id, streams: [STDOUT], limit: 1) { content { value } } }"


@dataclass(frozen=True)
class Figure:
    """A measured figure and what is promised."""

    name: str
    value: float
    limit: float
    unit: str
    more: str = ""


class Client:
    """A client as light as can be: one connection, prepared text."""

    def __init__(self, emulator: Emulator) -> None:
        address = urlsplit(f"{emulator.url}/projects/api/platform/{PLATFORM}/graphql")
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        self._path = address.path
        self._headers = {"Authorization": f"Bearer {log_in(emulator)}", "Content-Type": "application/json"}

    def data(self, document: str, **variables: Any) -> dict[str, Any]:
        """Send a document and return its data."""
        return self.send(json.dumps({"query": document, "variables": variables}))

    def send(self, body: str) -> dict[str, Any]:
        """Send a prepared body and return its data."""
        self._connection.request("POST", self._path, body, self._headers)
        answer = json.loads(self._connection.getresponse().read())
        if "errors" in answer:
            raise SystemExit(str(answer["errors"][:1]))
        data: dict[str, Any] = answer["data"]
        return data

    def make_job(self, command: str) -> str:
        """Make a Bash job."""
        project = self.data("{ projects { id technologiesByCategory { jobCategory technologies { id } } } }")
        found = project["projects"][0]
        bash = found["technologiesByCategory"][0]["technologies"]
        for technology in bash:  # the catalogue's order is nobody's promise
            job = {
                "projectId": found["id"], "name": f"job {time.time_ns()}", "isScheduled": False, "isStreaming": False,
                "category": found["technologiesByCategory"][0]["jobCategory"], "technology": technology,
            }  # fmt: skip
            version = {"runtimeVersion": "debian12-bookworm", "commandLine": command}
            self._connection.request(
                "POST", self._path, json.dumps({"query": CREATE, "variables": {"job": job, "version": version}}),
                self._headers,
            )  # fmt: skip
            answer = json.loads(self._connection.getresponse().read())
            if "errors" not in answer:
                return str(answer["data"]["createJob"]["id"])
        raise SystemExit("the project allows no Bash")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def measure_start(folder: Path) -> Figure:
    """From starting the process, on a new data folder, to its first answer."""
    took = []
    for number in range(STARTS):
        began = time.perf_counter()
        with running_emulator(folder / f"start{number}") as emulator:
            emulator.stats()
            took.append(time.perf_counter() - began)
    return Figure("start to first answer", statistics.median(took), 2.0, "s", f"median of {STARTS}, new data folder")


def measure_job_start(folder: Path) -> Figure:
    """From sending `runJob` to the first thing that the job's process does: it writes the time."""
    took = []
    with running_emulator(folder / "jobs") as emulator:
        client = Client(emulator)
        job = client.make_job("echo $EPOCHREALTIME")
        for _ in range(JOBS):
            began = time.time()
            instance = client.data(RUN, id=job)["runJob"]["id"]
            while not (lines := client.data(LINES, id=instance)["filteredLogs"]["content"]):
                time.sleep(0.02)
            took.append(float(lines[0]["value"].replace(",", ".")) - began)
        client.close()
    worst = f"median of {JOBS}, worst {max(took) * 1000:.0f} ms"
    return Figure("job's process after runJob", statistics.median(took) * 1000, 200, "ms", worst)


def measure_load(folder: Path) -> list[Figure]:
    """Ask for the status of all instances, a hundred in each request, one request after the other."""
    with running_emulator(folder / "load", "--simulate", "--simulate-seconds", "3600") as emulator:
        client = Client(emulator)
        job = client.make_job("true")
        many = "mutation m($id: UUID!) {" + " ".join(f"i{n}: runJob(jobId: $id) {{ id }}" for n in range(BATCH)) + "}"
        ids = [one["id"] for _ in range(INSTANCES // BATCH) for one in client.data(many, id=job).values()]
        names = ", ".join(f"$i{n}: UUID!" for n in range(BATCH))
        fields = " ".join(f"i{n}: jobInstance(id: $i{n}) {{ ...watched }}" for n in range(BATCH))
        document = f"query watch({names}) {{ {fields} }} {STATUS}"
        bodies = [
            json.dumps({"query": document, "variables": {f"i{n}": one for n, one in enumerate(ids[at : at + BATCH])}})
            for at in range(0, len(ids), BATCH)
        ]
        client.send(bodies[0])  # the document is parsed once
        took, busy = [], _cpu(emulator)
        for _ in range(ROUNDS):
            for body in bodies:
                began = time.perf_counter()
                found = client.send(body)
                took.append((time.perf_counter() - began) * 1000)
                if len(found) != BATCH or None in found.values():
                    raise SystemExit("an instance is missing")
        round_cpu = (_cpu(emulator) - busy) / ROUNDS
        memory = int(_status(emulator, "VmHWM")) / 1024
        client.close()
    shares = statistics.quantiles(took, n=100)
    return [
        Figure(
            f"{BATCH}-alias status request",
            statistics.median(took),
            25,
            "ms",
            f"of {len(took)}; a tenth within {shares[9]:.1f}, 99 % within {shares[98]:.1f}",
        ),
        Figure(f"CPU of {INSTANCES:,} watched, every 5 s", round_cpu / 5 * 100, 50, "% of a core"),
        Figure(f"memory with {INSTANCES:,} instances", memory, 300, "MiB", "the most it ever held"),
    ]


def _cpu(emulator: Emulator) -> float:
    fields = Path(f"/proc/{emulator.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100  # user and system time, in hundredths of a second


def _status(emulator: Emulator, name: str) -> str:
    return Path(f"/proc/{emulator.process.pid}/status").read_text().partition(f"{name}:")[2].split()[0]


def main() -> int:
    """Measure and print; 1 where a promise is not kept."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}, {INSTANCES:,} instances, {ROUNDS} rounds\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = os.getloadavg()[0]
        figures = [measure_start(folder), measure_job_start(folder), *measure_load(folder)]
    for one in figures:
        mark = "" if one.value <= one.limit else "  TOO MUCH"
        print(f"{one.name:<38} {one.value:8.2f} {one.unit:<12} (promised: {one.limit:g})  {one.more}{mark}")
    busy = f"{before:.1f} before and {os.getloadavg()[0]:.1f} after, on {os.cpu_count()} cores, our own work included"
    print(f"\nThe machine's load was {busy}: what else runs on it shows in these figures.")
    return int(any(one.value > one.limit for one in figures))


if __name__ == "__main__":
    sys.exit(main())
