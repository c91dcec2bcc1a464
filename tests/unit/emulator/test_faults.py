"""Test injected faults: which requests they match, what they answer, and how the emulator counts.

Faults that close connections need one: tests/integration/emulator/test_process.py has them.
"""

import asyncio
from typing import Any

import looptime
import pytest
from starlette.responses import Response

from airflow_provider_saagie.emulator.errors import InvalidError
from airflow_provider_saagie.emulator.faults import KINDS, Faults
from airflow_provider_saagie.emulator.web.striking import answer
from tests.support.emulator_client import LOGIN, LOGIN_PATH, RUN_JOB, Client

PACKAGE = "query p($id: UUID!) { job(id: $id) { versions { packageInfo { downloadUrl } } } }"
COUNT = "query count($id: UUID!) { job(id: $id) { countJobInstance } }"


@pytest.fixture
def job(client: Client) -> str:
    return client.job()


def test_impossible_fault_is_refused() -> None:
    refused: dict[str, Any] = {
        "drop": {"seconds": 1, "occurrence": 0, "operation": 3, "times": 1.5},
        "outage": {"occurrence": True, "operation": ""},
        "delay": {"seconds": "1", "when": "later"},
        "status": {"status": 99, "retry_after": {}},
        "redirect": {"location": "http://é.example/"},
    }
    wishes = [{"what": what, name: value} for what, options in refused.items() for name, value in options.items()]
    wishes += [{"what": "delay", "seconds": seconds} for seconds in (-1, float("nan"))]
    for wish in (*wishes, {}, {"what": "explode"}, {"what": ["drop"]}, {"what": "status", "retry_after": "1\r\nA: b"}):
        with pytest.raises(InvalidError):
            pytest.fail(f"taken: {Faults().add(wish)}")


def test_fault_matches_its_occurrences_and_outage_its_time() -> None:
    faults = Faults()
    faults.add({"what": "drop", "operation": "runJob", "occurrence": 2, "times": 2})
    faults.add({"what": "cut", "operation": "count", "times": 0})
    taken = [faults.take({"runJob", "one", "two"}) for _ in range(4)]
    assert [fault and fault.what for fault in taken] == [None, "drop", "drop", None]
    assert faults.take({"other"}) is None
    assert all(faults.take({"count"}) for _ in range(3))
    assert [(one["seen"], one["struck"]) for one in faults.list_all()] == [(4, 2), (3, 3)]
    faults.clear()
    faults.add({"what": "outage", "seconds": 0})
    assert faults.take({"x"}) is None
    faults.add({"what": "outage", "seconds": 1_000})
    assert [faults.take({name}) is not None for name in ("x", "login")] == [True, True]
    assert [one["spent"] for one in faults.list_all()] == [True, False]
    for what in KINDS:
        assert faults.add({"what": what}).what == what, "each kind has defaults"


def test_delay_comes_before_or_after_the_work() -> None:
    async def delayed(when: str) -> list[float]:
        """Return the seconds after which the work was done, and the answer given."""
        now = asyncio.get_running_loop().time
        began, worked_at = now(), []

        async def work() -> Response:
            worked_at.append(now() - began)
            return Response("done")

        assert (await answer(Faults().add({"what": "delay", "seconds": 60, "when": when}), work)).body == b"done"
        return [*worked_at, now() - began]

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        assert [runner.run(delayed(when)) for when in ("before", "after")] == [[60, 60], [0, 60]]


def test_status_redirect_garbage_and_error_answer_without_work(client: Client, job: str) -> None:
    client.fault("status", "runJob", status=429, retry_after=7, body="slow down")
    response = client.send(RUN_JOB, {"id": job})
    assert (response.status_code, response.headers["Retry-After"], response.text) == (429, "7", "slow down")
    client.fault("status", "runJob", status=503)
    assert "Retry-After" not in client.send(RUN_JOB, {"id": job}).headers
    client.fault("redirect", "runJob", location="http://localhost:9/x")
    response = client.send(RUN_JOB, {"id": job})
    assert (response.status_code, response.headers["Location"]) == (307, "http://localhost:9/x")
    client.fault("garbage", "runJob")
    response = client.send(RUN_JOB, {"id": job})
    assert (response.status_code, response.text[:6]) == (200, "<html>")
    client.fault("error", "runJob", message="no", classification="FORBIDDEN")
    found = client.send(RUN_JOB, {"id": job}).json()
    assert (found["data"], found["errors"][0]["message"]) == (None, "no")
    assert found["errors"][0]["extensions"] == {"classification": "FORBIDDEN"}
    assert [one["outcome"] for one in client.mutations()[-5:]] == ["status", "status", "redirect", "garbage", "error"]
    assert client.data(COUNT, id=job)["job"]["countJobInstance"] == 0


def test_expire_revokes_the_token(client: Client, job: str) -> None:
    client.fault("expire", "runJob")
    assert [client.send(RUN_JOB, {"id": job}).status_code for _ in range(2)] == [401, 401]
    client.log_in()
    assert client.send(RUN_JOB, {"id": job}).status_code == 200
    assert client.data(COUNT, id=job)["job"]["countJobInstance"] == 1


def test_faults_name_fields_operations_logins_and_artifacts(client: Client) -> None:
    job = client.job("bash {file}", "echo 1")
    (version,) = client.data(PACKAGE, id=job)["job"]["versions"]
    url = version["packageInfo"]["downloadUrl"]
    client.fault("status", "count")
    assert client.send(COUNT, {"id": job}).status_code == 503
    client.fault("status", "artifact", status=502)
    assert [client.http.get(url).status_code for _ in range(2)] == [502, 200]
    client.fault("garbage", "login")
    credentials = {"login": LOGIN, "password": "wrong"}
    assert client.http.post(LOGIN_PATH, json=credentials).text.startswith("<html>")


def test_faults_are_removed_one_by_one_or_all(client: Client, job: str) -> None:
    client.fault("status", "runJob", times=0)
    client.fault("delay", "jobs", seconds=1)
    first, second = client.faults()
    assert client.send(RUN_JOB, {"id": job}).status_code == 503
    paths = (f"/emulator/faults/{first['id']}", f"/emulator/faults/{first['id']}", "/emulator/faults")
    statuses = []
    for path in paths:
        statuses.append(client.http.delete(path).status_code)
        assert client.faults() == ([second] if path in paths[:2] else [])
    assert statuses == [200, 404, 200]
    assert client.send(RUN_JOB, {"id": job}).status_code == 200


def test_mutations_are_listed_short_with_sender_and_no_secrets(client: Client, job: str) -> None:
    client.http.headers["User-Agent"] = "test/1"
    instance = client.run(job)
    listed = client.mutations()[-1]
    assert {name: listed[name] for name in ("fields", "operation", "variables", "user_agent", "login", "outcome")} == {
        "fields": ["runJob"], "operation": "runJob", "variables": {"id": job}, "user_agent": "test/1",
        "login": "airflow", "outcome": "done",
    }  # fmt: skip
    client.instance(instance)
    assert client.mutations()[-1] == listed
    client.job("bash {file}", "content of the file", file_name="named.sh")
    assert client.mutations()[-1]["variables"]["file"] == "file named.sh"
    assert "content of the file" not in str(client.mutations())
    hidden = "mutation m($jobId: UUID!, $password: UUID) { runJob(jobId: $jobId) { id } }"
    assert client.error(hidden, jobId="nope", password="hush")
    assert client.mutations()[-1]["outcome"] == "errors"
    assert "hush" not in str(client.mutations())
    deep: object = "x" * 5_000
    for _ in range(500):
        deep = [deep]
    assert client.error(RUN_JOB, id="nope", long="x" * 5_000, deep=deep)
    variables = client.mutations()[-1]["variables"]
    assert variables["long"] == "x" * 1_000 + "…"
    assert len(str(variables)) < 2_000


def test_stats_count_by_field_and_operation_except_observers(client: Client, job: str) -> None:
    before = client.stats()
    client.send(RUN_JOB, {"id": job})
    client.data("query two { a: jobCategories b: jobCategories }")
    client.http.headers["Saagie-Emulator-Observer"] = "1"
    client.fault("outage", seconds=1_000)
    mutations = client.mutations()
    assert client.send(RUN_JOB, {"id": job}).status_code == 200
    after = client.stats()
    assert after["operations"] == before["operations"] | {"runJob": 1, "jobCategories": 1}
    assert after["requests"] == before["requests"] | {"runJob": 1, "two": 1}
    assert after["total"] == before["total"] + 2
    assert client.mutations() == mutations
