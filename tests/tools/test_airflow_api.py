"""The calls to Airflow's REST API, where Airflow on SQLite refuses one."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from scripts.airflow_api import TRIES, AirflowApi
from scripts.processes import StackError

LOCKED = (500, {"detail": {"reason": "Database error", "message": "Serious error when handling your request."}})
BROKEN = (500, {"detail": "Internal Server Error"})
DONE = (200, {"done": True})


@contextmanager
def airflow(*answers: tuple[int, object]) -> Iterator[tuple[AirflowApi, Callable[[], int]]]:
    """Give the API of a server with these answers, one after the other, and a function that counts the requests."""
    left = list(answers)

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
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        api = AirflowApi(f"http://127.0.0.1:{server.server_port}", "admin", "secret")
        yield api, lambda: len(answers) - len(left)
        api.close()
        server.shutdown()


def test_what_the_database_refused_is_sent_again() -> None:
    with airflow(LOCKED, DONE) as (api, requests):
        api.clear("a_dag", "a_run", "a_task")
        assert requests() == 2


@pytest.mark.parametrize(("answer", "times"), [(LOCKED, TRIES), (BROKEN, 1)])
def test_what_goes_on_is_an_error(answer: tuple[int, object], times: int) -> None:
    with airflow(*[answer] * TRIES) as (api, requests):
        with pytest.raises(StackError, match="500"):
            api.clear("a_dag", "a_run", "a_task")
        assert requests() == times
