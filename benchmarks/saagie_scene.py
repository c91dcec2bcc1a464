"""What the client's benchmarks need of a Saagie: a client for an address, a job in the emulator, its real answers."""

from __future__ import annotations

import json
import subprocess
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from airflow_provider_saagie.client.documents import document
from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.client.settings import Settings, read_settings
from airflow_provider_saagie.emulator import testing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_saagie.emulator.testing import Emulator

LOGIN, REALM, PLATFORM = testing.Emulator.login, testing.Emulator.realm, 1
OFFICIAL = Path(__file__).parents[1] / ".venv-saagieapi" / "bin" / "python"


def settings_for(url: str, password: str | None = None, timeout: float = 60) -> Settings:
    """Return the settings of a connection to the emulator or to a server in its place, which takes any password."""
    extra = {"realm": REALM, "platform_id": PLATFORM, "timeout": timeout}
    return read_settings(host=url, login=LOGIN, password=password or LOGIN, extra=extra)


@contextmanager
def running_emulator(folder: Path, *options: str) -> Iterator[Emulator]:
    """Run an emulator, which keeps its data below a folder, for the length of a block."""
    folder.mkdir(exist_ok=True)
    emulator = testing.start(folder, options)
    try:
        yield emulator
    finally:
        emulator.stop()


def log_in(emulator: Emulator) -> str:
    """Return a token."""
    credentials = {"login": emulator.login, "password": emulator.password}
    url = f"{emulator.url}/authentication/api/open/authenticate"
    return requests.post(url, json=credentials, headers={"Saagie-Realm": emulator.realm}, timeout=60).text


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


def real_answer(emulator: Emulator, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Ask the emulator what our client would, and give the whole answer."""
    from graphql import print_ast

    doc = document(operation)
    answer = requests.post(
        emulator.url + ("/gateway/api/graphql" if doc.at_gateway else f"/projects/api/platform/{PLATFORM}/graphql"),
        json={"query": print_ast(doc.node), "operationName": operation, "variables": variables},
        headers={"Authorization": f"Bearer {log_in(emulator)}"},
        timeout=60,
    ).json()
    if "errors" in answer:
        raise SystemExit(f"{operation}: {json.dumps(answer['errors'])[:400]}")
    found: dict[str, Any] = answer
    return found
