"""Who is let in: logins, tokens, hosts, and what a stranger's page could send."""

from __future__ import annotations

import hmac
import http.client
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_saagie.emulator.login import Gate, kept_secret
from airflow_provider_saagie.emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.emulator.emulator.conftest import Client
    from airflow_provider_saagie.emulator.testing import Emulator

LOGIN_PATH = "/authentication/api/open/authenticate"


def raw(emulator: Emulator, method: str, path: str, headers: dict[str, str], body: str = "") -> tuple[int, str]:
    """Send exactly these headers, the Host header among them."""
    address = urlsplit(emulator.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body.encode())
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


@pytest.mark.parametrize(
    ("login", "password", "realm"),
    [
        ("airflow", "wrong", "local"),
        ("nobody", "correct horse", "local"),
        ("airflow", "correct horse", "elsewhere"),
        ("airflow", "", "local"),
        ("airflow", 'correct horse", "local', ""),
    ],
)
def test_a_wrong_login_is_refused_without_saying_what_is_wrong(
    emulator: Emulator, login: str, password: str, realm: str
) -> None:
    answer = requests.post(
        emulator.url + LOGIN_PATH,
        json={"login": login, "password": password},
        headers={"Saagie-Realm": realm},
        timeout=10,
    )
    assert answer.status_code == 401
    assert answer.json() == {"error": "Login, password or realm is wrong", "status": 401}


@pytest.mark.parametrize("body", ["", "[]", "{", '{"login": 1, "password": 2}', '{"login": "airflow"}'])
def test_a_malformed_login_is_a_bad_request(emulator: Emulator, body: str) -> None:
    answer = requests.post(
        emulator.url + LOGIN_PATH, data=body, headers={"Content-Type": "application/json"}, timeout=10
    )
    assert answer.status_code == 400


def test_the_token_is_the_whole_body(emulator: Emulator) -> None:
    token = emulator.log_in()
    assert token.strip() == token
    assert " " not in token
    assert '"' not in token


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Bearer x.y", "Basic abc", "Bearer é.é"])
def test_without_a_good_token_nothing_is_told(emulator: Emulator, header: str) -> None:
    for path in ("/projects/api/platform/1/graphql", "/gateway/api/graphql"):
        answer = requests.post(
            emulator.url + path,
            json={"query": "{ __typename }"},
            headers={"Authorization": header.encode("utf-8")},
            timeout=10,
        )
        assert answer.status_code == 401
    assert (
        requests.get(f"{emulator.graphql_url}/../project/a/job/b/version/1/artifact/c", timeout=10).status_code == 401
    )


@pytest.mark.parametrize("password", ["", "p", "long and wrong", "long and right"])
def test_a_login_is_compared_whole_and_in_constant_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    """Whatever is wrong, and however early, the one comparison that decides is that of the standard library."""
    compared = []

    def compare(sent: bytes, right: bytes) -> bool:
        compared.append((sent, right))
        return real(sent, right)

    gate, real = Gate(Settings(data=tmp_path, password="long and right")), hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert (gate.log_in("airflow", password, "local") is not None) is (password == "long and right")
    assert len(compared) == 1
    assert password.encode() in compared[0][0]
    assert b"long and right" in compared[0][1]


def test_a_changed_token_is_refused(tmp_path: Path) -> None:
    gate = Gate(Settings(data=tmp_path, password="p"))
    token = gate.log_in("airflow", "p", "local")
    assert token is not None
    assert gate.who_has(token) == "airflow"
    for position in range(0, len(token), 7):
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        assert gate.who_has(changed) is None


def test_a_token_ends_with_its_lifetime_and_when_it_is_revoked(tmp_path: Path) -> None:
    short = Gate(Settings(data=tmp_path, password="p", token_ttl=0))
    assert short.who_has(short.log_in("airflow", "p", "local") or "") is None
    gate = Gate(Settings(data=tmp_path, password="p"))
    token = gate.log_in("airflow", "p", "local") or ""
    gate.revoke(token)
    assert gate.who_has(token) is None


def test_a_token_is_good_for_as_long_as_the_command_line_says(
    start_emulator: Callable[..., Emulator], client_of: Callable[[Emulator], Client]
) -> None:
    client = client_of(start_emulator("--token-ttl", "1"))
    question = {"query": "{ platform { id } }"}
    assert client.session.post(client.emulator.graphql_url, json=question, timeout=10).status_code == 200
    time.sleep(1.1)
    assert client.session.post(client.emulator.graphql_url, json=question, timeout=10).status_code == 401
    client.session.headers["Authorization"] = f"Bearer {client.emulator.log_in()}"
    assert client.session.post(client.emulator.graphql_url, json=question, timeout=10).status_code == 200


@pytest.mark.parametrize("name", ["..", "../token.key", "..%2Ftoken.key", "..%2F..%2Ftoken.key", "%2Fetc%2Fpasswd"])
def test_a_download_leads_nowhere_but_to_its_artifact(emulator: Emulator, client: Client, name: str) -> None:
    job = client.job("python {file}", "print(1)")
    headers = {"Host": urlsplit(emulator.url).netloc, "Authorization": str(client.session.headers["Authorization"])}
    base = f"/projects/api/platform/1/project/{client.demo_project()}/job/{job}/version/1/artifact/"
    assert raw(emulator, "GET", base + "job.py", headers) == (200, "print(1)")
    assert raw(emulator, "GET", base + name, headers)[0] == 404
    assert raw(emulator, "GET", f"/emulator/static/{name}", headers)[0] == 404


@pytest.mark.parametrize("number", ["9" * 10, "9" * 20, "9" * 5000])
def test_a_number_that_nothing_can_have_leads_nowhere(emulator: Emulator, client: Client, number: str) -> None:
    some = "2c6f1de4-1111-4222-8333-123456789abc"
    job = f"project/{some}/job/{some}"
    for path in (
        f"/projects/platform/{number}/{job}",
        f"/projects/platform/{number}",
        f"/projects/api/platform/1/{job}/version/{number}/artifact/job.py",
        f"/emulator/instances/{number}/log",
    ):
        assert client.session.get(emulator.url + path, timeout=10).status_code == 404
    assert requests.delete(f"{emulator.url}/emulator/faults/{number}", timeout=10).status_code == 404


def test_the_settings_do_not_show_the_password(tmp_path: Path) -> None:
    assert "hush" not in repr(Settings(data=tmp_path, password="hush"))


def test_a_made_password_is_kept_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "new" / "password"
    made = kept_secret(file)
    assert len(made) >= 24
    assert kept_secret(file) == made
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.evil.example:{port}",
        "",
        "[::1",
        "127.0.0.1:" + "9" * 5000,
    ],
)
def test_a_foreign_host_header_is_refused(emulator: Emulator, host: str) -> None:
    port = urlsplit(emulator.url).port
    for path in ("/", "/emulator/stats", "/projects/platform/1"):
        status, _ = raw(emulator, "GET", path, {"Host": host.format(port=port)})
        assert status in (400, 403)


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_our_own_names_are_served(emulator: Emulator, host: str) -> None:
    port = urlsplit(emulator.url).port
    assert raw(emulator, "GET", "/emulator/stats", {"Host": host.format(port=port)})[0] == 200


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "", "application/json2"])
@pytest.mark.parametrize("path", [LOGIN_PATH, "/projects/api/platform/1/graphql", "/emulator/faults"])
def test_what_a_form_could_send_is_refused(emulator: Emulator, path: str, media: str) -> None:
    headers = {"Host": urlsplit(emulator.url).netloc}
    if media:
        headers["Content-Type"] = media
    assert raw(emulator, "POST", path, headers, json.dumps({"what": "drop"}))[0] == 415
    assert emulator.faults() == []


def test_a_multipart_form_without_a_token_does_nothing(emulator: Emulator) -> None:
    for url in (emulator.graphql_url, emulator.url + "/emulator/faults", emulator.url + LOGIN_PATH):
        assert requests.post(url, files={"0": b"x"}, timeout=10).status_code in (400, 401)
    assert emulator.faults() == []


def test_json_that_calls_itself_multipart_switches_nothing(emulator: Emulator) -> None:
    """A stranger's page may send any body as multipart without asking first, and the control paths take no token."""
    headers = {"Host": urlsplit(emulator.url).netloc, "Content-Type": "multipart/form-data; boundary=x"}
    for path in ("/emulator/faults", "/emulator/instances/2c6f1de4-1111-4222-8333-123456789abc", LOGIN_PATH):
        status, text = raw(emulator, "POST", path, headers, json.dumps({"what": "outage", "status": "FAILED"}))
        assert (status, "application/json" in text) == (400, True)
    assert emulator.faults() == []


def test_no_answer_lets_a_stranger_read_it(emulator: Emulator) -> None:
    answer = requests.options(
        emulator.graphql_url,
        headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"},
        timeout=10,
    )
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_an_endless_body_is_refused(emulator: Emulator, client: Client) -> None:
    answer = client.session.post(emulator.graphql_url, json={"query": "x" * (11 << 20)}, timeout=30)
    assert answer.status_code == 413

    def chunks() -> object:
        for _ in range(11):
            yield b"x" * (1 << 20)

    answer = client.session.post(
        emulator.graphql_url, data=chunks(), headers={"Content-Type": "application/json"}, timeout=30
    )
    assert answer.status_code == 413


def test_too_large_an_artifact_is_refused_and_leaves_nothing(
    start_emulator: Callable[..., Emulator], client_of: Callable[[Emulator], Client]
) -> None:
    emulator = start_emulator("--upload-limit", "1")
    client = client_of(emulator)
    job = client.job("python {file}", "x" * (1 << 20))
    with pytest.raises(AssertionError, match="larger than"):
        client.job("python {file}", "x" * ((1 << 20) + 1))
    assert len(list((emulator.data / "artifacts").iterdir())) == 1
    assert client.data("query j($id: UUID!) { job(id: $id) { id } }", {"id": job})["job"]["id"] == job


def test_other_names_are_served_where_they_are_allowed(start_emulator: Callable[..., Emulator]) -> None:
    emulator = start_emulator("--allow-remote", "Saagie.Test")
    assert raw(emulator, "GET", "/emulator/stats", {"Host": "saagie.test:1234"})[0] == 200
    assert raw(emulator, "GET", "/emulator/stats", {"Host": "evil.example"})[0] == 403
