"""Both transports against a server with scripted bytes: only our own errors come out, and no change is made twice."""

from __future__ import annotations

import asyncio
import os
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_saagie.client import async_session, core, deployment, instances, projects, running, session
from airflow_provider_saagie.client.calls import Call, Upload
from airflow_provider_saagie.client.outcomes import Fault
from airflow_provider_saagie.client.session import PIECE, Session
from airflow_provider_saagie.exceptions import (
    SaagieApiError,
    SaagieAuthError,
    SaagieConnectionError,
    SaagieError,
    SaagieNotFound,
    SaagieOutcomeUnknown,
    SaagieProtocolError,
    SaagieTimeout,
    SaagieValidationError,
)
from tests.support.raw_server import LOGIN, NEVER, PLATFORM, RawServer, graphql, http

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_provider_saagie.client.settings import Settings
    from tests.unit.client.conftest import Transport

EXAMPLES = int(os.environ.get("SAAGIE_TEST_EXAMPLES", "5"))  # for a long run: SAAGIE_TEST_EXAMPLES=500
ID = "5f5fce22-2152-4a01-8c6a-4c2eb4808b6d"
JUNK = b"\x00junk\xff" * (1024 * 1024 // 6)
HTML = b"<html><title>Sign in</title></html>"
STARTED = graphql({"data": {"runJob": {"id": ID, "history": {"currentStatus": {"status": "REQUESTED"}}}}})
RETRIES = 2  # of `RawServer.settings`
SENT = RETRIES + 1  # requests, when each is repeated


class Row(NamedTuple):
    """An answer, and its result: the error and the number of requests of a read and of a change."""

    answer: bytes
    read: type[SaagieError]
    reads: int
    change: type[SaagieError]
    changes: int
    text: str = ""


def refused(answer: bytes, kind: type[SaagieError], text: str = "", times: int = 1) -> Row:
    return Row(answer, kind, times, kind, times, text)


def no_graphql(answer: bytes, text: str = "no GraphQL answer") -> Row:
    return Row(answer, SaagieProtocolError, 1, SaagieOutcomeUnknown, 1, text)


def lost(answer: bytes, text: str = "broke before the answer was whole") -> Row:
    return Row(answer, SaagieConnectionError, SENT, SaagieOutcomeUnknown, 1, text)


def classified(classification: str) -> bytes:
    return graphql({"data": None, "errors": [{"message": "no", "extensions": {"classification": classification}}]})


ROWS = {
    "errors without data": refused(graphql({"errors": [{"message": "no"}]}), SaagieApiError, "refused: no"),
    "errors beside null": refused(graphql({"data": None, "errors": [{"message": "no"}]}), SaagieApiError, "no"),
    "errors beside empty data": refused(graphql({"data": {"a": None}, "errors": [{"message": "no"}]}), SaagieApiError),
    "errors beside data": Row(
        graphql({"data": {"a": 1}, "errors": [{"message": "no"}]}), SaagieApiError, 1, SaagieOutcomeUnknown, 1
    ),
    "NOT_FOUND": refused(classified("NOT_FOUND"), SaagieNotFound, r"no \(NOT_FOUND\)"),
    "FORBIDDEN": refused(classified("FORBIDDEN"), SaagieAuthError, "no .FORBIDDEN.*the role that 'me' needs"),
    "errors without message": refused(graphql({"errors": [{}]}), SaagieApiError, r"\(no message\)"),
    "errors that are a number": refused(graphql({"errors": 5}), SaagieApiError, r"\(no message\)"),
    "errors that are true": refused(graphql({"data": 5, "errors": True}), SaagieApiError),
    "errors that are an object": refused(graphql({"data": None, "errors": {"message": "no"}}), SaagieApiError, "no"),
    "neither": no_graphql(graphql({})),
    "data that is a number": no_graphql(graphql({"data": 5}), "neither data nor errors"),
    "data that is a list": no_graphql(graphql({"data": [5]}), "neither data nor errors"),
    "data that is null": no_graphql(graphql({"data": None}), "neither data nor errors"),
    **{f"JSON: {body!r}": no_graphql(http(200, body)) for body in (b"[]", b"1", b'"x"', b"null", b"true", b"\xff\xfe")},
    "brackets without end": no_graphql(http(200, b"[" * 200_000)),
    "HTML": no_graphql(http(200, HTML, content_type="text/html"), "no GraphQL answer.*It said: Sign in"),
    "HTML that is called JSON": no_graphql(http(200, HTML)),
    "cut JSON": no_graphql(http(200, b'{"data": {"')),
    "an empty body": no_graphql(http(200)),
    "no content": no_graphql(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
    "junk that is called JSON": no_graphql(http(200, JUNK)),
    "junk": no_graphql(http(200, JUNK, content_type="application/octet-stream")),
    "junk with 400": refused(http(400, JUNK), SaagieApiError, "HTTP 400"),
    "junk with 500": lost(http(500, JUNK, content_type="text/html"), "HTTP 500"),
    "no answer": lost(b""),
    "half a status line": lost(b"HTTP/1."),
    "half a body": lost(http(200, b'{"data": {}}')[:-4]),
    "no HTTP": lost(b"\x00\x01\x02\r\n\r\n"),
    "301": refused(http(301, b"", "Location: /trap"), SaagieProtocolError, "redirects to /trap"),
    "302 to nowhere": refused(http(302), SaagieProtocolError, "redirects to nowhere"),
    "307": refused(http(307, b"", "Location: /trap"), SaagieProtocolError, "redirects to /trap"),
    "308": refused(http(308, b"", "Location: http://127.0.0.1:9/"), SaagieProtocolError, "to http://127.0.0.1:9/"),
    "400": refused(http(400, b"[" * 200_000), SaagieApiError, r"HTTP 400.*\[\[\["),
    "401": refused(http(401), SaagieAuthError, "does not accept the token", times=2),
    "403": refused(http(403, b"no"), SaagieAuthError, "denies 'me'.*It said: no"),
    "404": refused(http(404), SaagieNotFound, "no platform 1"),
    "429": refused(http(429), SaagieConnectionError, "fewer requests", times=SENT),
    "429 with Retry-After": refused(http(429, b"", "Retry-After: 1"), SaagieConnectionError, times=SENT),
    "429 for an hour": refused(http(429, b"", "Retry-After: 3600"), SaagieConnectionError),
    "500": lost(http(500, b"[" * 200_000), r"HTTP 500.*\[\[\["),
    "503 with Retry-After": lost(http(503, b"Maintenance", "Retry-After: 1"), "HTTP 503.*It said: Maintenance"),
}


def check(row: Row, server: RawServer, action: Any, *, change: bool = False, is_repeated: bool = True) -> None:
    operation, kind, times = ("runJob", row.change, row.changes) if change else ("watchedInstance", row.read, row.reads)
    logins = 2 if row.answer.startswith(b"HTTP/1.1 401") else 1
    server.reset(row.answer)
    with pytest.raises(SaagieError, match=rf"{operation}.*{row.text}") as caught:
        action()
    assert type(caught.value) is kind
    assert server.asked == {"login": logins, operation: times if is_repeated else logins}
    assert len(str(caught.value)) < 1000
    assert server.url in str(caught.value)
    assert (caught.value.operation, caught.value.host) == (operation, server.url)


@pytest.mark.parametrize("name", ROWS)
def test_broken_answer_is_own_error_and_change_is_sent_once(transport: Transport, server: RawServer, name: str) -> None:
    check(ROWS[name], server, lambda: transport(server.settings(), instances.read_instance(ID)))
    check(ROWS[name], server, lambda: transport(server.settings(), instances.run(ID)), change=True)


async def send_text(connection: Settings) -> None:
    """Send a read as the watcher does, which interprets the outcome itself and repeats nothing."""
    async with async_session.AsyncSession(connection) as own:
        outcome = await own.send_text("watchedInstance", "query watchedInstance { platform { id } }", {})
        core.meaning("watchedInstance", outcome, connection, is_mutation=False)


def test_broken_answer_to_a_batch_is_own_error(server: RawServer) -> None:
    for row in ROWS.values():
        check(row, server, lambda: asyncio.run(send_text(server.settings())), is_repeated=False)


LOGIN_ROWS: dict[str, tuple[bytes, type[SaagieError], str, int]] = {
    "refused": (http(401), SaagieAuthError, "refused the login of 'me' in the realm 'r'.*check login, password", 1),
    "no realm": (http(404), SaagieAuthError, "no login for the realm 'r'", 1),
    "HTML": (http(200, HTML, content_type="text/html"), SaagieProtocolError, "no token", 1),
    "junk": (http(200, JUNK, content_type="text/plain"), SaagieProtocolError, "no token", 1),
    "no HTTP": (b"\x00\x01 nonsense\r\n\r\n", SaagieConnectionError, "broke before", SENT),
    "no answer": (b"", SaagieConnectionError, "broke before", SENT),
    "502": (http(502, HTML), SaagieConnectionError, "HTTP 502", SENT),
    **{
        f"{status}": (http(status, b"", "Location: /trap"), SaagieProtocolError, "redirects to /trap", 1)
        for status in (301, 302, 307, 308)
    },
}


@pytest.mark.parametrize("name", LOGIN_ROWS)
def test_broken_login_is_own_error_and_nothing_else_is_sent(transport: Transport, server: RawServer, name: str) -> None:
    answer, kind, text, times = LOGIN_ROWS[name]
    server.logins = [answer]
    with pytest.raises(SaagieError, match=text) as caught:
        transport(server.settings(), projects.read_platform())
    assert type(caught.value) is kind
    assert server.asked == {"login": times}
    assert len(str(caught.value)) < 1000
    assert "Sign in" not in str(caught.value)


@pytest.mark.parametrize(
    ("logins", "answers", "asked"),
    [
        ([LOGIN], [b"", PLATFORM], {"login": 1, "platform": 2}),
        ([LOGIN], [PLATFORM[:-4], http(503), PLATFORM], {"login": 1, "platform": 3}),
        ([b"", http(502), LOGIN], [PLATFORM], {"login": 3, "platform": 1}),
        ([LOGIN], [http(429, b"", "Retry-After: 1"), STARTED], {"login": 1, "runJob": 2}),
        ([LOGIN], [http(401), STARTED], {"login": 2, "runJob": 2}),
    ],
    ids=["lost", "cut and 503", "login", "change with 429", "change with 401"],
)
def test_request_without_effect_is_repeated(
    transport: Transport, server: RawServer, logins: list[bytes], answers: list[bytes], asked: dict[str, int]
) -> None:
    server.logins, server.answers = list(logins), list(answers)
    transport(server.settings(), instances.run(ID) if "runJob" in asked else projects.read_platform())
    assert server.asked == asked


def test_expired_token_is_renewed_in_a_loop_each_time(transport: Transport, server: RawServer) -> None:
    rows = [{"id": ID, "history": {"currentStatus": {"status": one}}} for one in ("RUNNING", "RUNNING", "SUCCEEDED")]
    first, *later = [graphql({"data": {"jobInstance": row}}) for row in rows]
    server.of["runJob"] = STARTED
    server.answers = [first, http(401), later[0], http(401), later[1]]
    assert transport(server.settings(), running.run_with_callback(ID, 1, -1)) == [("SUCCEEDED", ID)]
    assert server.asked == {"login": 3, "runJob": 1, "watchedInstance": 5}


def test_calls_share_connection_and_login_and_read_no_schema(transport: Transport, server: RawServer) -> None:
    transport(server.settings(), *[projects.read_platform() for _ in range(5)])
    assert server.asked == {"login": 1, "platform": 5}
    assert server.connections == 1
    assert b"__schema" not in server.seen


def test_concurrent_calls_share_one_login(server: RawServer) -> None:
    async def main() -> None:
        async with async_session.AsyncSession(server.settings()) as own:
            await asyncio.gather(*[own.run(projects.read_platform()) for _ in range(20)])

    asyncio.run(main())
    assert server.asked == {"login": 1, "platform": 20}


@pytest.mark.parametrize(("good", "operation"), [(STARTED, instances.run(ID)), (LOGIN, None)], ids=["change", "login"])
def test_answer_cut_at_any_byte_is_no_answer(
    transport: Transport, server: RawServer, good: bytes, operation: Any
) -> None:
    for cut in {*range(0, len(good), 8), len(good) - 1}:
        server.reset(good[:cut])
        if good is LOGIN:
            server.logins = [good[:cut]]
        with pytest.raises(SaagieError) as caught:
            transport(server.settings(retries=0), instances.run(ID))
        if good is LOGIN:
            assert caught.value.operation == "login", cut
            assert server.asked == {"login": 1}, cut
        else:
            assert isinstance(caught.value, SaagieOutcomeUnknown), cut
            assert server.asked == {"login": 1, "runJob": 1}, cut


random_answers = st.one_of(
    st.sampled_from([row.answer for row in ROWS.values() if len(row.answer) < 1000]),
    st.builds(lambda cut: STARTED[:cut], st.integers(0, len(STARTED) - 1)),
    st.builds(http, st.sampled_from([200, 201, 204, 400, 403, 404, 409, 500, 502, 503]), st.binary(max_size=60)),
    st.binary(max_size=40),
)


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # the fixture is not reset per example
@settings(max_examples=4 * EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(answers=st.lists(random_answers, min_size=1, max_size=3))
def test_any_bytes_are_own_error_and_no_run_is_sent_twice(
    transport: Transport, server: RawServer, answers: list[bytes]
) -> None:
    server.reset(*answers)
    try:
        transport(server.settings(), instances.run(ID))
    except SaagieError as error:
        assert str(error)  # noqa: PT017 - that no other error comes out is the test
    maybe_done = [answer for answer in answers if not answer.startswith((b"HTTP/1.1 429", b"HTTP/1.1 401"))]
    assert server.asked["runJob"] <= (len(answers) - len(maybe_done) + 1 if maybe_done else 6)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http(500), SaagieOutcomeUnknown),
        (http(403), SaagieAuthError),
        (graphql({"errors": [{"message": "no such cron"}]}), SaagieApiError),
        (graphql({"data": {"editJob": None}}), SaagieOutcomeUnknown),
    ],
)
def test_create_or_upgrade_says_which_half_is_done(
    transport: Transport, server: RawServer, answer: bytes, kind: type[SaagieError]
) -> None:
    server.reset(answer)
    server.of = {
        "jobNames": graphql({"data": {"jobs": [{"id": ID, "name": "a"}]}}),
        "jobSettings": graphql({"data": {"job": {"id": ID, "name": "a", "versions": [{"number": 1}]}}}),
        "addJobVersion": graphql({"data": {"addJobVersion": {"number": 2}}}),
    }
    with pytest.raises(kind, match=rf"editJob.*{ID} has got its version 2"):
        transport(server.settings(), deployment.create_or_upgrade(ID, deployment.JobChange(job_name="a")))
    assert (server.asked["addJobVersion"], server.asked["editJob"]) == (1, 1)


@pytest.mark.parametrize(
    ("host", "extra", "text"),
    [
        ("https://no-such-host.invalid", {}, "could not be resolved"),
        ("http://127.0.0.1:1", {}, "refused"),
        ("http://saagie.localhost", {"proxy": "http://127.0.0.1:1"}, "the proxy refused"),
        ("https://acme.saagie.io", {"proxy": "http://127.0.0.1:1"}, "the proxy refused"),
        ("https://acme.saagie.io", {"proxy": "http://nowhere.invalid:1"}, "proxy"),
    ],
)
def test_unreachable_host_is_named(
    transport: Transport, server: RawServer, host: str, extra: dict[str, Any], text: str
) -> None:
    with pytest.raises(SaagieConnectionError, match=text) as caught:
        transport(server.settings(host=host, **extra), projects.read_platform())
    assert host in str(caught.value)
    assert "s3cret" not in str(caught.value)


def check_timeout(server: RawServer, operation: str, action: Any) -> None:
    """Check an answer that never comes; on a slow machine even the login may exceed the small timeout at first."""
    server.reset(NEVER)
    error = None
    for timeout in (0.02 * 4**n for n in count()):
        with pytest.raises(SaagieTimeout) as caught:
            action(server.settings(timeout=timeout, retries=0))
        error = caught.value
        assert f"the connection's `timeout` is {timeout:g} s" in str(error)
        if error.operation != "login":
            break
    assert server.asked[operation] == 1
    assert "no answer came in time" in str(error)


def test_missing_answer_is_a_timeout(transport: Transport, server: RawServer) -> None:
    check_timeout(server, "platform", lambda connection: transport(connection, projects.read_platform()))
    server.logins = [NEVER]
    with pytest.raises(SaagieTimeout, match="login"):
        transport(server.settings(timeout=0.02, retries=0), projects.read_platform())


FAULTS = (
    (session.FAULTS, requests.exceptions.RequestException, "requests"),
    (async_session.FAULTS, aiohttp.ClientError, "aiohttp"),
)


def subclasses(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


@pytest.mark.parametrize(("faults", "root", "package"), FAULTS)
def test_faults_cover_each_error_of_a_transport(faults: Any, root: type[BaseException], package: str) -> None:
    for kind in subclasses(root):
        if kind.__module__.startswith(package):
            assert isinstance(next(fault for known, fault in faults if issubclass(kind, known)), Fault)
    kinds = [kind for kind, _ in faults]
    assert [kind for n, kind in enumerate(kinds) if issubclass(kind, tuple(kinds[:n]))] == [], "hidden"


DOWNLOADS: dict[str, tuple[bytes, type[SaagieError], int]] = {
    "cut 500": (http(500, b"x" * 999)[:-9], SaagieConnectionError, SENT),
    "no gzip": (http(404, b"no gzip", "Content-Encoding: gzip"), SaagieConnectionError, SENT),
    "500": (http(500), SaagieConnectionError, SENT),
    "404": (http(404, b"[" * 200_000), SaagieNotFound, 1),
    "HTML": (http(200, b"<html>Sign in", content_type="text/html"), SaagieProtocolError, 1),
    "302": (http(302, b"", "Location: /trap"), SaagieProtocolError, 1),
    "cut": (http(200, b"x" * 999)[:-9], SaagieConnectionError, 1),
    # As long as a file: its beginning suffices, and the rest is not read (which would end as a lost connection here).
    "long": (b"HTTP/1.1 500 X\r\nContent-Length: 9000000000\r\n\r\n" + b"x" * PIECE, SaagieConnectionError, SENT),
}


def download(connection: Settings, path: str = "/a/file") -> bytes:
    with Session(connection, sleep=lambda _: None) as own:
        return b"".join(own.download(path))


def test_broken_download_is_own_error(server: RawServer) -> None:
    for name, (answer, kind, times) in DOWNLOADS.items():
        server.reset(answer)
        with pytest.raises(SaagieError, match="download") as caught:
            download(server.settings())
        assert type(caught.value) is kind, name
        assert server.asked == {"login": 1, "download": times}, name
        assert len(str(caught.value)) < 1000, name
        assert name not in ("long", "500") or "HTTP 500" in str(caught.value), name
    check_timeout(server, "download", download)


def test_download_from_another_host_is_refused_before_login(server: RawServer) -> None:
    for path in ("https://evil.io/x", "//evil.io/x", "x", "", "/\\evil.io", "@evil.io/x"):
        with pytest.raises(SaagieProtocolError, match="refused"):
            download(server.settings(), path)
    assert server.asked == {}


def test_missing_upload_is_named_and_nothing_is_sent(server: RawServer, tmp_path: Path) -> None:
    with Session(server.settings()) as own, pytest.raises(SaagieValidationError, match="nothing was sent"):
        own.send(Call("addJobVersion", {}, Upload(tmp_path / "gone.py", "gone.py")))
    assert server.asked == {"login": 1}


def test_before_send_is_called_twice_and_ends_the_call(server: RawServer) -> None:
    """A process that was suspended since the intent was stored stores it again; if Airflow refuses, nothing is sent."""
    looks: list[int] = []

    def look() -> None:
        looks.append(server.asked["runJob"])
        if len(looks) == 4:
            raise BrokenPipeError("Airflow is gone")

    server.reset(STARTED)
    with Session(server.settings()) as own:
        own.run(instances.run(ID, before_send=look))
        assert looks == [0, 0]
        with pytest.raises(BrokenPipeError):
            own.run(instances.run(ID, before_send=look))
        assert server.asked["runJob"] == 1
        own.run(instances.run(ID))
    assert looks == [0, 0, 1, 1]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # the child runs the session only
def test_forked_process_opens_own_connection_with_same_token(server: RawServer) -> None:
    with Session(server.settings()) as own:
        own.run(projects.read_platform())
        if not (child := os.fork()):
            try:
                own.run(projects.read_platform())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
    assert server.asked == {"login": 1, "platform": 2}
    assert server.connections == 2
