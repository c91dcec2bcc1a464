"""A platform whose answers a test scripts byte by byte. It counts what it is sent, and can speak TLS."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Self

import trustme

from airflow_provider_saagie.client.settings import Settings, read_settings

NEVER = b"<the request is never answered>"
BROKEN_TLS = b"no TLS record" * 9


def http(status: int, body: bytes = b"", *headers: str, content_type: str = "application/json") -> bytes:
    """Return a complete response."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def graphql(response: object) -> bytes:
    """Return a complete response with a JSON body."""
    return http(200, json.dumps(response).encode())


LOGIN = http(200, b"token", content_type="text/plain")
PLATFORM = graphql({"data": {"platform": {"id": 1, "name": None}}})


@dataclass
class RawServer:
    """The script of the answers, and what the server received.

    :param answers: the bytes of the next answers to anything but a login; the last one stays.
    :param of: the answers to certain operations, by name.
    :param logins: the next answers to logins; the last one stays.
    :param asked: how many complete requests came in, by operation; also `login` and `download`.
    :param seen: every byte of the complete requests.
    """

    port: int = 0
    answers: list[bytes] = field(default_factory=lambda: [PLATFORM])
    of: dict[str, bytes] = field(default_factory=dict)
    logins: list[bytes] = field(default_factory=lambda: [LOGIN])
    asked: Counter[str] = field(default_factory=Counter)
    seen: bytearray = field(default_factory=bytearray, repr=False)
    connections: int = 0
    tls: ssl.SSLContext | None = None

    def reset(self, *answers: bytes) -> None:
        """Forget what was received, and script new answers; without any, the platform is healthy."""
        self.__dict__.update(vars(RawServer(self.port, list(answers) or [PLATFORM], tls=self.tls)))

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}" if self.tls else f"http://127.0.0.1:{self.port}"

    def settings(self, *, host: str = "", password: str = "s3cret", **extra: Any) -> Settings:
        """Return a connection to this server, or another host, that repeats requests twice."""
        extra = {"realm": "r", "platform_id": 1, "retries": 2, "timeout": 60, **extra}
        return read_settings(host=host or self.url, login="me", password=password, extra=extra)

    def _answer(self, head: bytes, body: bytes) -> bytes:
        path = head.split(b" ")[1].decode()
        self.seen += head + body
        operation = re.search(rb'"operationName": *"(\w+)"', body)
        name = "login" if path.endswith("/authenticate") else operation[1].decode() if operation else "download"
        self.asked[name] += 1
        script = [self.of[name]] if name in self.of else self.logins if name == "login" else self.answers
        return script.pop(0) if len(script) > 1 else script[0]

    def talk(self, raw: socket.socket) -> None:
        """Answer the requests of a connection, until an answer is incomplete."""
        with (
            suppress(OSError),
            raw.dup() as below,
            self.tls.wrap_socket(raw, server_side=True) if self.tls else raw as connection,
            connection.makefile("rb") as incoming,
        ):
            if incoming.peek(1)[:1] == b"\x16":  # a client that expects TLS
                connection.sendall(http(400))
                return
            while request := read_request(incoming):
                answer = self._answer(*request)
                if answer is NEVER:
                    incoming.read(1)  # until the client gives up
                    return
                if answer is BROKEN_TLS:
                    below.sendall(answer)
                    below.shutdown(socket.SHUT_WR)
                    below.recv(1)
                    return
                connection.sendall(answer)
                head, _, sent = answer.partition(b"\r\n\r\n")
                if f"Content-Length: {len(sent)}".encode() not in head.split(b"\r\n"):
                    return


def read_request(incoming: BinaryIO) -> tuple[bytes, bytes] | None:
    """Read a request's head and body; return None at the end of the connection."""
    head = b""
    while line := incoming.readline():
        head += line
        if line == b"\r\n":
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            return head, incoming.read(int(length[1])) if length else b""
    return None


@contextmanager
def raw_server(tls: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """Run a healthy platform on a free port."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        server = RawServer(listener.getsockname()[1], tls=tls)

        def serve() -> None:
            with suppress(OSError):  # the listener is shut down
                while True:
                    connection, _ = listener.accept()
                    server.connections += 1
                    threading.Thread(target=server.talk, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@dataclass
class Authority:
    """A throw-away authority, whose own certificate is in the file `bundle`."""

    ca: trustme.CA
    bundle: Path

    @classmethod
    def founded_in(cls, folder: Path) -> Self:
        """Make a new authority."""
        ca = trustme.CA()
        ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        return cls(ca, folder / "ca.pem")

    def certify(self, name: str = "localhost", not_after: datetime | None = None) -> ssl.SSLContext:
        """Return the TLS context of a server with a certificate for nine days."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        not_before = not_after - timedelta(days=9) if not_after else None
        self.ca.issue_cert(name, not_after=not_after, not_before=not_before).configure_cert(context)
        return context
