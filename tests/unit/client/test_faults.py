"""What goes wrong on the way, for real, over both transports."""

from __future__ import annotations

import asyncio
import http.server
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import requests
import trustme

from airflow_provider_saagie import exceptions as errors
from airflow_provider_saagie.client import (
    async_session,
    definitions,
    deployment,
    instances,
    outcomes,
    projects,
    session,
)
from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.client.settings import read_settings
from tests.unit.client.conftest import settings_for
from tests.unit.client.test_tls import handler

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_saagie.client.settings import Settings
    from airflow_provider_saagie.emulator.testing import Emulator

Transport = Callable[..., list[Any]]


@pytest.fixture
def job_id(emulator: Emulator, settings: Settings, script: Path) -> str:
    with session.Session(settings) as talk:
        name = f"faults {uuid.uuid4()}"
        project_id = talk.run(projects.get_project_id("Demo"))
        change = JobChange(job_name=name, file=str(script), runtime_version="3.11", command_line="python {file}")
        answer = talk.run(deployment.create(project_id, change))
        emulator.clear_faults()
        return answer["data"]["createJob"]["id"]


def test_a_read_survives_passing_faults(transport: Transport, settings: Settings, emulator: Emulator) -> None:
    for what in ("refuse", "drop", "cut"):
        emulator.fault(what, "platform")
        assert transport(settings, projects.read_platform())[0]["id"] == 1
    emulator.fault("status", "platform", status=503, times=3)
    assert transport(settings, projects.read_platform())[0]["id"] == 1


def test_a_login_survives_passing_faults(transport: Transport, settings: Settings, emulator: Emulator) -> None:
    emulator.fault("refuse", "login")
    emulator.fault("status", "login", status=502, occurrence=2)
    assert transport(settings, projects.read_platform())[0]["id"] == 1


def test_a_fault_that_stays_is_reported(transport: Transport, settings: Settings, emulator: Emulator) -> None:
    emulator.fault("status", "platform", status=503, times=0, body="<h1>Down for maintenance</h1>")
    with pytest.raises(errors.SaagieConnectionError, match=r"platform: http.*HTTP 503.*Down for maintenance"):
        transport(settings, projects.read_platform())


@pytest.mark.parametrize("what", ["drop", "cut", "garbage"])
def test_a_lost_answer_to_run_job_is_unknown_and_not_repeated(
    transport: Transport, settings: Settings, emulator: Emulator, job_id: str, what: str
) -> None:
    emulator.fault(what, "runJob")
    before = sum(row["operation"] == "runJob" for row in emulator.requests())
    with pytest.raises(errors.SaagieOutcomeUnknown, match="may have happened"):
        transport(settings, instances.run(job_id))
    assert sum(row["operation"] == "runJob" for row in emulator.requests()) == before + 1
    summary = transport(settings, definitions.read_summary(job_id))[0]
    assert summary.last_number == (0 if what == "garbage" else 1)  # the emulator's garbage comes instead of the work


def test_a_503_to_run_job_is_unknown(transport: Transport, settings: Settings, emulator, job_id: str) -> None:
    emulator.fault("status", "runJob", status=503)
    with pytest.raises(errors.SaagieOutcomeUnknown):
        transport(settings, instances.run(job_id))


def test_a_429_to_run_job_is_repeated(transport: Transport, settings: Settings, emulator, job_id: str) -> None:
    emulator.fault("status", "runJob", status=429, retry_after=1)
    assert transport(settings, instances.run(job_id))[0]["runJob"]["id"]
    assert transport(settings, definitions.read_summary(job_id))[0].last_number == 1


def test_a_lost_token_is_renewed_once_also_for_a_change(
    transport: Transport, settings: Settings, emulator: Emulator, job_id: str
) -> None:
    emulator.fault("expire", "runJob")
    before = emulator.stats()["operations"].get("login", 0)
    assert transport(settings, projects.read_platform(), instances.run(job_id))[1]["runJob"]["id"]
    assert emulator.stats()["operations"]["login"] == before + 2
    assert transport(settings, definitions.read_summary(job_id))[0].last_number == 1


def test_a_token_that_is_never_taken_is_an_error(transport: Transport, settings: Settings, emulator) -> None:
    emulator.fault("status", "platform", status=401, times=0)
    with pytest.raises(errors.SaagieAuthError, match="does not accept the token"):
        transport(settings, projects.read_platform())


def test_many_calls_log_in_once(transport: Transport, settings: Settings, emulator: Emulator) -> None:
    before = emulator.stats()["operations"].get("login", 0)
    transport(settings, *[projects.read_platform() for _ in range(5)])
    assert emulator.stats()["operations"]["login"] == before + 1


def test_many_at_a_time_log_in_once(settings: Settings, emulator: Emulator) -> None:
    async def main() -> None:
        async with async_session.AsyncSession(settings) as talk:
            await asyncio.gather(*[talk.run(projects.read_platform()) for _ in range(20)])

    before = emulator.stats()["operations"].get("login", 0)
    asyncio.run(main())
    assert emulator.stats()["operations"]["login"] == before + 1


def test_a_web_page_instead_of_an_answer_is_named(transport: Transport, settings: Settings, emulator) -> None:
    emulator.fault("garbage", "platform", times=0, body="<html><title>Sign in</title></html>")
    with pytest.raises(errors.SaagieProtocolError, match=r"platform: http.*no GraphQL answer.*It said: Sign in"):
        transport(settings, projects.read_platform())


def test_a_web_page_instead_of_a_token_is_named_and_not_shown(transport: Transport, settings, emulator) -> None:
    emulator.fault("garbage", "login", times=0, body="<html>secret page</html>")
    with pytest.raises(errors.SaagieProtocolError, match="no token") as caught:
        transport(settings, projects.read_platform())
    assert "secret page" not in str(caught.value)


@pytest.mark.parametrize("operation", ["login", "platform"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_but_named(
    transport: Transport, settings: Settings, emulator: Emulator, operation: str, status: int
) -> None:
    with listening() as (port, heard):
        emulator.fault("redirect", operation, times=0, status=status, location=f"http://127.0.0.1:{port}/trap")
        with pytest.raises(errors.SaagieProtocolError, match=rf"redirects to http://127.0.0.1:{port}/trap"):
            transport(settings, projects.read_platform())
    assert heard == []


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"password": "wr0ng"}, errors.SaagieAuthError, "check login, password and realm"),
        ({"login": "nobody"}, errors.SaagieAuthError, "'nobody'"),
        ({"extra": {"realm": "elsewhere"}}, errors.SaagieAuthError, "'elsewhere'"),
        ({"extra": {"platform_id": 77}}, errors.SaagieNotFound, "platform 77"),
        ({"host": "https://no-such-host.invalid"}, errors.SaagieConnectionError, "could not be resolved"),
        ({"host": "http://127.0.0.1:1"}, errors.SaagieConnectionError, "refused"),
        ({"extra": {"proxy": "http://127.0.0.1:1"}}, errors.SaagieConnectionError, "proxy"),
        ({"extra": {"proxy": "http://nowhere.invalid:1"}}, errors.SaagieConnectionError, "proxy"),
    ],
    ids=str,
)
def test_wrong_connections_say_what_is_wrong(
    transport: Transport, emulator: Emulator, changes: dict[str, Any], kind: type[Exception], said: str
) -> None:
    settings = settings_for(emulator, **{**changes, "extra": {"retries": 0, **changes.get("extra", {})}})
    with pytest.raises(kind) as caught:
        transport(settings, projects.read_platform())
    message = str(caught.value)
    assert said in message
    assert settings.base_url in message
    assert settings.password not in message


def test_an_answer_that_takes_too_long_is_a_timeout(transport: Transport, emulator: Emulator) -> None:
    emulator.fault("delay", "platform", seconds=3, times=0)
    settings = settings_for(emulator, extra={"timeout": 0.5, "retries": 0})
    with pytest.raises(errors.SaagieTimeout, match=r"no answer came in time.*`timeout` is 0\.5 s"):
        transport(settings, projects.read_platform())


@contextmanager
def listening() -> Iterator[tuple[int, list[str]]]:
    """A server that answers as the platform does to `platform`, and remembers which paths were asked for."""
    heard: list[str] = []

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(heard))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_bytes_that_are_no_http_are_a_lost_answer(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk_nonsense() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"\x00\x01 nonsense\r\n\r\n")

        thread = threading.Thread(target=talk_nonsense, daemon=True)
        thread.start()
        settings = read_settings(
            host=f"http://127.0.0.1:{server.getsockname()[1]}",
            login="me",
            password="pw",
            extra={"realm": "r", "platform_id": 1, "retries": 0},
        )
        with pytest.raises(errors.SaagieConnectionError, match="login"):
            transport(settings, projects.read_platform())
        thread.join(5)


@pytest.mark.parametrize(
    "body", ["[]", "5", '"text"', "null", "{}", '{"data": null}', '{"data": 1', "", '{"errors": 3}']
)
def test_json_that_is_no_graphql_is_named(transport: Transport, settings: Settings, emulator, body: str) -> None:
    emulator.fault("status", "platform", status=200, body=body, times=0)
    with pytest.raises(errors.SaagieError) as caught:
        transport(settings, projects.read_platform())
    assert "platform" in str(caught.value)


def subclasses(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


def test_tls_that_breaks_in_an_answer_is_no_bad_certificate(transport: Transport, tmp_path: Path) -> None:
    """The request was read: a change may have happened, whatever requests calls the error."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer_once_and_break, args=(listener, context), daemon=True)
        thread.start()
        settings = read_settings(
            host=f"https://localhost:{listener.getsockname()[1]}",
            login="a",
            password="secret",
            extra={"realm": "r", "platform_id": 1, "verify": str(tmp_path / "ca.pem"), "retries": 0},
        )
        with pytest.raises(errors.SaagieOutcomeUnknown, match="may have happened") as raised:
            transport(settings, instances.run(str(uuid.uuid4())))
        listener.shutdown(socket.SHUT_RDWR)  # ends the thread while its socket is still its own
        thread.join(5)
    assert "certificate" not in str(raised.value)


def _answer_once_and_break(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Log in whoever comes, and answer the next request with bytes that are no TLS."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # shut down: the test is over
            return
        with connection, connection.dup() as below, context.wrap_socket(connection, server_side=True) as tls:
            asked = _whole_request(tls)
            if b"/authenticate" in asked:
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntoken")
                asked = _whole_request(tls)
            if asked:
                below.sendall(b"no TLS at all" * 9)
                below.shutdown(socket.SHUT_WR)
                below.recv(1)


def _whole_request(tls: ssl.SSLSocket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = tls.recv(65536)
        if not piece:
            return b""
        head += piece
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    body = head.split(b"\r\n\r\n", 1)[1]
    while len(body) < length:
        body += tls.recv(65536)
    return head


@pytest.mark.parametrize(
    ("faults", "root", "package"),
    [
        (session.FAULTS, requests.exceptions.RequestException, "requests"),
        (async_session.FAULTS, aiohttp.ClientError, "aiohttp"),
    ],
)
def test_no_error_of_a_transport_is_left_out_and_none_hides_a_more_specific_one(
    faults: Any, root: type[BaseException], package: str
) -> None:
    for kind in subclasses(root):
        if kind.__module__.startswith(package):
            fault = next(fault for known, fault in faults if issubclass(kind, known))
            assert isinstance(fault, outcomes.Fault)
    kinds = [kind for kind, _ in faults]
    assert [kind for n, kind in enumerate(kinds) if issubclass(kind, tuple(kinds[:n]))] == []


def test_an_artifact_elsewhere_is_refused_before_the_login(settings: Settings, emulator: Emulator) -> None:
    before = emulator.stats()["operations"].get("login", 0)
    with session.Session(settings) as talk, pytest.raises(errors.SaagieProtocolError, match="refused"):
        list(talk.download("https://evil.io/job.py"))
    assert emulator.stats()["operations"].get("login", 0) == before


def test_the_last_look_is_taken_in_the_last_moment(emulator: Emulator, settings: Settings, job_id: str) -> None:
    """Whoever was frozen since the intent was written has to write it anew before anything goes out."""
    looks: list[int] = []

    def look() -> None:
        looks.append(sum(one["operation"] == "runJob" for one in emulator.requests()))

    with session.Session(settings) as talk:
        before = sum(one["operation"] == "runJob" for one in emulator.requests())
        talk.run(instances.run(job_id, before_send=look))
    assert looks == [before, before]


def test_what_the_last_look_raises_is_no_lost_answer(emulator: Emulator, settings: Settings, job_id: str) -> None:
    """Airflow refuses to store anything for a try that it has given up; nothing was sent then."""
    looks: list[int] = []

    def look() -> None:
        looks.append(1)
        if len(looks) == 2:
            raise BrokenPipeError("Airflow is gone")

    with session.Session(settings) as talk:
        before = len(emulator.requests())
        with pytest.raises(BrokenPipeError):
            talk.run(instances.run(job_id, before_send=look))
        assert len(emulator.requests()) == before
        assert talk.run(instances.list_instances(job_id, limit=5)) == []
