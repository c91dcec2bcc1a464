"""Both transports against a server with scripted bytes: only our own errors come out, and no change is made twice."""

from __future__ import annotations

import asyncio
import os
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_saagie import exceptions as errors
from airflow_provider_saagie.client import async_session, core, deployment, instances, projects, running, session
from airflow_provider_saagie.client.calls import Call, Upload
from airflow_provider_saagie.client.outcomes import Fault
from airflow_provider_saagie.client.session import PIECE, Session
from airflow_provider_saagie.client.settings import Settings
from airflow_provider_saagie.exceptions import SaagieError
from tests.support.raw_server import LOGIN, NEVER, PLATFORM, RawServer, graphql, http
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
    return Row(answer, errors.SaagieProtocolError, 1, errors.SaagieOutcomeUnknown, 1, text)


def lost(answer: bytes, text: str = "broke before the answer was whole") -> Row:
    return Row(answer, errors.SaagieConnectionError, SENT, errors.SaagieOutcomeUnknown, 1, text)


def classified(classification: str) -> bytes:
    return graphql({"data": None, "errors": [{"message": "no", "extensions": {"classification": classification}}]})


ROWS = {
    "errors without data": refused(graphql({"errors": [{"message": "no"}]}), errors.SaagieApiError, "refused: no"),
    "errors beside empty data": refused(graphql({"data": {"a": None}, "errors": [{}]}), errors.SaagieApiError),
    "errors beside data": Row(
        graphql({"data": {"a": 1}, "errors": [{}]}), errors.SaagieApiError, 1, errors.SaagieOutcomeUnknown, 1
    ),
    "NOT_FOUND": refused(classified("NOT_FOUND"), errors.SaagieNotFound, r"no \(NOT_FOUND\)"),
    "FORBIDDEN": refused(classified("FORBIDDEN"), errors.SaagieAuthError, "no .FORBIDDEN.*the role that 'me' needs"),
    "errors without message": refused(graphql({"errors": [{}]}), errors.SaagieApiError, r"\(no message\)"),
    "errors that are a number": refused(graphql({"errors": 5}), errors.SaagieApiError, r"\(no message\)"),
    "errors that are an object": refused(graphql({"errors": {"message": "no"}}), errors.SaagieApiError, "no"),
    "neither": no_graphql(graphql({})),
    "data that is a list": no_graphql(graphql({"data": [5]}), "neither data nor errors"),
    "data that is null": no_graphql(graphql({"data": None}), "neither data nor errors"),
    **{f"JSON: {body!r}": no_graphql(http(200, body)) for body in (b"[]", b"1", b'"x"', b"null", b"true", b"\xff\xfe")},
    "brackets without end": no_graphql(http(200, b"[" * 200_000)),
    "HTML": no_graphql(http(200, HTML, content_type="text/html"), "no GraphQL answer.*It said: Sign in"),
    "cut JSON": no_graphql(http(200, b'{"data": {"')),
    "no content": no_graphql(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
    "junk that is called JSON": no_graphql(http(200, JUNK)),
    "junk with 500": lost(http(500, JUNK, content_type="text/html"), "HTTP 500"),
    "no answer": lost(b""),
    "half a status line": lost(b"HTTP/1."),
    "half a body": lost(http(200, b'{"data": {}}')[:-4]),
    "no HTTP": lost(b"\x00\x01\x02\r\n\r\n"),
    "301": refused(http(301, b"", "Location: /trap"), errors.SaagieProtocolError, "redirects to /trap"),
    "302 to nowhere": refused(http(302), errors.SaagieProtocolError, "redirects to nowhere"),
    "308": refused(
        http(308, b"", "Location: http://127.0.0.1:9/"), errors.SaagieProtocolError, "to http://127.0.0.1:9/"
    ),
    "400": refused(http(400, JUNK), errors.SaagieApiError, "HTTP 400"),
    "401": refused(http(401), errors.SaagieAuthError, "does not accept the token", times=2),
    "403": refused(http(403, b"no"), errors.SaagieAuthError, "denies 'me'.*It said: no"),
    "404": refused(http(404), errors.SaagieNotFound, "no platform 1"),
    "429": refused(http(429, b"", "Retry-After: 1"), errors.SaagieConnectionError, "fewer requests", times=SENT),
    "429 for an hour": refused(http(429, b"", "Retry-After: 3600"), errors.SaagieConnectionError),
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
    "refused": (http(401), errors.SaagieAuthError, "refused.* of 'me' in the realm 'r'.*check login, password", 1),
    "no realm": (http(404), errors.SaagieAuthError, "no login for the realm 'r'", 1),
    "HTML": (http(200, HTML, content_type="text/html"), errors.SaagieProtocolError, "no token", 1),
    "junk": (http(200, JUNK, content_type="text/plain"), errors.SaagieProtocolError, "no token", 1),
    "no HTTP": (b"\x00\x01 nonsense\r\n\r\n", errors.SaagieConnectionError, "broke before", SENT),
    "no answer": (b"", errors.SaagieConnectionError, "broke before", SENT),
    "502": (http(502, HTML), errors.SaagieConnectionError, "HTTP 502", SENT),
    "307": (http(307, b"", "Location: /trap"), errors.SaagieProtocolError, "redirects to /trap", 1),
}


def test_broken_login_is_own_error_and_nothing_else_is_sent(transport: Transport, server: RawServer) -> None:
    for name, (answer, kind, text, times) in LOGIN_ROWS.items():
        server.reset()
        server.logins = [answer]
        with pytest.raises(SaagieError, match=text) as caught:
            transport(server.settings(), projects.read_platform())
        assert type(caught.value) is kind, name
        assert server.asked == {"login": times}, name
        assert len(str(caught.value)) < 1000, name
        assert "Sign in" not in str(caught.value), name


def test_request_without_effect_is_repeated(transport: Transport, server: RawServer) -> None:
    for logins, answers, asked in (
        ([LOGIN], [PLATFORM[:-4], http(503), PLATFORM], {"login": 1, "platform": 3}),
        ([b"", http(502), LOGIN], [PLATFORM], {"login": 3, "platform": 1}),
        ([LOGIN], [http(429, b"", "Retry-After: 1"), STARTED], {"login": 1, "runJob": 2}),
        ([LOGIN], [http(401), STARTED], {"login": 2, "runJob": 2}),
    ):
        server.reset(*answers)
        server.logins = logins
        transport(server.settings(), instances.run(ID) if "runJob" in asked else projects.read_platform())
        assert server.asked == asked


def test_expired_token_is_renewed_in_a_loop_each_time(transport: Transport, server: RawServer) -> None:
    rows = [{"id": ID, "history": {"currentStatus": {"status": one}}} for one in ("RUNNING", "RUNNING", "SUCCEEDED")]
    first, *later = [graphql({"data": {"jobInstance": row}}) for row in rows]
    server.of["runJob"] = STARTED
    server.answers = [first, http(401), later[0], http(401), later[1]]
    assert transport(server.settings(), running.run_with_callback(ID, 1, -1)) == [("SUCCEEDED", ID)]
    assert server.asked == {"login": 3, "runJob": 1, "watchedInstance": 5}


def test_calls_share_connection_and_login(transport: Transport, server: RawServer) -> None:
    transport(server.settings(), *[projects.read_platform() for _ in range(5)])
    assert (server.asked, server.connections) == ({"login": 1, "platform": 5}, 1)


def test_concurrent_calls_share_one_login(server: RawServer) -> None:
    async def main() -> None:
        async with async_session.AsyncSession(server.settings()) as own:
            await asyncio.gather(*[own.run(projects.read_platform()) for _ in range(20)])

    asyncio.run(main())
    assert server.asked == {"login": 1, "platform": 20}


def test_answer_cut_at_any_byte_is_no_answer(transport: Transport, server: RawServer) -> None:
    for good, asked in ((STARTED, {"login": 1, "runJob": 1}), (LOGIN, {"login": 1})):
        for cut in {*range(0, len(good), 8), len(good) - 1}:
            server.reset(good[:cut])
            server.logins = [good[:cut] if good is LOGIN else LOGIN]
            with pytest.raises(SaagieError) as caught:
                transport(server.settings(retries=0), instances.run(ID))
            assert server.asked == asked, cut
            assert caught.value.operation == list(asked)[-1], cut
            assert good is LOGIN or isinstance(caught.value, errors.SaagieOutcomeUnknown), cut


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


def test_create_or_upgrade_says_which_half_is_done(transport: Transport, server: RawServer) -> None:
    for answer, kind in (
        (http(500), errors.SaagieOutcomeUnknown),
        (http(403), errors.SaagieAuthError),
        (graphql({"errors": [{"message": "no such cron"}]}), errors.SaagieApiError),
        (graphql({"data": {"editJob": None}}), errors.SaagieOutcomeUnknown),
    ):
        server.reset(answer)
        server.of = {
            "jobNames": graphql({"data": {"jobs": [{"id": ID, "name": "a"}]}}),
            "jobSettings": graphql({"data": {"job": {"id": ID, "name": "a", "versions": [{"number": 1}]}}}),
            "addJobVersion": graphql({"data": {"addJobVersion": {"number": 2}}}),
        }
        with pytest.raises(kind, match=rf"editJob.*{ID} has got its version 2"):
            transport(server.settings(), deployment.create_or_upgrade(ID, deployment.JobChange(job_name="a")))
        assert (server.asked["addJobVersion"], server.asked["editJob"]) == (1, 1), answer


def test_unreachable_host_is_named(transport: Transport, server: RawServer) -> None:
    for host, extra, text in (
        ("https://no-such-host.invalid", {}, "could not be resolved"),
        ("http://127.0.0.1:1", {}, "refused"),
        ("http://saagie.localhost", {"proxy": "http://127.0.0.1:1"}, "the proxy refused"),
        ("https://acme.saagie.io", {"proxy": "http://127.0.0.1:1"}, "the proxy refused"),
        ("https://acme.saagie.io", {"proxy": "http://nowhere.invalid:1"}, "proxy"),
    ):
        with pytest.raises(errors.SaagieConnectionError, match=rf"{host}.*{text}") as caught:
            transport(server.settings(host=host, **extra), projects.read_platform())
        assert "s3cret" not in str(caught.value)


def check_timeout(server: RawServer, operation: str, action: Any) -> None:
    """Check an answer that never comes; on a slow machine even the login may exceed the small timeout at first."""
    server.reset(NEVER)
    for timeout in (0.02 * 4**n for n in count()):
        text = f"no answer came in time.*the connection's `timeout` is {timeout:g} s"
        with pytest.raises(errors.SaagieTimeout, match=text) as caught:
            action(server.settings(timeout=timeout, retries=0))
        if caught.value.operation != "login":
            break
    assert server.asked[operation] == 1


def test_missing_answer_is_a_timeout(transport: Transport, server: RawServer) -> None:
    check_timeout(server, "platform", lambda connection: transport(connection, projects.read_platform()))
    server.logins = [NEVER]
    with pytest.raises(errors.SaagieTimeout, match="login"):
        transport(server.settings(timeout=0.02, retries=0), projects.read_platform())


def test_faults_cover_each_error_of_a_transport() -> None:
    for faults, root in ((session.FAULTS, requests.RequestException), (async_session.FAULTS, aiohttp.ClientError)):
        found: list[Any] = [root]
        for kind in found:
            found += kind.__subclasses__()
            if kind.__module__.startswith(("requests.", "aiohttp.")):
                assert isinstance(next(fault for known, fault in faults if issubclass(kind, known)), Fault)
        kinds = [kind for kind, _ in faults]
        assert [kind for n, kind in enumerate(kinds) if issubclass(kind, tuple(kinds[:n]))] == [], "hidden"


DOWNLOADS: dict[str, tuple[bytes, type[SaagieError], int]] = {
    "cut 500": (http(500, b"x" * 999)[:-9], errors.SaagieConnectionError, SENT),
    "no gzip": (http(404, b"no gzip", "Content-Encoding: gzip"), errors.SaagieConnectionError, SENT),
    "404": (http(404, b"[" * 200_000), errors.SaagieNotFound, 1),
    "HTML": (http(200, b"<html>Sign in", content_type="text/html"), errors.SaagieProtocolError, 1),
    "302": (http(302, b"", "Location: /trap"), errors.SaagieProtocolError, 1),
    "cut": (http(200, b"x" * 999)[:-9], errors.SaagieConnectionError, 1),
    # As long as a file: its beginning suffices, and the rest is not read (which would end as a lost connection here).
    "long": (http(500, b"x" * PIECE).replace(b"Length: ", b"Length: 9"), errors.SaagieConnectionError, SENT),
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
        assert name != "long" or "HTTP 500" in str(caught.value)
    check_timeout(server, "download", download)


def test_download_from_another_host_is_refused_before_login(server: RawServer) -> None:
    for path in ("https://evil.io/x", "//evil.io/x", "x", "", "/\\evil.io", "@evil.io/x"):
        with pytest.raises(errors.SaagieProtocolError, match="refused"):
            download(server.settings(), path)
    assert server.asked == {}


def test_missing_upload_is_named_and_nothing_is_sent(server: RawServer, tmp_path: Path) -> None:
    with Session(server.settings()) as own, pytest.raises(errors.SaagieValidationError, match="nothing was sent"):
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
