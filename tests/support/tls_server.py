"""A platform that speaks https, with a certificate of a throw-away authority."""

from __future__ import annotations

import http.server
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

import trustme

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Authority:
    """An authority, and servers whose certificates it has signed."""

    ca: trustme.CA
    bundle: Path
    heard: list[str] = field(default_factory=list)

    @classmethod
    def founded_in(cls, folder: Path) -> Self:
        """Make a new authority, whose own certificate stands in a folder."""
        ca = trustme.CA()
        ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        return cls(ca, folder / "ca.pem")

    @contextmanager
    def serving(self, name: str = "localhost", not_after: datetime | None = None) -> Iterator[int]:
        """Run a platform with a certificate, and give its port."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        not_before = not_after - timedelta(days=9) if not_after else None
        self.ca.issue_cert(name, not_after=not_after, not_before=not_before).configure_cert(context)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(self.heard))
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a refused handshake is what we test
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join(5)


def handler(heard: list[str]) -> type[http.server.BaseHTTPRequestHandler]:
    """Make the handler of a platform that takes any login, and writes down what it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            is_login = self.path.endswith("authenticate")
            body = b"t0k3n-0f-tls" if is_login else b'{"data": {"platform": {"id": 1, "name": null}}}'
            self.send_response(200)
            self.send_header("Content-Type", "text/plain" if is_login else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
