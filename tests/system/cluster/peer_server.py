"""A small server that speaks what dbt-cloud's operator asks for, and has the local Saagie do the work.

So the same books hold for it: a run there is an instance here.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.client.session import Session
from airflow_provider_saagie.client.settings import Settings
from airflow_provider_saagie.exceptions import SaagieApiError

STATUS = {"SUCCEEDED": 10, "KILLED": 30, "FAILED": 20, "QUEUED": 1, "REQUESTED": 1, "AWAITING": 1}
RUNNING = 3
ROUTE = re.compile(r"/api/v2/accounts/1/(?P<what>jobs|runs)/(?P<id>\d+)/?(?P<do>run/|cancel/|)")


class Peer:
    """What it knows.

    :param jobs: the jobs' ids, by the numbers that dbt-cloud's operator calls them by.
    """

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.jobs: dict[int, str] = {}
        self._runs: list[str] = []
        self._lock = threading.Lock()

    def answer(self, method: str, path: str) -> dict[str, Any]:
        """Answer a request."""
        found = ROUTE.match(path)
        assert found, path
        number = int(found["id"])
        assert self.settings
        with Session(self.settings) as session:
            if found["do"] == "run/":
                instance_id = session.run(instances.run(self.jobs[number]))["runJob"]["id"]
                with self._lock:
                    self._runs.append(instance_id)
                    number = len(self._runs)
                return {"data": {"id": number, "href": f"https://localhost/runs/{number}"}}
            if found["what"] == "jobs":
                return {"data": {"id": number, "name": str(number)}}
            instance_id = self._runs[number - 1]
            if found["do"] == "cancel/":
                with suppress(SaagieApiError):  # it has ended by itself: dbt-cloud answers all the same
                    session.run(instances.stop(instance_id))
            seen = session.run(instances.read_instance(instance_id))
            status = STATUS.get(seen.status, RUNNING) if seen else 20
            return {"data": {"id": number, "status": status, "run_steps": []}}

    def instance_of(self, run: str | None) -> str | None:
        """Say which instance a run is."""
        return self._runs[int(run) - 1] if run else None


@contextmanager
def peer_server(folder: Path) -> Iterator[tuple[Peer, int, Path]]:
    """Run it.

    :param folder: gets the certificate of the authority that its certificate is by.
    :return: what it knows, its port, and that file.
    """
    authority = trustme.CA()
    trusted = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    peer = Peer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.dumps(peer.answer(self.command, self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _do  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # The handshake is left to a connection's own thread: a client that is frozen in the midst of one stops nobody else.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield peer, server.server_address[1], trusted
    finally:
        server.shutdown()
        server.server_close()
