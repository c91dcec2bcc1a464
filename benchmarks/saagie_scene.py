"""What the client's benchmarks need of a Saagie: a client for an address, a job in the emulator, its real answers."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path
from typing import Any

import requests

from airflow_provider_saagie.client.documents import document
from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.client.settings import Settings, read_settings
from tests.support.emulator_process import LOGIN, PASSWORD, PLATFORM, REALM, EmulatorProcess

OFFICIAL = Path(__file__).parents[1] / ".venv-saagieapi" / "bin" / "python"


def settings_for(url: str, timeout: float = 60) -> Settings:
    """Give the settings of a connection to the emulator, or to whatever takes its place."""
    extra = {"realm": REALM, "platform_id": PLATFORM, "timeout": timeout}
    return read_settings(host=url, login=LOGIN, password=PASSWORD, extra=extra)


def last_line(command: list[str]) -> str:
    """Run a program and give the last line that it prints; it must end well."""
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"{command[0]} failed: {run.stderr[-2000:]}")
    return run.stdout.splitlines()[-1]


def make_instance(client: SaagieClient) -> tuple[str, str]:
    """Make a Bash job in the emulator and run it; its id and its instance's."""
    job_id = client.jobs.create(
        f"job {uuid.uuid4()}", client.get_project_id("Demo"), technology="bash",
        runtime_version="debian12-bookworm", command_line="true",
    )["data"]["createJob"]["id"]  # fmt: skip
    return job_id, client.jobs.run_with_callback(job_id, freq=1)[1]


def real_answer(emulator: EmulatorProcess, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Ask the emulator what our client would, and give the whole answer."""
    from graphql import print_ast

    doc = document(operation)
    answer = requests.post(
        emulator.gateway_url if doc.at_gateway else emulator.graphql_url,
        json={"query": print_ast(doc.node), "operationName": operation, "variables": variables},
        headers={"Authorization": f"Bearer {emulator.log_in()}"},
        timeout=60,
    ).json()
    if "errors" in answer:
        raise SystemExit(f"{operation}: {json.dumps(answer['errors'])[:400]}")
    found: dict[str, Any] = answer
    return found
