"""``list_for_project`` of 5,000 jobs with 10 instances each: time, CPU and peak memory beside the official client's.

Run it with ``python -m benchmarks.list_jobs``. Both ask one emulator, in turns, each in a process of its own. Most of
the time is the emulator's, which is the same for both: the CPU is what the clients themselves cost.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.emulator.store import instances, jobs, versions
from airflow_provider_saagie.emulator.store.database import Database
from benchmarks.figures import machine
from benchmarks.saagie_scene import (
    LOGIN,
    OFFICIAL,
    PLATFORM,
    REALM,
    last_line,
    make_instance,
    running_emulator,
    settings_for,
)

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.testing import Emulator

JOBS, INSTANCES, ROUNDS = 5_000, 10, 3
# Both clients log in and send a small call first, so that what follows is the list alone.
MEASURE = """
import contextlib, io, json, re, sys, time
from pathlib import Path

def memory(field):
    return int(re.search(field + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

def measure(list_jobs):
    Path("/proc/self/clear_refs").write_text("5")
    before, began, busy = memory("VmRSS"), time.perf_counter(), time.process_time()
    found = list_jobs()["jobs"]
    took = [time.perf_counter() - began, time.process_time() - busy, memory("VmHWM") - before]
    print()
    print(json.dumps([*took, len(found), sum(len(job["instances"]) for job in found)]))

url, project, platform, login, password, realm = sys.argv[1:]
"""
OURS = """
from airflow_provider_saagie.client.saagie import SaagieClient
from benchmarks.saagie_scene import settings_for
with SaagieClient(settings_for(url, password, timeout=600)) as client:
    client.get_platform()
    measure(lambda: client.jobs.list_for_project(project))
"""
OFFICIALS = """
import logging
from saagieapi import SaagieApi
logging.disable()
api = SaagieApi(url, platform, login, password, realm, timeout=600)
api.get_platform_info()
measure(lambda: api.jobs.list_for_project(project))
"""


@dataclass(frozen=True)
class Listing:
    """What listing the jobs took, and how much came."""

    seconds: float
    cpu_seconds: float
    extra_mib: float
    jobs: int
    instances: int


def fill(folder: Path) -> str:
    """Make the jobs straight in the emulator's store, as many as there are to be; the project's id."""
    with running_emulator(folder) as emulator, SaagieClient(settings_for(emulator.url, emulator.password)) as client:
        example, _ = make_instance(client)
        project_id = client.get_project_id("Demo")
    database = Database(folder / "data")
    try:
        with database.writing():
            like = jobs.get_job(database, example)
            if like is None:
                raise SystemExit("the emulator has lost a job")
            for number in range(JOBS - 1):  # the example is one, too
                new = jobs.NewJob(project_id, f"job {number}", like.category, like.technology_id)
                job_id = jobs.create_job(database, new).id
                versions.add_version(database, job_id, versions.NewVersion(LOGIN, "first", "3.11", "python {file}"))
                for _ in range(INSTANCES):
                    instances.create_instance(database, job_id, LOGIN, simulated_ms=1)
            for _ in range(INSTANCES - 1):
                instances.create_instance(database, example, LOGIN, simulated_ms=1)
        time.sleep(0.1)  # by now all have ended
        instances.settle(database)
    finally:
        database.close()
    return project_id


def listed(python: str, script: str, emulator: Emulator, project_id: str) -> Listing:
    """List the jobs in a process of its own."""
    told = [emulator.url, project_id, str(PLATFORM), LOGIN, emulator.password, REALM]
    return Listing(*json.loads(last_line([python, "-c", MEASURE + script, *told])))


def main() -> int:
    """Measure and print; 1 where not all came."""
    print(f"\nA long list. {machine()}")
    clients = {"SaagieHook().jobs": (sys.executable, OURS)}
    if OFFICIAL.exists():
        clients["saagieapi"] = (str(OFFICIAL), OFFICIALS)
    took: dict[str, list[Listing]] = {name: [] for name in clients}
    with tempfile.TemporaryDirectory() as name:
        project_id = fill(Path(name) / "emulator")
        with running_emulator(Path(name) / "emulator") as emulator:
            for _ in range(ROUNDS):
                for client, (python, script) in clients.items():
                    took[client].append(listed(python, script, emulator, project_id))
    print(f"{JOBS:,} jobs with {INSTANCES} instances each; medians of {ROUNDS}, in turns\n")
    print(f"{'':<24} {'time':>10} {'CPU':>10} {'peak memory':>14}")
    for client, listings in took.items():
        seconds = statistics.median(one.seconds for one in listings)
        busy = statistics.median(one.cpu_seconds for one in listings)
        memory = statistics.median(one.extra_mib for one in listings)
        print(f"{client:<24} {seconds:8.2f} s {busy:8.2f} s {memory:10.0f} MiB")
    everything = all(
        (one.jobs, one.instances) == (JOBS, JOBS * INSTANCES) for listings in took.values() for one in listings
    )
    print("\nAll jobs and instances came." if everything else "\nNot all jobs and instances came.")
    return int(not everything)


if __name__ == "__main__":
    sys.exit(main())
