"""A client of the emulator, over requests, and jobs for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.emulator.testing import Emulator
from tests.support.clients import client_for

BASH = {"technology": "bash", "runtime_version": "debian12-bookworm", "command_line": "bash {file}"}


@pytest.fixture
def client(emulator: Emulator) -> Iterator[SaagieClient]:
    """A client that repeats no request."""
    with client_for(emulator, extra={"retries": 0}) as client:
        yield client


@pytest.fixture
def run(client: SaagieClient) -> Callable[..., Any]:
    """A function that runs an operation against the emulator."""
    return client.session.run


@pytest.fixture
def project_id(emulator: Emulator) -> str:
    return emulator.projects["Demo"]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The file of a job that writes a line to each stream."""
    path = tmp_path / "job.sh"
    path.write_text("echo out\necho err >&2\n")
    return path


@pytest.fixture
def change(script: Path) -> Callable[..., JobChange]:
    """A function that returns the settings of a job that runs the script; it takes those that differ."""
    return lambda job_name="a job", **more: JobChange(**{"job_name": job_name, "file": str(script), **BASH, **more})
