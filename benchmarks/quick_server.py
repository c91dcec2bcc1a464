"""A Saagie that is quicker than any client: answers are prepared bytes, what is uploaded is thrown away.

It runs as a process of its own, so that neither its time nor its memory counts as a client's.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PIECE = 1024 * 1024
READY = "listening on "


@contextmanager
def quick_server(answers: Path, artifact_bytes: int = 0) -> Iterator[str]:
    """Run the server for the length of a block.

    :param answers: a JSON file: what to answer to each operation, by its name; ``upload`` is for any upload.
    :param artifact_bytes: how long the file is that each GET is answered with.
    :return: its address.
    """
    command = [sys.executable, "-m", "benchmarks.quick_server", str(answers), str(artifact_bytes)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        yield process.stdout.readline().strip().removeprefix(READY)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]  # it is a pipe


def answer(body: bytes, content_type: str = "application/json") -> bytes:
    """Write an answer of HTTP."""
    return f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def talk(connection: socket.socket, answers: dict[str, bytes], artifact_bytes: int) -> None:
    """Serve one connection until the client closes it."""
    buffer = bytearray(PIECE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, suppress(ConnectionError):
        while head := _head(connection):
            text, _, body = head.partition(b"\r\n\r\n")
            lines = text.decode("latin-1").lower().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[1:])
            left = int(headers.get("content-length", 0)) - len(body)
            if headers.get("expect"):
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            if lines[0].startswith("get "):
                _send_artifact(connection, bytes(PIECE), artifact_bytes)
            elif headers.get("content-type", "").startswith("multipart/"):
                while left > 0:
                    left -= connection.recv_into(buffer, min(left, PIECE)) or left
                connection.sendall(answers["upload"])
            else:
                while left > 0 and (piece := connection.recv(left)):
                    body += piece
                    left -= len(piece)
                is_login = lines[0].split()[1].endswith("/authenticate")
                connection.sendall(answers["login" if is_login else json.loads(body)["operationName"]])


def _head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and (piece := connection.recv(65536)):
        head += piece
    return head


def _send_artifact(connection: socket.socket, piece: bytes, size: int) -> None:
    connection.sendall(
        f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n".encode()
    )
    for at in range(0, size, PIECE):
        connection.sendall(piece[: min(PIECE, size - at)])


def main() -> None:
    """Serve until killed."""
    bodies = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    answers = {name: answer(json.dumps(body).encode()) for name, body in bodies.items()}
    answers["login"] = answer(b"a-token", "text/plain")
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(f"{READY}http://127.0.0.1:{server.getsockname()[1]}", flush=True)
        while True:
            connection, _ = server.accept()
            threading.Thread(target=talk, args=(connection, answers, int(sys.argv[2])), daemon=True).start()


if __name__ == "__main__":
    main()
