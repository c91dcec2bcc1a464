"""The files of jobs: what is left of them when a job, a version or a project goes, or an upload fails."""

from __future__ import annotations

import json
import socket
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.integration.emulator.emulator.conftest import CREATE_JOB

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.emulator.emulator.conftest import Client
    from airflow_provider_saagie.emulator.testing import Emulator

ADD_VERSION = """
mutation add($id: UUID!, $version: JobVersionInput!, $file: Upload) {
  addJobVersion(jobId: $id, jobVersion: $version, file: $file) { number }
}
"""
DELETE_JOB = "mutation d($id: UUID!) { deleteJob(jobId: $id) }"
BOUNDARY = "a-boundary-of-this-test"


@pytest.fixture
def own(start_emulator: Callable[..., Emulator], client_of: Callable[[Emulator], Client]) -> Client:
    """A client of an emulator that keeps no other test's files."""
    return client_of(start_emulator())


def stored(client: Client) -> list[Path]:
    folder = client.emulator.data / "artifacts"
    return list(folder.iterdir()) if folder.exists() else []


def test_a_deleted_job_takes_its_files_along(own: Client) -> None:
    kept, gone = own.job("python {file}", "print('kept')"), own.job("python {file}", "print('gone')")
    version = {"runtimeVersion": "3.11", "commandLine": "python {file}"}
    own.upload(ADD_VERSION, {"id": gone, "version": version}, "two.py", b"print('gone too')")
    assert len(stored(own)) == 3
    own.data(DELETE_JOB, {"id": gone})
    assert [file.read_text() for file in stored(own)] == ["print('kept')"]
    assert own.lines(own.wait(own.run(kept))["id"]) == ["kept"]


def test_a_file_stays_as_long_as_a_copy_of_the_job_needs_it(own: Client) -> None:
    job = own.job("python {file}", "print('shared')")
    copy = own.data("mutation c($id: UUID!) { duplicateJob(originalJobId: $id) { id } }", {"id": job})["duplicateJob"]
    own.data(DELETE_JOB, {"id": job})
    assert own.lines(own.wait(own.run(copy["id"]))["id"]) == ["shared"]
    own.data(DELETE_JOB, copy)
    assert stored(own) == []


def test_a_deleted_version_takes_its_file_along(own: Client) -> None:
    job = own.job("python {file}", "print(1)")
    version = {"runtimeVersion": "3.11", "commandLine": "python {file}"}
    own.upload(ADD_VERSION, {"id": job, "version": version}, "two.py", b"print(2)")
    own.data("mutation d($id: UUID!) { deleteJobVersions(jobId: $id, jobVersionNumbers: [1, 2]) { number } }",
             {"id": job})  # fmt: skip
    assert [file.read_text() for file in stored(own)] == ["print(2)"]


def test_a_deleted_project_takes_its_files_along(own: Client) -> None:
    own.job("python {file}", "print(1)")
    own.data("mutation d($id: UUID!) { deleteProject(projectId: $id) }", {"id": own.demo_project()})
    assert stored(own) == []


@pytest.mark.parametrize("what", ["name", "alias"])
def test_a_job_that_is_refused_leaves_no_file(own: Client, what: str) -> None:
    own.job("true", technology="Bash", alias="taken", name="Taken")
    with pytest.raises(AssertionError, match="exists already"):
        own.job("python {file}", "print(1)", **{what: "taken"})
    assert stored(own) == []


def multipart(client: Client, name: str, content: bytes) -> bytes:
    job = {
        "projectId": client.demo_project(), "name": name, "category": "Processing", "isScheduled": False,
        "technology": {"id": client.technologies()["Python"]}, "isStreaming": False,
    }  # fmt: skip
    variables: dict[str, Any] = {"job": job, "version": {"runtimeVersion": "3.11", "commandLine": "x"}, "file": None}
    parts = [
        ('name="operations"', json.dumps({"query": CREATE_JOB, "variables": variables}).encode()),
        ('name="map"', b'{"0": ["variables.file"]}'),
        ('name="0"; filename="job.py"', content),
    ]
    head = b"".join(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode() + value + b"\r\n"
        for name, value in parts
    )
    return head + f"--{BOUNDARY}--\r\n".encode()


def post_raw(client: Client, body: bytes, length: int) -> bytes:
    """Send a body that may be shorter than it says, close our side, and return what comes back."""
    address = urlsplit(client.emulator.graphql_url)
    head = (
        f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n"
        f"Authorization: {client.session.headers['Authorization']}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {length}\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def names(client: Client) -> list[str]:
    found = client.data('{ projectByName(name: "Demo") { jobs { name } } }')["projectByName"]["jobs"]
    return [job["name"] for job in found]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_an_upload_cut_short_makes_no_job_and_leaves_no_file(own: Client, share: float) -> None:
    body = multipart(own, "cut short", b"x" * (3 << 20))
    post_raw(own, body[: round(len(body) * share)], len(body))
    time.sleep(0.2)
    assert (names(own), stored(own)) == ([], [])
    whole = post_raw(own, body, len(body))
    assert whole.startswith(b"HTTP/1.1 200")
    assert names(own) == ["cut short"]
    assert [file.stat().st_size for file in stored(own)] == [3 << 20]


def test_an_upload_without_its_last_boundary_is_refused(own: Client) -> None:
    body = multipart(own, f"no end {uuid.uuid4()}", b"x" * 5_000)
    for cut in (len(f"--{BOUNDARY}--\r\n"), 2_000):
        answer = post_raw(own, body[:-cut], len(body) - cut)
        assert answer.startswith(b"HTTP/1.1 400")
    assert (names(own), stored(own)) == ([], [])
