"""Test who is let in: logins, tokens, host names, and requests that a web page could send."""

import hmac
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_saagie.emulator import login
from airflow_provider_saagie.emulator.errors import DataFolderError
from airflow_provider_saagie.emulator.login import Gate, kept_secret
from airflow_provider_saagie.emulator.settings import Settings
from tests.support.emulator_client import LOGIN_PATH, Client, client_of_app

SOME_ID = "2c6f1de4-1111-4222-8333-123456789abc"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(Settings(data=tmp_path, password="long and right", token_ttl=60))


def issue(gate: Gate) -> str:
    return gate.log_in("airflow", "long and right", "local") or ""


def test_wrong_login_is_refused_without_a_reason(client: Client) -> None:
    for name, password, realm in (
        ("airflow", "wrong", "local"),
        ("nobody", "correct horse", "local"),
        ("airflow", "correct horse", "elsewhere"),
        ("airflow", 'correct horse", "local', ""),
    ):
        credentials = {"login": name, "password": password}
        answer = client.http.post(LOGIN_PATH, json=credentials, headers={"Saagie-Realm": realm})
        assert answer.json() == {"error": "Login, password or realm is wrong", "status": 401}, credentials
        assert answer.status_code == 401
    for body in ("", "[]", "{", '{"login": 1, "password": 2}', '{"login": "airflow"}'):
        assert client.http.post(LOGIN_PATH, content=body, headers=JSON).status_code == 400, body


def test_requests_without_a_valid_token_are_refused(client: Client) -> None:
    token = client.log_in()
    assert not set(token) & set(' "\n')
    for header in ("", "Bearer", "Bearer x", "Bearer x.y", "Basic abc", f"Basic {token}", "Bearer é.é"):
        headers = {"Authorization": header.encode()}
        for path in ("/projects/api/platform/1/graphql", "/gateway/api/graphql"):
            answer = client.http.post(path, json={"query": "{ __typename }"}, headers=headers)
            assert answer.status_code == 401, (path, header)
        path = "/projects/api/platform/1/project/a/job/b/version/1/artifact/c"
        assert client.http.get(path, headers=headers).status_code == 401, header


def test_login_is_compared_whole_in_constant_time(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only comparison that decides is the standard library's, whatever is wrong."""
    compare, compared = hmac.compare_digest, []

    def record(sent: bytes, right: bytes) -> bool:
        compared.append((sent, right))
        return compare(sent, right)

    monkeypatch.setattr(hmac, "compare_digest", record)
    for password in ("", "p", "long and wrong", "long and right"):
        compared.clear()
        assert (gate.log_in("airflow", password, "local") is not None) is (password == "long and right")
        ((sent, right),) = compared
        assert password.encode() in sent
        assert b"long and right" in right


def test_changed_expired_or_revoked_token_is_refused(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    token, revoked = issue(gate), issue(gate)
    assert gate.who_has(token) == gate.who_has(revoked) == "airflow"
    for position in range(0, len(token), 7):
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        assert gate.who_has(changed) is None
    gate.revoke(revoked)
    assert gate.who_has(revoked) is None
    real = time.time
    monkeypatch.setattr(login.time, "time", lambda: real() + 61)
    assert gate.who_has(token) is None
    assert gate.who_has(issue(gate)) == "airflow"


def test_secret_is_generated_once_for_its_owner_and_never_empty(tmp_path: Path) -> None:
    file = tmp_path / "new" / "password"
    secret = kept_secret(file)
    assert len(secret) >= 24
    assert kept_secret(file) == secret
    assert file.stat().st_mode & 0o777 == 0o600
    assert "hush" not in repr(Settings(data=tmp_path, password="hush"))
    file.write_text("\n")
    with pytest.raises(DataFolderError, match="delete it"):
        kept_secret(file)


def test_paths_lead_only_to_artifacts_and_static_files(client: Client) -> None:
    job = client.job("bash {file}", "echo 1", file_name="job.sh")
    base = f"/projects/api/platform/1/project/{client.project()}/job/{job}/version/1/artifact/"
    assert client.http.get(base + "job.sh").text == "echo 1"
    for name in ("%2e%2e", "%2e%2e/token.key", "..%2Ftoken.key", "%2Fetc%2Fpasswd"):
        for folder in (base, "/emulator/static/"):
            assert client.http.get(folder + name).status_code == 404, folder + name
    for number in ("9" * 20, "9" * 5000):
        below = f"project/{SOME_ID}/job/{SOME_ID}"
        for path in (
            f"/projects/platform/{number}/{below}",
            f"/projects/platform/{number}",
            f"/projects/api/platform/1/{below}/version/{number}/artifact/job.py",
            f"/emulator/instances/{number}/log",
        ):
            assert client.http.get(path).status_code == 404, path[:80]
        assert client.http.delete(f"/emulator/faults/{number}").status_code == 404


def test_only_own_host_names_are_served(tmp_path: Path) -> None:
    foreign = (
        "evil.example", "evil.example:8123", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:8123", "", "[::1",
        "127.0.0.1:" + "9" * 5000,
    )  # fmt: skip
    own = ("127.0.0.1:8123", "localhost:8123", "LOCALHOST:8123", "[::1]:8123", "saagie.test:1234")
    with client_of_app(tmp_path, allow_remote=("saagie.test",)) as client:
        for path in ("/emulator/stats", "/projects/platform/1"):
            for hosts, status in ((foreign, 403), (own, 200)):
                for host in hosts:
                    assert client.http.get(path, headers={"Host": host}).status_code == status, (path, host[:80])


def test_requests_that_a_web_page_could_send_change_nothing(client: Client) -> None:
    """A browser sends forms and multipart bodies of other sites' pages, and the control paths need no token."""
    fault = b'{"what": "outage", "status": "FAILED"}'
    del client.http.headers["Authorization"]
    control = ("/emulator/faults", f"/emulator/instances/{SOME_ID}")
    for path in (LOGIN_PATH, client.graphql_path, *control):
        for media in ("text/plain", "application/x-www-form-urlencoded", "", "application/json2"):
            headers = {"Content-Type": media} if media else {}
            assert client.http.post(path, content=fault, headers=headers).status_code == 415, (path, media)
        assert client.http.post(path, files={"0": b"x"}).status_code in (400, 401), path
    for path in (LOGIN_PATH, *control):
        answer = client.http.post(path, content=fault, headers={"Content-Type": "multipart/form-data; boundary=x"})
        assert (answer.status_code, "application/json" in answer.text) == (400, True), path
    assert client.faults() == []
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answer = client.http.options(client.graphql_path, headers=preflight)
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_endless_body_and_too_large_artifact_are_refused(client: Client) -> None:
    def chunks() -> Any:
        yield from [b"x" * (1 << 20)] * 11

    assert client.http.post(client.graphql_path, json={"query": "x" * (11 << 20)}).status_code == 413
    assert client.http.post(client.graphql_path, content=chunks(), headers=JSON).status_code == 413
    client.job("bash {file}", "x" * (1 << 20))
    with pytest.raises(AssertionError, match="larger than"):
        client.job("bash {file}", "x" * ((1 << 20) + 1))
    assert len(client.artifacts()) == 1
