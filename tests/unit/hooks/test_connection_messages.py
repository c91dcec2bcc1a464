"""What the test of a connection says where something is wrong: each message that the docs quote, made for real."""

from __future__ import annotations

import http.server
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.pages import DOCS, section, table
from tests.support.tls_server import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUOTED = dict(table(section(DOCS / "connection.md", "## What the test says"), "What is wrong"))
ACME = "https://acme-workspace.prod.saagie.io"
MISTAKES: dict[str, dict[str, Any]] = {
    "no host": {"host": ""},
    "no platform": {"host": ACME, "extra": {"realm": "", "platform_id": ""}},
    "plain http": {"host": ACME.replace("https", "http")},
    "no realm in the host": {"host": "https://10.0.0.1", "extra": {"realm": ""}},
    "a CA bundle that is not there": {"extra": {"verify": "/no/such.pem"}},
    "unknown host": {"host": "https://no-such-host.invalid"},
    "nothing listens there": {"host": "http://127.0.0.1:9"},
    "login, password or realm": {"password": "wr0ng-pass"},
    "platform": {"extra": {"platform_id": 9}},
}
NO_SAAGIE, NO_TRUST = "not a Saagie", "a certificate that is not trusted"
# How a message goes on: with what to do.
ADVICE = {
    "no host": "the platform's URL, such as https://",
    "plain http": "allow_http",
    "no realm in the host": "set `realm`",
    "a CA bundle that is not there": "every worker and triggerer",
    "unknown host": "check the connection's host.",
    "nothing listens there": "check the connection's host and the network.",
    NO_TRUST: "set the connection's `verify` to the path of a CA bundle that knows the platform's certificate.",
    NO_SAAGIE: "check that the connection's host is a Saagie platform.",
    "login, password or realm": "check login, password and realm",
    "platform": "check the platform number (`platform_id`) in the connection.",
}


def without_port(text: str) -> str:
    return re.sub(r"(127\.0\.0\.1):\d+", r"\1:PORT", text)


def check(what: str, tested: tuple[bool, str]) -> None:
    good, message = tested
    assert not good
    assert without_port(message).startswith(without_port(QUOTED[what]))
    assert ADVICE.get(what, "") in message
    assert "wr0ng-pass" not in message
    assert "correct horse" not in message


@contextmanager
def web_site() -> Iterator[str]:
    """Run a server that answers everything with a page, and give its address."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html><body>Welcome</body></html>")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_every_message_in_the_docs_is_tried() -> None:
    assert QUOTED.keys() == {*MISTAKES, NO_SAAGIE, NO_TRUST}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_in_the_connection(what: str, connect: Any) -> None:
    check(what, connect(**MISTAKES[what]).test_connection())


def test_no_password(connect: Any) -> None:
    good, message = connect(password="").test_connection()
    assert not good
    assert "no password" in message


def test_a_certificate_that_nobody_trusts(connect: Any, tmp_path: Path) -> None:
    authority = Authority.founded_in(tmp_path)
    with authority.serving("127.0.0.1") as port:
        check(NO_TRUST, connect(host=f"https://127.0.0.1:{port}").test_connection())
        assert authority.heard == [], "the password"
        trusting = connect(host=f"https://127.0.0.1:{port}", extra={"verify": str(authority.bundle)})
        assert trusting.test_connection()[0], "what the message says to do helps"


def test_a_web_page_is_no_saagie(connect: Any) -> None:
    with web_site() as url:
        check(NO_SAAGIE, connect(host=url).test_connection())
