"""Faults, seen from a client; and whether the work was done is seen in the list of mutations and in the data."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_saagie.emulator.errors import InvalidError
from airflow_provider_saagie.emulator.faults import KINDS, Faults
from tests.integration.emulator.emulator.conftest import RUN_JOB

if TYPE_CHECKING:
    from tests.integration.emulator.emulator.conftest import Client
    from airflow_provider_saagie.emulator.testing import Emulator

PACKAGE = "query p($id: UUID!) { job(id: $id) { versions { packageInfo { downloadUrl } } } }"
COUNT = "query count($id: UUID!) { job(id: $id) { countJobInstance } }"


@pytest.fixture
def job(client: Client) -> str:
    return client.job("true", technology="Bash")


def count(client: Client, job: str) -> int:
    return client.data(COUNT, {"id": job})["job"]["countJobInstance"]


def send(client: Client, job: str) -> requests.Response:
    return client.session.post(
        client.emulator.graphql_url,
        json={"query": RUN_JOB, "variables": {"id": job}},
        timeout=10,
        allow_redirects=False,
    )


def test_drop_does_the_work_and_hangs_up(client: Client, job: str) -> None:
    client.emulator.fault("drop", "runJob")
    with pytest.raises(requests.ConnectionError):
        send(client, job)
    assert count(client, job) == 1
    assert client.emulator.requests()[-1]["outcome"] == "done"
    assert send(client, job).status_code == 200


def test_refuse_hangs_up_before_anything_is_done(client: Client, job: str) -> None:
    client.emulator.fault("refuse", "runJob")
    with pytest.raises(requests.ConnectionError):
        send(client, job)
    assert count(client, job) == 0
    assert client.emulator.requests()[-1]["outcome"] == "refuse"


def test_cut_does_the_work_and_sends_half_of_the_answer(client: Client, job: str) -> None:
    client.emulator.fault("cut", "runJob")
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        send(client, job)
    assert count(client, job) == 1


def test_cut_sends_half_of_an_artifact_and_of_a_refusal(client: Client) -> None:
    package = client.data(PACKAGE, {"id": client.job("python {file}", "print(1)")})["job"]["versions"][0]["packageInfo"]
    credentials = {"login": "airflow", "password": "wrong"}
    for operation, method, path, body, status in (
        ("artifact", "GET", package["downloadUrl"], None, 200),
        ("login", "POST", "/authentication/api/open/authenticate", credentials, 401),
    ):
        client.emulator.fault("cut", operation)
        answer = client.session.request(method, client.emulator.url + path, json=body, timeout=10, stream=True)
        assert answer.status_code == status
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            _ = answer.content


@pytest.mark.parametrize("when", ["before", "after"])
def test_delay_delays_before_or_after_the_work(client: Client, job: str, when: str) -> None:
    client.emulator.fault("delay", "runJob", seconds=0.5, when=when)
    with pytest.raises(requests.Timeout):
        client.session.post(
            client.emulator.graphql_url, json={"query": RUN_JOB, "variables": {"id": job}}, timeout=0.25
        )
    assert count(client, job) == (0 if when == "before" else 1)
    time.sleep(0.5)
    assert count(client, job) == 1


def test_status_answers_with_it_and_with_retry_after(client: Client, job: str) -> None:
    client.emulator.fault("status", "runJob", status=429, retry_after=7, body="slow down")
    answer = send(client, job)
    assert (answer.status_code, answer.headers["Retry-After"], answer.text) == (429, "7", "slow down")
    client.emulator.fault("status", "runJob", status=503)
    assert "Retry-After" not in send(client, job).headers
    assert count(client, job) == 0


def test_error_answers_with_a_graphql_error(client: Client, job: str) -> None:
    client.emulator.fault("error", "runJob", message="no", classification="FORBIDDEN")
    answer = send(client, job).json()
    assert answer["data"] is None
    assert answer["errors"][0]["message"] == "no"
    assert answer["errors"][0]["extensions"] == {"classification": "FORBIDDEN"}
    assert count(client, job) == 0


def test_expire_ends_the_token_for_good(client: Client, job: str) -> None:
    client.emulator.fault("expire", "runJob")
    assert send(client, job).status_code == 401
    assert send(client, job).status_code == 401
    client.session.headers["Authorization"] = f"Bearer {client.emulator.log_in()}"
    assert send(client, job).status_code == 200
    assert count(client, job) == 1


def test_garbage_and_redirect(client: Client, job: str) -> None:
    client.emulator.fault("garbage", "runJob")
    answer = send(client, job)
    assert (answer.status_code, answer.text[:6]) == (200, "<html>")
    client.emulator.fault("redirect", "runJob", location="http://localhost:9/x")
    answer = send(client, job)
    assert (answer.status_code, answer.headers["Location"]) == (307, "http://localhost:9/x")
    assert count(client, job) == 0


def test_outage_strikes_everything_until_it_is_over(client: Client, job: str) -> None:
    client.emulator.fault("outage", seconds=0.4)
    with pytest.raises(requests.ConnectionError):
        count(client, job)
    with pytest.raises(Exception, match=r"closed|disconnected|reset"):
        client.emulator.log_in()
    time.sleep(0.5)
    assert count(client, job) == 0


def test_a_fault_strikes_the_occurrences_that_it_names(client: Client, job: str) -> None:
    client.emulator.fault("status", "runJob", occurrence=2, times=2)
    assert [send(client, job).status_code for _ in range(4)] == [200, 503, 503, 200]
    seen = client.emulator.faults()[0]
    assert (seen["seen"], seen["struck"]) == (4, 2)


def test_faults_can_name_an_operation_the_login_and_artifacts(client: Client) -> None:
    job = client.job("python {file}", "print(1)")
    client.emulator.fault("status", "count")
    assert client.session.post(
        client.emulator.graphql_url, json={"query": COUNT, "variables": {"id": job}}, timeout=10
    ).status_code == 503  # fmt: skip
    client.emulator.fault("status", "artifact", status=502)
    package = client.data(PACKAGE, {"id": job})["job"]["versions"][0]["packageInfo"]
    assert client.session.get(client.emulator.url + package["downloadUrl"], timeout=10).status_code == 502
    assert client.session.get(client.emulator.url + package["downloadUrl"], timeout=10).text == "print(1)"
    client.emulator.fault("garbage", "login")
    assert client.emulator.log_in().startswith("<html>")


def test_clearing_faults_ends_them(client: Client, job: str) -> None:
    client.emulator.fault("status", "runJob", times=0)
    assert send(client, job).status_code == 503
    client.emulator.clear_faults()
    assert client.emulator.faults() == []
    assert send(client, job).status_code == 200


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"what": "explode"},
        {"what": "drop", "seconds": 1},
        {"what": "delay", "seconds": "1"},
        {"what": "delay", "seconds": -1},
        {"what": "delay", "when": "later"},
        {"what": "drop", "occurrence": True},
        {"what": "drop", "operation": 3},
        {"what": "drop", "operation": ""},
        {"what": ["drop"]},
        {"what": "drop", "occurrence": 0},
        {"what": "drop", "times": 1.5},
        {"what": "outage", "seconds": float("nan")},
        {"what": "delay", "seconds": float("inf")},
        {"what": "status", "status": 99},
        {"what": "status", "status": 503.5},
        {"what": "status", "retry_after": {}},
        {"what": "status", "retry_after": "1\r\nSet-Cookie: a=b"},
        {"what": "redirect", "location": "http://é.example/"},
    ],
)
def test_a_fault_that_can_not_be_is_refused(wish: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        Faults().add(wish)


def test_every_kind_of_fault_has_defaults() -> None:
    faults = Faults()
    for what in KINDS:
        faults.add({"what": what})
    assert [one["what"] for one in faults.list_all()] == list(KINDS)


def test_the_mutations_are_listed_with_who_sent_what(client: Client, job: str, emulator: Emulator) -> None:
    client.session.headers["User-Agent"] = "test/1"
    instance = client.run(job)
    listed = emulator.requests()[-1]
    assert listed["fields"] == ["runJob"]
    assert listed["operation"] == "runJob"
    assert listed["variables"] == {"id": job}
    assert (listed["user_agent"], listed["login"], listed["outcome"]) == ("test/1", "airflow", "done")
    client.instance(instance)
    assert emulator.requests()[-1] == listed


def test_the_list_shows_files_by_name_and_no_secrets(client: Client, emulator: Emulator) -> None:
    client.job("python {file}", "print('content')", description="x", file_name="named.py")
    listed = emulator.requests()[-1]
    assert listed["variables"]["file"] == "file named.py"
    assert "content" not in str(listed)
    assert client.error("mutation m($jobId: UUID!, $password: UUID) { runJob(jobId: $jobId) { id } }",
                        {"jobId": "nope", "password": "hush"})  # fmt: skip
    assert "hush" not in str(emulator.requests())


def test_the_list_stays_small_whatever_comes_in(client: Client, emulator: Emulator) -> None:
    deep: object = "x" * 5_000
    for _ in range(500):
        deep = [deep]
    variables = {"id": "nope", "long": "x" * 5_000, "deep": deep}
    assert client.answer("mutation m($id: UUID!) { runJob(jobId: $id) { id } }", variables)["errors"]
    listed = emulator.requests()[-1]["variables"]
    assert listed["long"] == "x" * 1_000 + "…"
    assert len(str(listed)) < 2_000


def test_the_figures_count_requests_by_operation(client: Client, job: str, emulator: Emulator) -> None:
    before = emulator.stats()
    send(client, job)
    client.data("query two { a: jobCategories b: jobCategories }")
    after = emulator.stats()
    assert after["operations"]["runJob"] == before["operations"].get("runJob", 0) + 1
    assert after["operations"]["jobCategories"] == before["operations"].get("jobCategories", 0) + 1
    assert after["requests"]["two"] == before["requests"].get("two", 0) + 1
    assert after["total"] == before["total"] + 2
    assert after["connections"] > 0
