"""What the tests see from Saagie's side: its instances, its list of requests, the processes of its jobs."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import requests

from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.client.settings import read_settings
from scripts import stack as stacks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scripts.stack import Stack


@dataclass(frozen=True)
class SaagieSide:
    """The local Saagie of a stack."""

    url: str
    client: SaagieClient

    def make_job(self, code: str, folder: Path) -> str:
        """Make a job of some Python, and give its id; the file is written into a folder."""
        file = folder / f"{uuid.uuid4()}.py"
        file.write_text(code)
        made = self.client.jobs.create(
            f"Job {file.stem}", self.client.get_project_id("Demo"), file=str(file), runtime_version="3.11",
            command_line="python {file}",
        )  # fmt: skip
        return str(made["data"]["createJob"]["id"])

    def status(self, instance_id: str) -> str:
        found = self.client.jobs.get_instance(instance_id)["jobInstance"]
        return str(found["status"])

    def stops(self, instance_id: str) -> list[dict[str, Any]]:
        """List the requests to stop an instance."""
        answer = requests.get(f"{self.url}/emulator/requests", timeout=10)
        return [
            one
            for one in answer.json()["requests"]
            if "stopJobInstance" in one["fields"] and instance_id in one["variables"].values()
        ]

    def stop(self, instance_id: str) -> None:
        self.client.jobs.stop(instance_id)

    def end(self, instance_id: str, status: str, reason: str | None = None) -> None:
        """Let an instance end by Saagie's own doing."""
        told = {"status": status, "reason": reason}
        answer = requests.post(f"{self.url}/emulator/instances/{instance_id}", json=told, timeout=10)
        answer.raise_for_status()


def connect(stack: Stack) -> SaagieSide:
    settings = read_settings(
        host=stack.saagie_url,
        login=stacks.SAAGIE_LOGIN,
        password=stack.wishes.saagie_password,
        extra={"realm": stacks.REALM, "platform_id": stacks.PLATFORM},
    )
    return SaagieSide(stack.saagie_url, SaagieClient(settings))


def processes_of(instance_id: str) -> list[psutil.Process]:
    """Find the processes of a job instance; the local Saagie starts them with its id in their environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("SAAGIE_JOB_INSTANCE_ID") == instance_id:
                found.append(process)
    return found


def wait_until(what: Callable[[], Any], seconds: float, why: str) -> Any:
    """Wait until `what` gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {why}"
        time.sleep(0.2)
    return found
