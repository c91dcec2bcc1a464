"""A hunt for secrets in logs, exceptions and reprs, with nothing masked and everything at DEBUG.

Password, token and the proxy's credentials are canaries, searched for as they are and in URL, JSON and base64.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import traceback
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client import deployment, instances, projects
from airflow_provider_saagie.client.async_session import AsyncSession
from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.client.redaction import shown
from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.client.settings import read_settings
from airflow_provider_saagie.exceptions import SaagieError
from airflow_provider_saagie.hooks.saagie import SaagieHook
from tests.support import raw_server as scripting
from tests.support.raw_server import Scripted, http, scripted_server

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_saagie.client.settings import Settings

ID = "5f5fce22-2152-4a01-8c6a-4c2eb4808b6d"
PASSWORD, TOKEN, PROXY = 'cAnary-p@ss/w0rd "é"', "cAnary.t0ken-value", "cAnary-pr0xy&x"
LOGGERS = ("gql", "urllib3", "aiohttp", "requests", "requests_toolbelt", "asyncio", "airflow_provider_saagie")
RUN = {"runJob": {"id": ID, "history": {"currentStatus": {"status": "REQUESTED"}}}}


def spellings(secret: str) -> set[str]:
    """Every way in which a secret could stand in a log."""
    in_base64 = {always_in_base64(secret.encode(), shift) for shift in range(3)}
    quoted = {urllib.parse.quote(secret, safe=safe) for safe in ("", "/")} | {urllib.parse.quote_plus(secret)}
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], *quoted, *in_base64}


def always_in_base64(secret: bytes, shift: int) -> str:
    """Give the characters that are the same whatever stands before and behind the secret."""
    one, other = (base64.b64encode(bytes([byte]) * shift + secret + bytes([byte]) * 3).decode() for byte in (0, 255))
    return "".join(a if a == b else " " for a, b in zip(one, other, strict=True)).strip().split(" ")[0]


ALL_SPELLINGS = {spelling: secret for secret in (PASSWORD, TOKEN, PROXY) for spelling in spellings(secret)}
# What a careless server or proxy could send back: all that it was sent.
ECHO = " ".join(["runJob", *ALL_SPELLINGS, f"Bearer {TOKEN}", f"Basic {base64.b64encode(PASSWORD.encode()).decode()}"])
ANSWERS = {
    "good": http(200, json.dumps({"data": RUN}).encode()),
    "echoed error": http(
        200, json.dumps({"errors": [{"message": ECHO, "extensions": {"classification": ECHO}}]}).encode()
    ),
    "echoed errors": http(400, json.dumps({"errors": [{"message": one} for one in ALL_SPELLINGS]}).encode()),
    "echoed 401": http(401, ECHO.encode()),
    "echoed 403": http(403, ECHO.encode(), content_type="text/plain"),
    "echoed 500": http(500, ECHO.encode(), content_type="text/plain"),
    "echoed page": http(200, f"<html>{ECHO}</html>".encode(), content_type="text/html"),
    "echoed redirect": http(
        307, b"", "Location: http://elsewhere/?" + urllib.parse.urlencode({"a": TOKEN, "b": PASSWORD})
    ),
    "echoed JSON": http(200, json.dumps(ECHO).encode()),
    "echoed fields": http(200, json.dumps({ECHO: ECHO, "data": {"runJob": ECHO}}).encode()),
    "cut": http(200, ECHO.encode())[:-9],
    "no HTTP": ECHO.encode(),
}
LOGINS = {
    "refused": http(401, ECHO.encode()),
    "broken": http(500, ECHO.encode()),
    "no token": http(200, ECHO.encode(), content_type="text/plain"),
    "redirected": http(302, b"", f"Location: http://elsewhere/{urllib.parse.quote(PASSWORD)}"),
}


@dataclass
class Hunt:
    """Everything that could show a secret."""

    stream: io.StringIO = field(default_factory=io.StringIO)
    shown: list[str] = field(default_factory=list)

    def look_at(self, *things: object) -> None:
        self.shown += [text for thing in things for text in (repr(thing), str(thing))]

    def look_at_error(self, error: BaseException) -> None:
        link: BaseException | None = error
        while link is not None:
            self.look_at(link, getattr(link, "__dict__", {}), link.args)
            link = link.__cause__ or link.__context__
        self.shown += traceback.format_exception(error)

    def found(self) -> set[str]:
        text = "\n".join([self.stream.getvalue(), *self.shown])
        return {spelling for spelling in ALL_SPELLINGS if spelling in text}


@pytest.fixture
def hunt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hunt]:
    """Collect what is logged, at DEBUG, with no filter before it: Airflow's masker sits in its own handlers."""
    hunt = Hunt()
    handler = logging.StreamHandler(hunt.stream)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "level", logging.DEBUG)
        monkeypatch.setattr(logger, "propagate", True)
        monkeypatch.setattr(logger, "disabled", False)
    yield hunt
    root.removeHandler(handler)
    root.setLevel(before)


@contextmanager
def platform(monkeypatch: pytest.MonkeyPatch, answer: bytes, login: bytes | None = None) -> Iterator[Scripted]:
    token = TOKEN.encode()
    good = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(token), token)
    monkeypatch.setattr(scripting, "LOGIN_ANSWER", login or good)
    with scripted_server() as server:
        server.answers = [answer]
        yield server


def settings_for(port: int, proxy_port: int | None, host: str | None = None) -> Settings:
    proxy = f"http://user:{urllib.parse.quote(PROXY)}@127.0.0.1:{proxy_port}" if proxy_port else None
    return read_settings(
        host=host or f"http://127.0.0.1:{port}",
        login="me",
        password=PASSWORD,
        extra={"realm": "r", "platform_id": 1, "retries": 1, "timeout": 5, "proxy": proxy},
    )


def attempt(hunt: Hunt, action: Callable[[], Any]) -> None:
    try:
        hunt.look_at(action())
    except SaagieError as error:
        hunt.look_at_error(error)


@pytest.mark.parametrize("name", ANSWERS)
def test_whatever_is_answered_no_secret_is_shown(
    transport: Callable[..., Any], hunt: Hunt, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with platform(monkeypatch, ANSWERS[name]) as server:
        settings = settings_for(server.port, server.port)
        hunt.look_at(settings, vars(settings)["mask"])
        attempt(hunt, lambda: transport(settings, instances.run(ID)))
        heard = bytes(server.seen).decode()
    assert json.dumps(PASSWORD)[1:-1] in heard  # so that there was something to leak
    assert TOKEN in heard
    assert "runJob" in hunt.stream.getvalue() + "".join(hunt.shown)
    # What the platform says in GraphQL is logged by gql at DEBUG, as it came: then only what we send counts.
    if name in ("echoed error", "echoed fields", "echoed JSON", "cut"):
        hunt.stream.seek(0)
        hunt.stream.truncate()
    assert hunt.found() == set()


@pytest.mark.parametrize("name", LOGINS)
def test_whatever_a_login_is_answered_no_secret_is_shown(
    transport: Callable[..., Any], hunt: Hunt, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with platform(monkeypatch, ANSWERS["good"], LOGINS[name]) as server:
        attempt(hunt, lambda: transport(settings_for(server.port, None), instances.run(ID)))
        assert json.dumps(PASSWORD)[1:-1] in bytes(server.seen).decode()
    assert hunt.shown
    assert hunt.found() == set()


def test_a_proxy_that_is_not_there_is_named_without_its_credentials(
    transport: Callable[..., Any], hunt: Hunt, monkeypatch: pytest.MonkeyPatch
) -> None:
    for host in ("http://127.0.0.1:1", "https://saagie.example.org"):
        attempt(hunt, lambda host=host: transport(settings_for(0, 1, host), projects.read_platform()))
    assert "proxy" in "".join(hunt.shown)
    assert hunt.found() == set()


def test_an_upload_shows_no_secret(
    transport: Callable[..., Any], hunt: Hunt, emulator: Any, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the emulator, whose password is the canary here; its token is one too."""
    settings = read_settings(
        host=emulator.url,
        login=emulator.login,
        password=emulator.password,
        extra={"realm": emulator.realm, "platform_id": emulator.platform},
    )
    project_id = transport(settings, projects.get_project_id("Demo"))[0]
    change = JobChange(job_name=f"secret {id(hunt)}", file=str(script), runtime_version="3.11", command_line="true")
    attempt(hunt, lambda: transport(settings, deployment.create(project_id, change)))
    text = hunt.stream.getvalue() + "".join(hunt.shown)
    assert "createJob" in text
    assert len(settings.tokens) == 2
    for secret in (emulator.password, *settings.tokens):
        assert not {spelling for spelling in spellings(secret) if spelling in text}


def test_reprs_of_whatever_holds_a_secret_show_none(hunt: Hunt, monkeypatch: pytest.MonkeyPatch) -> None:
    with platform(monkeypatch, ANSWERS["good"]) as server:
        extra = {"realm": "r", "platform_id": 1, "proxy": f"http://user:{PROXY}@127.0.0.1:{server.port}"}
        connection = {
            "conn_type": "saagie", "host": f"http://127.0.0.1:{server.port}", "login": "me", "password": PASSWORD,
            "extra": extra,
        }  # fmt: skip
        monkeypatch.setenv("AIRFLOW_CONN_SAAGIE_HUNT", json.dumps(connection))
        hook = SaagieHook("saagie_hunt")
        hunt.look_at(hook, vars(hook), hook.test_connection())
        hunt.look_at(hook.jobs.run(ID), hook.settings, hook.get_conn(), hook.jobs, hook.get_conn().session)
        hunt.look_at(vars(hook), vars(hook.get_conn()))
        hook.close()
    assert hunt.found() == set()


def test_a_session_shows_no_secret_in_its_repr(hunt: Hunt) -> None:
    settings = settings_for(1, 1)
    settings.take_token(TOKEN)
    with SaagieClient(settings) as client:
        hunt.look_at(settings, client, client.session, AsyncSession(settings))
    assert hunt.found() == set()


@pytest.mark.parametrize("secret", [PASSWORD, TOKEN, PROXY])
def test_a_foreign_text_is_shown_without_secrets_in_any_spelling(secret: str) -> None:
    settings = settings_for(1, 1)
    settings.take_token(TOKEN)
    for spelling in spellings(secret):
        text = shown(f"it said: {spelling}, and more", settings)
        assert spelling not in text
        assert text.startswith("it said: ")


def test_tls_errors_show_no_secret(transport: Callable[..., Any], hunt: Hunt, tmp_path: Path) -> None:
    from tests.unit.client.test_tls import Authority, trustme

    with Authority(trustme.CA(), tmp_path).serving() as port:
        attempt(hunt, lambda: transport(settings_for(port, None, f"https://localhost:{port}"), instances.run(ID)))
    assert "certificate" in "".join(hunt.shown)
    assert hunt.found() == set()


@pytest.mark.parametrize("before", range(64 * 1024 - 30, 64 * 1024 + 1, 3))
def test_a_secret_at_the_end_of_what_is_read_of_a_body_is_not_shown_in_part(before: int) -> None:
    settings = settings_for(1, 1)
    text = shown(" " * before + PASSWORD + " and more", settings)
    assert PASSWORD[:4] not in text
