"""A server that answers as it is told, byte by byte, and counts what it was asked."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

LOGIN_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\ntoken"


def http(status: int, body: bytes, *headers: str, content_type: str = "application/json") -> bytes:
    """Write a whole answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass
class Scripted:
    """What the server says, and what it heard.

    :param answers: the bytes of the next answers to anything but a login; the last one stays.
    :param of: what certain operations are answered instead, by name.
    :param asked: how often each operation came in whole, logins and downloads too.
    :param seen: every byte that came in.
    :param connections: how many were made.
    """

    port: int = 0
    answers: list[bytes] = field(default_factory=list)
    of: dict[str, bytes] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    seen: bytearray = field(default_factory=bytearray)
    connections: int = 0

    def next_answer(self) -> bytes:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def scripted_server() -> Iterator[Scripted]:
    """Run the server on a free port."""
    script = Scripted()
    server = socket.create_server(("127.0.0.1", 0), backlog=64)
    script.port = server.getsockname()[1]
    closing = threading.Event()

    def serve() -> None:
        while not closing.is_set():
            with suppress(OSError):
                connection, _ = server.accept()
                script.connections += 1
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    def talk(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(5)
            pending = b""
            while True:
                while b"\r\n\r\n" not in pending:
                    if not (piece := connection.recv(65536)):
                        return
                    pending += piece
                    script.seen += piece
                head, _, rest = pending.partition(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
                )
                while len(rest) < length:
                    if not (piece := connection.recv(65536)):
                        return
                    rest += piece
                    script.seen += piece
                body, pending = rest[:length], rest[length:]
                if head.split(b" ")[1].endswith(b"/authenticate"):
                    script.asked["login"] += 1
                    connection.sendall(LOGIN_ANSWER)
                    if is_whole(LOGIN_ANSWER):
                        continue
                    return
                operation = json.loads(body)["operationName"] if body else "download"
                script.asked[operation] += 1
                answer = script.of[operation] if operation in script.of else script.next_answer()
                connection.sendall(answer)
                if not is_whole(answer):
                    return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield script
    finally:
        closing.set()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


def is_whole(answer: bytes) -> bool:
    """Say whether an answer is one of HTTP with all of its body: else the connection is closed behind it."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    return bool(separator) and f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
