"""Test an emulator that is a process as far as real connections matter: hang-ups, raw paths, host names."""

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from airflow_provider_saagie.emulator.testing import Emulator
from tests.support.emulator_client import LOGIN_PATH, RUN_JOB, Client, client_of_process
from tests.support.waiting import wait_until

JOB = "query j($id: UUID!) { job(id: $id) { countJobInstance versions { packageInfo { downloadUrl } } } }"


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    with client_of_process(emulator) as made:
        yield made


def count(client: Client, job: str) -> int:
    return client.data(JOB, id=job)["job"]["countJobInstance"]


@pytest.mark.parametrize(
    ("what", "instances", "outcome"), [("drop", 1, "done"), ("refuse", 0, "refuse"), ("cut", 1, "done")]
)
def test_connection_is_lost_before_or_after_the_work(client: Client, what: str, instances: int, outcome: str) -> None:
    job = client.job()
    client.fault(what, "runJob")
    with pytest.raises(httpx.RemoteProtocolError, match="complete message body" if what == "cut" else "disconnected"):
        client.send(RUN_JOB, {"id": job})
    assert count(client, job) == instances
    assert client.mutations()[-1]["outcome"] == outcome
    assert client.send(RUN_JOB, {"id": job}).status_code == 200
    assert client.stats()["connections"] > 0


def test_cut_halves_artifacts_and_refusals(client: Client) -> None:
    job = client.job("bash {file}", "echo 1")
    (version,) = client.data(JOB, id=job)["job"]["versions"]
    for operation, method, path, body, status in (
        ("artifact", "GET", version["packageInfo"]["downloadUrl"], None, 200),
        ("login", "POST", LOGIN_PATH, {"login": "airflow", "password": "wrong"}, 401),
    ):
        client.fault("cut", operation)
        with client.http.stream(method, path, json=body) as answer:
            assert answer.status_code == status
            with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
                answer.read()


def test_outage_refuses_everything_until_it_ends(client: Client) -> None:
    job = client.job()
    client.fault("outage", seconds=1_000)
    for request in (lambda: count(client, job), client.log_in):
        with pytest.raises(httpx.RemoteProtocolError):
            request()
    client.http.delete("/emulator/faults")
    client.fault("outage", seconds=0.2)
    wait_until(lambda: client.faults()[0]["spent"])
    assert count(client, job) == 0


def test_raw_paths_and_host_names_are_checked(emulator: Emulator, client: Client) -> None:
    job = client.job("bash {file}", "echo 1")
    address = urlsplit(emulator.url)
    base = f"/projects/api/platform/1/project/{client.project()}/job/{job}/version/1/artifact/"
    own = {"Host": address.netloc, "Authorization": client.http.headers["Authorization"]}
    for path, headers, status in (
        (base + "job.sh", own, 200),
        (base + "..", own, 404),
        (base + "../token.key", own, 404),
        ("/emulator/static/../app.py", own, 404),
        ("/emulator/stats", {"Host": "evil.example"}, 403),
        ("/emulator/stats", {"Host": "127.0.0.1:1"}, 403),
    ):
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        connection.putrequest("GET", path, skip_host=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == status, (path, headers)
        connection.close()
