"""The local Saagie of a stack, as tests see it: instances, requests to stop, faults, and the processes of jobs."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.client.settings import read_settings
from scripts import stack as stacks
from scripts.stack import Stack
from tests.support import waiting

LIMIT = 240.0  # seconds until a step of a real Airflow counts as failed
wait_until = functools.partial(waiting.wait_until, limit=LIMIT, pause=0.3)


@dataclass(frozen=True)
class SaagieSide:
    """The local Saagie of a stack."""

    url: str
    client: SaagieClient

    def make_job(self, code: str, folder: Path, name: str = "") -> str:
        """Create a job of some Python and return its id; the file is written into a folder."""
        file = folder / f"{uuid.uuid4()}.py"
        file.write_text(code)
        created = self.client.jobs.create(
            name or f"Job {file.stem}", self.client.get_project_id("Demo"), file=str(file), runtime_version="3.11",
            command_line="python {file}",
        )  # fmt: skip
        return str(created["data"]["createJob"]["id"])

    def run(self, job_id: str) -> str:
        return str(self.client.jobs.run(job_id)["runJob"]["id"])

    def status(self, instance_id: str) -> str:
        found = self.client.jobs.get_instance(instance_id)["jobInstance"]
        return str(found["status"])

    def stops(self, instance_id: str) -> list[dict[str, Any]]:
        """List the requests to stop an instance."""
        response = requests.get(f"{self.url}/emulator/requests", timeout=60)
        return [
            request
            for request in response.json()["requests"]
            if "stopJobInstance" in request["fields"] and instance_id in request["variables"].values()
        ]

    def stop(self, instance_id: str) -> None:
        self.client.jobs.stop(instance_id)

    def end(self, instance_id: str, status: str, reason: str | None = None) -> None:
        """Let an instance end in a status, as if Saagie had ended it."""
        body = {"status": status, "reason": reason}
        requests.post(f"{self.url}/emulator/instances/{instance_id}", json=body, timeout=60).raise_for_status()

    def fault(self, what: str, operation: str, **options: Any) -> Callable[[], bool]:
        """Inject a fault; return a function that checks whether it has been used up."""
        body = {"what": what, "operation": operation, **options}
        requests.post(f"{self.url}/emulator/faults", json=body, timeout=60).raise_for_status()

        def is_used_up() -> bool:
            faults = requests.get(f"{self.url}/emulator/faults", timeout=60).json()["faults"]
            return bool(faults[-1]["struck"] >= options.get("times", 1))

        return is_used_up

    def clear_faults(self) -> None:
        requests.delete(f"{self.url}/emulator/faults", timeout=60).raise_for_status()


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
