"""Whatever comes over the wire, over both transports: only our own errors come out, and no change is made twice."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.client.settings import read_settings
from airflow_provider_saagie.exceptions import SaagieError, SaagieOutcomeUnknown
from tests.support.raw_server import Scripted, http, scripted_server

EXAMPLES = int(os.environ.get("SAAGIE_TEST_EXAMPLES", "5"))  # a long run by hand: SAAGIE_TEST_EXAMPLES=500
ID = "5f5fce22-2152-4a01-8c6a-4c2eb4808b6d"
GOOD = http(
    200, json.dumps({"data": {"runJob": {"id": ID, "history": {"currentStatus": {"status": "REQUESTED"}}}}}).encode()
)
PASSWORD, TOKEN, PROXY = "cAnary-p@ss/w0rd", "cAnary.t0ken-value", "cAnary-pr0xy"
JUNK = b"x" * (10 * 1024 * 1024)

answers = st.one_of(
    st.builds(lambda cut: GOOD[:cut], st.integers(0, len(GOOD) - 1)),
    st.builds(http, st.sampled_from([200, 201, 204, 400, 403, 404, 409, 500, 502, 503]), st.binary(max_size=60)),
    st.builds(
        lambda body: http(200, json.dumps(body).encode()),
        st.sampled_from(
            [
                None,
                [],
                1,
                "x",
                {},
                {"data": None},
                {"errors": []},
                {"data": {}},
                {"data": {"runJob": None}},
                {"data": {"runJob": []}},
                {"data": {"runJob": {"id": None}}},
                {"errors": [{}]},
                {"errors": [None]},
                {"data": {"runJob": {}}, "errors": [{"message": None, "path": 3, "extensions": 4}]},
                {"errors": "x"},
            ]
        ),
    ),
    st.just(http(200, b"<html>Sign in</html>", content_type="text/html")),
    st.just(http(307, b"", "Location: http://127.0.0.1:9/elsewhere")),
    st.just(http(401, b"{}")),
    st.just(http(429, b"", "Retry-After: 0")),
    st.just(http(429, b"")),
    st.binary(max_size=40),
)


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    with scripted_server() as script:
        yield script


def settings_of(server: Scripted) -> Any:
    return read_settings(
        host=f"http://127.0.0.1:{server.port}",
        login="me",
        password=PASSWORD,
        extra={"realm": "r", "platform_id": 1, "retries": 2, "timeout": 5},
    )


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # it minds the server's long repr
@settings(max_examples=4 * EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(script=st.lists(answers, min_size=1, max_size=3))
def test_any_bytes_end_in_our_own_errors_and_no_run_is_sent_twice(
    transport: Callable[..., Any], server: Scripted, script: list[bytes]
) -> None:
    server.answers = list(script)
    server.asked.clear()
    server.seen.clear()
    try:
        transport(settings_of(server), instances.run(ID))
    except SaagieError as error:
        assert PASSWORD not in str(error)  # noqa: PT017 - that none but ours comes out is the test
    maybe_done = [answer for answer in script if not answer.startswith((b"HTTP/1.1 429", b"HTTP/1.1 401"))]
    refused = len(script) - len(maybe_done)
    assert server.asked["runJob"] <= (refused + 1 if maybe_done else 6)


@settings(max_examples=2 * EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(cut=st.integers(0, len(GOOD) - 1))
def test_an_answer_cut_at_any_byte_is_unknown_and_sent_once(
    transport: Callable[..., Any], server: Scripted, cut: int
) -> None:
    server.answers = [GOOD[:cut]]
    server.asked.clear()
    with pytest.raises(SaagieOutcomeUnknown):
        transport(settings_of(server), instances.run(ID))
    assert server.asked["runJob"] == 1


@pytest.mark.parametrize("body", [b"1", b"[]", b'"x"', b"null", b"true", b"\xff\xfe", b"{"])
def test_json_that_is_no_object_is_named(transport: Callable[..., Any], server: Scripted, body: bytes) -> None:
    server.answers = [http(200, body)]
    with pytest.raises(SaagieError, match="no GraphQL answer"):
        transport(settings_of(server), instances.read_instance(ID))


@pytest.mark.parametrize("content_type", ["application/json", "text/html", "text/plain"])
def test_ten_mebibytes_of_junk_are_an_error_of_one_screen(
    transport: Callable[..., Any], server: Scripted, content_type: str
) -> None:
    server.answers = [http(200, JUNK, content_type=content_type)]
    with pytest.raises(SaagieError) as caught:
        transport(settings_of(server), instances.read_instance(ID))
    assert len(str(caught.value)) < 1000


def test_401_for_ever_logs_in_once_more_and_gives_up(transport: Callable[..., Any], server: Scripted) -> None:
    server.answers = [http(401, b"")]
    server.asked.clear()
    with pytest.raises(SaagieError, match="does not accept the token"):
        transport(settings_of(server), instances.run(ID))
    assert server.asked == {"login": 2, "runJob": 2}


def spellings(secret: str) -> set[bytes]:
    """Every way in which a secret could stand in a log."""
    raw = secret.encode()
    quoted = urllib.parse.quote(secret, safe="")
    padded = {base64.b64encode(b"x" * shift + raw)[4 * bool(shift) : -4] for shift in range(3)}
    return {raw, quoted.encode(), urllib.parse.quote(secret).encode(), json.dumps(secret).encode()[1:-1], *padded}


@pytest.mark.parametrize("answer", [GOOD, http(500, b""), http(200, b"<html>", content_type="text/html"), GOOD[:50]])
def test_no_secret_is_in_any_log_error_or_repr(
    transport: Callable[..., Any], server: Scripted, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With everything at DEBUG and nothing masked: password, token and the proxy's credentials are canaries."""
    from tests.support import raw_server as module

    token = TOKEN.encode()
    monkeypatch.setattr(
        module, "LOGIN_ANSWER", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(token), token)
    )
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name in ("gql", "urllib3", "aiohttp", "requests", "asyncio", "airflow_provider_saagie"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    server.answers = [answer]
    connection = read_settings(
        host=f"http://127.0.0.1:{server.port}",
        login="me",
        password=PASSWORD,
        extra={"realm": "r", "platform_id": 1, "retries": 1, "proxy": f"http://user:{PROXY}@127.0.0.1:{server.port}"},
    )
    shown = [repr(connection)]
    try:
        shown.append(repr(transport(connection, instances.run(ID))))
    except SaagieError as error:
        link: BaseException | None = error
        while link is not None:
            shown += [str(link), repr(link), repr(getattr(link, "__dict__", {}))]
            link = link.__cause__ or link.__context__
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    text = "\n".join([stream.getvalue(), *shown]).encode()
    assert b"runJob" in text
    for secret in (PASSWORD, TOKEN, PROXY):
        for spelling in spellings(secret):
            assert spelling not in text, spelling
    assert PASSWORD.encode() in bytes(server.seen)  # it was sent, so that there was something to leak


def test_nothing_is_written_to_the_temporary_folder(transport: Callable[..., Any], server: Scripted) -> None:
    from pathlib import Path

    folder = Path(tempfile.gettempdir())
    before = set(folder.iterdir())
    server.answers = [GOOD]
    transport(settings_of(server), instances.run(ID))
    assert not {path for path in folder.iterdir() if path not in before and "saagie" in path.name}
