"""SaagieHook: a connection becomes a client, its test says what is wrong, and secrets are masked."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.log import redact

from airflow_provider_saagie.exceptions import SaagieValidationError
from airflow_provider_saagie.hooks.saagie import SaagieHook, read_settings_async
from tests.support.pages import DOCS, section, table
from tests.support.raw_server import Authority, RawServer, graphql, http, raw_server

Connect = Callable[..., SaagieHook]
ID = "f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"
QUOTED = dict(table(section(DOCS / "connection.md", "## What the test says"), "What is wrong"))
ACME = "https://acme-workspace.prod.saagie.io"
TLS = "a certificate that is not trusted"
# For each message in the docs: fields of the connection, answers of the platform, and the advice.
MISTAKES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no host": ({"host": ""}, {}, "the platform's URL, such as https://"),
    "no platform": ({"host": ACME, "extra": {"realm": "", "platform_id": ""}}, {}, ""),
    "plain http": ({"host": ACME.replace("https", "http")}, {}, "allow_http"),
    "no realm in the host": ({"host": "https://10.0.0.1", "extra": {"realm": ""}}, {}, "set `realm`"),
    "a CA bundle that is not there": ({"extra": {"verify": "/no/such.pem"}}, {}, "every worker and triggerer"),
    "unknown host": ({"host": "https://no-such-host.invalid"}, {}, "check the connection's host."),
    "nothing listens there": ({"host": "http://127.0.0.1:9"}, {}, "check the connection's host and the network."),
    "not a Saagie": (
        {},
        {"logins": [http(200, b"<html><body>Welcome</body></html>", content_type="text/html")]},
        "check that the connection's host is a Saagie platform.",
    ),
    "login, password or realm": ({}, {"logins": [http(401)]}, "check login, password and realm"),
    "platform": (
        {"extra": {"platform_id": 9}},
        {"answers": [http(404)]},
        "check the platform number (`platform_id`) in the connection.",
    ),
}


@pytest.fixture
def server() -> Iterator[RawServer]:
    with raw_server() as server:
        yield server


@pytest.fixture
def connect(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """A function that sets a connection to the server, except for the fields given, and returns its hook."""
    hooks: list[SaagieHook] = []

    def connect(**changes: Any) -> SaagieHook:
        extra = changes.pop("extra", {})
        if isinstance(extra, dict):
            extra = {"realm": "local", "platform_id": 1, **extra}
        given = {"conn_type": "saagie", "host": server.url, "login": "airflow", "password": "correct horse"}
        monkeypatch.setenv("AIRFLOW_CONN_SAAGIE_TEST", json.dumps({**given, "extra": extra, **changes}))
        hooks.append(SaagieHook("saagie_test"))
        return hooks[-1]

    yield connect
    for hook in hooks:
        hook.close()


def check_message(what: str, advice: str, hook: SaagieHook) -> None:
    good, message = hook.test_connection()
    shown, quoted = (re.sub(r"(127\.0\.0\.1):\d+", r"\1:PORT", text) for text in (message, QUOTED[what]))
    assert not good, what
    assert shown.startswith(quoted)
    assert advice in message
    assert "correct horse" not in message


def test_mistake_in_connection_is_reported_as_documented(connect: Connect, server: RawServer) -> None:
    for what, (changes, script, advice) in MISTAKES.items():
        server.reset()
        vars(server).update(script)
        check_message(what, advice, connect(**changes))
    assert QUOTED.keys() == {*MISTAKES, TLS}


def test_untrusted_certificate_is_reported_before_the_login(connect: Connect, tmp_path: Path) -> None:
    advice = "set the connection's `verify` to the path of a CA bundle that knows the platform's certificate."
    authority = Authority.founded_in(tmp_path)
    with raw_server(authority.certify("127.0.0.1")) as server:
        host = f"https://127.0.0.1:{server.port}"
        check_message(TLS, advice, connect(host=host))
        assert server.asked == {}
        assert connect(host=host, extra={"verify": str(authority.bundle)}).test_connection()[0]


def test_good_connection_is_described(connect: Connect, server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    uri = f"saagie://airflow:correct%20horse@http%3A%2F%2F{host}:{port}/?realm=local&platform_id=1&timeout=5"
    monkeypatch.setenv("AIRFLOW_CONN_SAAGIE_URI", uri)
    for hook in (connect(), SaagieHook("saagie_uri")):
        good, message = hook.test_connection()
        assert good
        assert f"Logged in to {server.url} as airflow in the realm local; platform 1" in message


def test_unusable_connection_is_rejected(connect: Connect) -> None:
    for changes, complaint in (({"password": ""}, "no password"), ({"extra": [1]}, "extra is no JSON object")):
        hook = connect(**changes)
        with pytest.raises(SaagieValidationError, match=complaint):
            hook.get_conn()
        assert complaint in hook.test_connection()[1]


def test_hook_keeps_one_client_with_the_jobs_api(connect: Connect, server: RawServer) -> None:
    server.answers = [graphql({"data": {"jobs": []}})]
    hook = connect()
    assert hook.jobs.list_for_project_minimal(ID) == {"jobs": []}
    client = hook.get_conn()
    assert hook.get_conn() is client
    hook.close()
    assert hook.get_conn() is not client


def test_worker_and_triggerer_read_the_same_settings(connect: Connect, capfd: pytest.CaptureFixture[str]) -> None:
    hook = connect(extra={"timeout": "7", "retries": 2, "verify": "false", "proxy": "http://user:pr0xy@proxy.acme.io"})
    assert [hook.settings.verify for _ in range(3)] == [False] * 3
    assert "".join(capfd.readouterr()).count("does not verify TLS") == 1
    assert asyncio.run(read_settings_async("saagie_test")) == hook.settings


def test_password_and_token_are_masked(connect: Connect, server: RawServer) -> None:
    """Their reprs are shown in test_secrets."""
    server.logins = [http(200, b"s3cret-t0ken", content_type="text/plain")]
    connect().get_conn().get_platform()
    assert redact("sent s3cret-t0ken after correct horse") == "sent *** after ***"
