"""How wide the open window is: from the last look at the clock to the moment at which `runJob` is sent.

`.venv/bin/python -m tests.system.cluster.width --times 40`. Each time is a process of its own: the first request of a
process is the slowest, and the first is what a task sends.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from airflow_provider_saagie.emulator.testing import start
from tests.support.clients import client_for

ONE = """
import http.client, sys, time
from airflow_provider_saagie.client import definitions, instances
from airflow_provider_saagie.client.session import Session
from airflow_provider_saagie.client.settings import read_settings

looked, sent = [], []
send = http.client.HTTPConnection.send

def note(self, data):
    sent.append(time.perf_counter())
    return send(self, data)

url, password, job_id = sys.argv[1:]
settings = read_settings(
    host=url, login="airflow", password=password, extra={"realm": "local", "platform_id": 1}
)
with Session(settings) as session:
    session.run(definitions.read_summary(job_id))  # as a task does before it starts a job
    http.client.HTTPConnection.send = note
    session.run(instances.run(job_id, before_send=lambda: looked.append(time.perf_counter())))
first = next(moment for moment in sent if moment > looked[-1])
print(1000 * (first - looked[-1]), 1000 * (first - looked[0]))
"""


def main() -> None:
    """Measure, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=40)
    times = parser.parse_args().times
    since_last_look, since_intent = [], []
    with tempfile.TemporaryDirectory() as folder:
        emulator = start(Path(folder), ("--simulate",))
        emulator.begin(["Demo"])
        with client_for(emulator) as client:
            job_id = client.jobs.create(
                "Width", client.get_project_id("Demo"), technology="bash", runtime_version="debian12-bookworm",
                command_line="true",
            )["data"]["createJob"]["id"]  # fmt: skip
        for _ in range(times):
            ran = subprocess.run(
                [sys.executable, "-c", ONE, emulator.url, emulator.password, job_id],
                capture_output=True, text=True, check=True, timeout=60,
            )  # fmt: skip
            look, intent = ran.stdout.split()
            since_last_look.append(float(look))
            since_intent.append(float(intent))
        emulator.stop()
    for name, found in (("from the last look", since_last_look), ("from the writing of the intent", since_intent)):
        sys.stdout.write(
            f"{name}: median {statistics.median(found):.2f} ms, largest {max(found):.2f} ms of {len(found)}\n"
        )


if __name__ == "__main__":
    main()
