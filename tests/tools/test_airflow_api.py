"""Calls to Airflow's REST API when Airflow on SQLite refuses one."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from scripts.airflow_api import TRIES, AirflowApi
from scripts.processes import StackError

LOCKED = (500, {"detail": {"reason": "Database error", "message": "Serious error when handling your request."}})
BROKEN = (500, {"detail": "Internal Server Error"})
DONE = (200, {"done": True})
left: list[tuple[int, object]] = []  # what the server still has to answer


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, content = left.pop(0)
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[AirflowApi]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        api = AirflowApi(f"http://127.0.0.1:{server.server_port}", "admin", "secret", retry_pause=0)
        yield api
        api.close()
        server.shutdown()


def test_request_is_repeated_only_after_database_error(api: AirflowApi) -> None:
    left[:] = [LOCKED, DONE]
    api.clear("a_dag", "a_run", "a_task")
    assert left == []
    for response, times in ((LOCKED, TRIES), (BROKEN, 1)):
        left[:] = [response] * TRIES
        with pytest.raises(StackError, match="500"):
            api.clear("a_dag", "a_run", "a_task")
        assert len(left) == TRIES - times, response
