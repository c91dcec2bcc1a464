"""Test the files of jobs: their names, and which of them remain when jobs, versions or projects go."""

import gc

import httpx
import pytest
from starlette.types import ASGIApp, Message

from airflow_provider_saagie.emulator import artifacts
from tests.support.emulator_client import CREATE_JOB, DELETE_JOB, DELETE_PROJECT, Client, graphql_body

MULTIPART = "multipart/form-data; boundary=boundary"


def contents(client: Client) -> list[str]:
    return sorted(file.read_text() for file in client.artifacts())


def test_upload_names_become_plain_file_names() -> None:
    names = {
        "job.py": "job.py", "../../etc/passwd": "passwd", "a b$(x).sh": "a_b__x_.sh", ".hidden": "hidden", "-rf": "rf",
        "": "artifact", None: "artifact", "..": "artifact", "C:\\x\\y.py": "y.py", "é.py": "_.py",
    }  # fmt: skip
    assert {name: artifacts.safe_name(name) for name in names} == names


def test_files_go_with_their_versions_jobs_and_projects(client: Client) -> None:
    client.job("bash {file}", "kept")
    gone = client.job("bash {file}", "one")
    client.add_version(gone, "bash {file}", "two")
    assert contents(client) == ["kept", "one", "two"]
    delete_versions = "mutation d($id: UUID!) { deleteJobVersions(jobId: $id, jobVersionNumbers: [1, 2]) { number } }"
    client.data(delete_versions, id=gone)
    assert contents(client) == ["kept", "two"]
    client.data(DELETE_JOB, id=gone)
    assert contents(client) == ["kept"]
    client.data(DELETE_PROJECT, id=client.project())
    assert contents(client) == []


def test_file_stays_while_a_copy_needs_it_unlike_a_refused_one(client: Client) -> None:
    job = client.job("bash {file}", "shared", name="J")
    duplicate = "mutation c($id: UUID!) { duplicateJob(originalJobId: $id) { id name originalJobId } }"
    for field in ("name", "alias"):
        with pytest.raises(AssertionError, match="exists already"):
            client.job("bash {file}", "refused", **{field: "J"})
    copy, second = (client.data(duplicate, id=job)["duplicateJob"] for _ in range(2))
    assert (copy["originalJobId"], copy["name"], second["name"]) == (job, "Copy of J", "Copy of J 2")
    client.data(DELETE_JOB, id=second["id"])
    client.data(DELETE_JOB, id=job)
    assert contents(client) == ["shared"]
    client.data(DELETE_JOB, id=copy["id"])
    assert contents(client) == []


# Starlette leaves the spooled file of an interrupted upload to the garbage collector.
@pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.SpooledTemporaryFile:ResourceWarning")
def test_interrupted_upload_creates_no_job_and_leaves_no_file(client: Client) -> None:
    names = '{ projectByName(name: "Demo") { jobs { name } } }'
    body = graphql_body(CREATE_JOB, client.wish("bash {file}"), ("job.sh", b"x" * 900_000))
    whole = client.http.build_request("POST", client.graphql_path, headers={"Content-Type": MULTIPART}, **body)
    whole.read()
    for share in (0.1, 0.5, 0.99):
        pieces = [whole.content[: round(len(whole.content) * share)]]
        client.http.portal.call(send_and_disconnect, client.http.app, whole, pieces)
        assert (client.data(names)["projectByName"]["jobs"], contents(client)) == ([], []), share
    for missing in (len("--boundary--\r\n"), 2_000):
        headers, content = {"Content-Type": MULTIPART}, whole.content[:-missing]
        assert client.http.post(client.graphql_path, content=content, headers=headers).status_code == 400, missing
        assert (client.data(names)["projectByName"]["jobs"], contents(client)) == ([], []), missing
    assert client.http.send(whole).status_code == 200
    assert [len(content) for content in contents(client)] == [900_000]
    gc.collect()


async def send_and_disconnect(app: ASGIApp, request: httpx.Request, pieces: list[bytes]) -> None:
    """Let the app receive pieces of the request's body, then lose the connection."""
    messages: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        pytest.fail(f"answered: {message}")

    headers = [(name.lower(), value) for name, value in request.headers.raw]
    scope = {"type": "http", "method": "POST", "path": request.url.path, "query_string": b"", "headers": headers}
    await app({**scope, "http_version": "1.1", "scheme": "http", "root_path": ""}, receive, send)
