"""Deploys this repository's jobs to Saagie. CI runs it, with the connection in AIRFLOW_CONN_SAAGIE_DEFAULT."""

from __future__ import annotations

import os
from pathlib import Path

from airflow_provider_saagie.hooks.saagie import SaagieHook

FOLDER = Path(__file__).parent
JOBS = [
    {
        "job_name": "Load orders",
        "file": str(FOLDER / "dags" / "jobs" / "load_orders.py"),
        "runtime_version": "3.11",
        "command_line": "python {file}",
    },
]

if __name__ == "__main__":
    client = SaagieHook().get_conn()
    project_id = client.get_project_id("Demo")
    for job in JOBS:
        client.jobs.create_or_upgrade(project_id=project_id, release_note=os.environ.get("COMMIT", ""), **job)
        print(f"{job['job_name']} is deployed.")
