"""The health pages of an Airflow API server, as a test wants them."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Page = tuple[int, str]
HEALTH, EXECUTION = "/api/v2/monitor/health", "/execution/health"
WELL: Page = (200, json.dumps({"metadatabase": {"status": "healthy"}, "scheduler": {"status": "unhealthy"}}))
NO_DATABASE: Page = (200, json.dumps({"metadatabase": {"status": "unhealthy"}}))
ALIVE: Page = (200, json.dumps({"status": "healthy"}))
ENDLESS: Page = (200, "endless")
BOTH = {HEALTH: WELL, EXECUTION: ALIVE}


@dataclass
class Airflow:
    """An API server's health pages.

    :param pages: status and body by path; any other path is 404.
    :param requests: the path and the header `Authorization` of each request.
    """

    url: str
    pages: dict[str, Page]
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def serving(pages: dict[str, Page]) -> Iterator[Airflow]:
    """Serve the pages; what is in `Airflow.pages` may change at any time."""
    over = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            airflow.requests.append((self.path, self.headers["Authorization"]))
            status, body = page = airflow.pages.get(self.path, (404, ""))
            self.send_response(status)
            self.end_headers()
            with suppress(ConnectionError):  # the client may not read all of it
                while page == ENDLESS and not over.wait(0.02):
                    self.wfile.write(b" ")
                self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        airflow = Airflow(f"http://127.0.0.1:{server.server_port}", dict(pages))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield airflow
        over.set()
        server.shutdown()
