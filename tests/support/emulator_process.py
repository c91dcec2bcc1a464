"""Starts the emulator as a process, as a user would, and talks to its control endpoints."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY = "Saagie emulator listening on "
LOGIN, PASSWORD, REALM, PLATFORM = "airflow", "correct horse", "local", 1


@dataclass
class EmulatorProcess:
    """A running emulator."""

    url: str
    data: Path
    process: subprocess.Popen[str] = field(repr=False)
    login: str = LOGIN
    password: str = PASSWORD
    realm: str = REALM
    platform: int = PLATFORM

    @property
    def graphql_url(self) -> str:
        return f"{self.url}/projects/api/platform/{self.platform}/graphql"

    @property
    def gateway_url(self) -> str:
        return f"{self.url}/gateway/api/graphql"

    def fault(self, what: str, operation: str = "*", **options: Any) -> None:
        """Switch a fault on, for example `fault("drop", "runJob")`."""
        self.control("POST", "faults", {"what": what, "operation": operation, **options})

    def faults(self) -> list[dict[str, Any]]:
        return self.control("GET", "faults")["faults"]

    def clear_faults(self) -> None:
        self.control("DELETE", "faults")

    def stats(self) -> dict[str, Any]:
        return self.control("GET", "stats")

    def requests(self) -> list[dict[str, Any]]:
        """List the mutations that came in, oldest first."""
        return self.control("GET", "requests")["requests"]

    def set_instance(
        self, instance_id: str, status: str, reason: str | None = None, details: str | None = None, **more: Any
    ) -> None:
        """Give an instance a status by hand."""
        body = {"status": status, "reason": reason, "details": details, **more}
        self.control("POST", f"instances/{instance_id}", body)

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}/emulator/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(15)
        finally:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdout, self.process.stderr):
                if pipe is not None:
                    pipe.close()

    def log_in(self) -> str:
        """Get a token, without any client of ours."""
        request = urllib.request.Request(
            f"{self.url}/authentication/api/open/authenticate",
            data=json.dumps({"login": self.login, "password": self.password}).encode(),
            headers={"Content-Type": "application/json", "Saagie-Realm": self.realm},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode()


def start_emulator(data: Path, *arguments: str, port: int = 0) -> EmulatorProcess:
    """Start an emulator on any free port and wait until it answers."""
    log = data.with_name(data.name + ".stderr")
    with log.open("a") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow_provider_saagie.emulator", "--port", str(port), "--data", str(data),
             "--password", PASSWORD, *arguments],
            stdout=subprocess.PIPE, stderr=stderr, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line.startswith(READY):
        process.kill()
        process.wait()
        process.stdout.close()
        raise AssertionError(f"The emulator did not start: {line!r} {log.read_text()[-2000:]}")
    return EmulatorProcess(url=line.removeprefix(READY), data=data, process=process)


@contextmanager
def running_emulator(data: Path, *arguments: str) -> Iterator[EmulatorProcess]:
    """Run an emulator for the length of a block."""
    emulator = start_emulator(data, *arguments)
    try:
        yield emulator
    finally:
        emulator.stop()
