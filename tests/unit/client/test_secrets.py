"""No secret is in a log, an error or a repr, with nothing masked and everything at DEBUG.

Password, token and the proxy's password are canaries, searched for as they are and in URL, JSON and base64.
"""

from __future__ import annotations

import base64
import json
import logging
import tempfile
import traceback
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_saagie.client import deployment, instances, projects
from airflow_provider_saagie.client.async_session import AsyncSession
from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.client.redaction import shown
from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.client.settings import Settings
from airflow_provider_saagie.exceptions import SaagieError
from airflow_provider_saagie.hooks.saagie import SaagieHook
from tests.support.raw_server import Authority, RawServer, graphql, http, raw_server
from tests.unit.client.conftest import Transport

ID = "5f5fce22-2152-4a01-8c6a-4c2eb4808b6d"
PASSWORD, TOKEN, PROXY = 'cAnary-p@ss/w0rd "é"', "cAnary.t0ken-value", "cAnary-pr0xy&x"
LOGGERS = ("gql", "urllib3", "aiohttp", "requests", "requests_toolbelt", "asyncio", "airflow_provider_saagie")
LOGIN = http(200, TOKEN.encode(), content_type="text/plain")
RUN = graphql({"data": {"runJob": {"id": ID, "history": {"currentStatus": {"status": "REQUESTED"}}}}})


def spellings(secret: str) -> set[str]:
    """Return the ways in which a secret could be in a log."""
    in_base64 = {stable_base64(secret.encode(), shift) for shift in range(3)}
    quoted = {urllib.parse.quote(secret, safe=safe) for safe in ("", "/")} | {urllib.parse.quote_plus(secret)}
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], *quoted, *in_base64}


def stable_base64(secret: bytes, shift: int) -> str:
    """Return the base64 characters that don't depend on neighbouring bytes."""
    length = (shift + len(secret)) * 8 // 6
    return base64.b64encode(bytes(shift) + secret + bytes(3)).decode()[-(-shift * 8 // 6) : length]


ALL_SPELLINGS = [spelling for secret in (PASSWORD, TOKEN, PROXY) for spelling in sorted(spellings(secret))]
# What a careless server or proxy could send back: all that it was sent.
ECHO = " ".join(["runJob", *ALL_SPELLINGS, f"Bearer {TOKEN}", f"Basic {base64.b64encode(PASSWORD.encode()).decode()}"])
ANSWERS = {
    "good": RUN,
    "echoed error": graphql({"errors": [{"message": ECHO, "extensions": {"classification": ECHO}}]}),
    "echoed errors": http(400, json.dumps({"errors": [{"message": one} for one in ALL_SPELLINGS]}).encode()),
    "echoed 401": http(401, ECHO.encode()),
    "echoed 500": http(500, ECHO.encode(), content_type="text/plain"),
    "echoed page": http(200, f"<html>{ECHO}</html>".encode(), content_type="text/html"),
    "echoed redirect": http(307, b"", f"Location: http://elsewhere/?{urllib.parse.urlencode([(TOKEN, PASSWORD)])}"),
    "echoed JSON": graphql(ECHO),
    "echoed fields": graphql({ECHO: ECHO, "data": {"runJob": ECHO}}),
    "cut": http(200, ECHO.encode())[:-9],
    "no HTTP": ECHO.encode(),
}
# gql logs GraphQL at DEBUG as it came, whatever the platform says: for these only the errors count.
LOGGED_BY_GQL = ("echoed error", "echoed fields", "echoed JSON", "cut")
LOGINS = {
    "refused": http(401, ECHO.encode()),
    "broken": http(500, ECHO.encode()),
    "no token": http(200, ECHO.encode(), content_type="text/plain"),
    "redirected": http(302, b"", f"Location: http://elsewhere/{urllib.parse.quote(PASSWORD)}"),
}


@dataclass
class Hunt:
    """Everything that could show a secret."""

    caplog: pytest.LogCaptureFixture
    shown: list[str] = field(default_factory=list)

    def look_at(self, *things: object) -> None:
        self.shown += [text for thing in things for text in (repr(thing), str(thing))]

    def attempt(self, action: Callable[[], Any]) -> None:
        try:
            self.look_at(action())
        except SaagieError as error:
            link: BaseException | None = error
            while link is not None:
                self.look_at(link, getattr(link, "__dict__", {}), link.args)
                link = link.__cause__ or link.__context__
            self.shown += traceback.format_exception(error)

    def check(self, expected: str, name: str = "") -> None:
        """Check that the text that is expected was shown, that no secret was, and start again."""
        logged, shown = self.caplog.text, "\n".join(self.shown)
        assert expected in logged + shown, name
        text = shown if name in LOGGED_BY_GQL else logged + shown
        assert not {spelling for spelling in ALL_SPELLINGS if spelling in text}, name
        self.caplog.clear()
        self.shown.clear()


@pytest.fixture
def hunt(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Hunt:
    """Collect what is logged, at DEBUG and without any filter: Airflow's masker is in its own handlers."""
    for name in (None, *LOGGERS):
        caplog.set_level(logging.DEBUG, name)
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
    return Hunt(caplog)


def settings_for(server: RawServer, proxy_port: int | None = None, **more: Any) -> Settings:
    server.logins = [LOGIN]
    proxy = f"http://user:{urllib.parse.quote(PROXY)}@127.0.0.1:{proxy_port}" if proxy_port else None
    return server.settings(password=PASSWORD, proxy=proxy, retries=1, **more)


def test_no_answer_makes_a_secret_appear(transport: Transport, server: RawServer, hunt: Hunt) -> None:
    for name, answer in (ANSWERS | LOGINS).items():
        server.reset(answer)
        connection = settings_for(server, server.port)
        if name in LOGINS:
            server.logins = [answer]
        hunt.look_at(connection, vars(connection)["mask"])
        hunt.attempt(lambda connection=connection: transport(connection, instances.run(ID)))
        sent = bytes(server.seen).decode()
        for secret in (json.dumps(PASSWORD)[1:-1], "Proxy-Authorization", *([] if name in LOGINS else [TOKEN])):
            assert secret in sent, "so that there was something to leak"
        hunt.check("login" if name in LOGINS else "runJob", name)


def test_failed_proxy_and_tls_show_no_secret(
    transport: Transport, server: RawServer, hunt: Hunt, tmp_path: Path
) -> None:
    for host in ("http://127.0.0.1:1", "https://saagie.example.org"):
        hunt.attempt(lambda host=host: transport(settings_for(server, 1, host=host), projects.read_platform()))
        hunt.check("proxy", host)
    with raw_server(Authority.founded_in(tmp_path).certify()) as tls:
        hunt.attempt(lambda: transport(settings_for(tls), instances.run(ID)))
    hunt.check("certificate")


def test_upload_shows_no_secret_and_leaves_no_file(
    transport: Transport, server: RawServer, hunt: Hunt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (script := tmp_path / "job.py").write_text("print('a job')")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    server.of["jobSettings"] = graphql({"data": {"job": {"id": ID, "name": "a", "versions": [{"number": 1}]}}})
    server.answers = [graphql({"data": {"addJobVersion": {"number": 2}}})]
    connection = settings_for(server)
    hunt.attempt(lambda: transport(connection, deployment.upgrade(ID, JobChange(file=str(script)))))
    assert server.asked["addJobVersion"] == 1
    assert script.read_bytes() in server.seen
    assert list(connection.tokens) == [TOKEN]
    hunt.check("addJobVersion")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_reprs_of_hook_and_sessions_show_no_secret(
    server: RawServer, hunt: Hunt, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.reset(RUN)
    connection = settings_for(server, server.port)
    connection.take_token(TOKEN)
    with SaagieClient(connection) as client:
        hunt.look_at(connection, client, client.session, AsyncSession(connection))
    airflows = {"conn_type": "saagie", "host": server.url, "login": "me", "password": PASSWORD}
    extra = {"realm": "r", "platform_id": 1, "proxy": connection.proxy}
    monkeypatch.setenv("AIRFLOW_CONN_SAAGIE_HUNT", json.dumps({**airflows, "extra": extra}))
    hook = SaagieHook("saagie_hunt")
    hunt.look_at(hook, vars(hook), hook.test_connection())
    hunt.look_at(hook.jobs.run(ID), hook.settings, hook.get_conn(), hook.jobs, hook.get_conn().session)
    hunt.look_at(vars(hook), vars(hook.get_conn()))
    hook.close()
    hunt.check("runJob")


def test_shown_text_has_no_secret_nor_a_part_of_it(server: RawServer) -> None:
    """Only the first 64 KiB are read: a secret may be cut there."""
    connection = settings_for(server, 1)
    connection.take_token(TOKEN)
    for spelling in (*ALL_SPELLINGS, str(connection.proxy)):
        assert shown(f"it said: {spelling}, and more", connection) == "it said: ***, and more"
    for before in range(64 * 1024 - 30, 64 * 1024 + 1, 3):
        assert PASSWORD[:4] not in shown(" " * before + PASSWORD + " and more", connection), before
