"""How a task that is told to end knows that Airflow's API server is in trouble: then nobody may have wished it."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie import airflow_compat
from airflow_provider_saagie.airflow_health import ApiServer
from airflow_provider_saagie.client import instances
from airflow_provider_saagie.operators import given_up, pulse
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator
from tests.support.tls_server import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEALTH, EXECUTION = "/api/v2/monitor/health", "/execution/health"
WELL = (200, json.dumps({"metadatabase": {"status": "healthy"}, "scheduler": {"status": "unhealthy"}}))
NO_DATABASE = (200, json.dumps({"metadatabase": {"status": "unhealthy"}}))
ALIVE = (200, json.dumps({"status": "healthy"}))
WHOLE = {HEALTH: WELL, EXECUTION: ALIVE}


@dataclass
class Airflow:
    """An API server's health pages, as the test wants them.

    :param pages: status and text by path; another path is not found.
    :param asked: the paths that were asked for.
    :param logins: what was sent with each to log in.
    """

    url: str
    pages: dict[str, tuple[int, str]]
    asked: list[str] = field(default_factory=list)
    logins: list[str | None] = field(default_factory=list)


@contextmanager
def serving(pages: dict[str, tuple[int, str]]) -> Iterator[Airflow]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.logins.append(self.headers["Authorization"])
            found.asked.append(self.path)
            status, text = found.pages.get(self.path, (404, ""))
            self.send_response(status)
            self.end_headers()
            with suppress(ConnectionError):  # of a long page not all is read
                self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Airflow(f"http://127.0.0.1:{server.server_port}", dict(pages))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield found
        server.shutdown()


@pytest.mark.parametrize(
    ("before", "change", "trouble"),
    [
        (WHOLE, {}, None),
        (WHOLE, {HEALTH: NO_DATABASE}, "can't reach its database"),
        (WHOLE, {HEALTH: (503, "no upstream")}, "answers 503"),
        (WHOLE, {HEALTH: (500, "")}, "answers 500"),
        (WHOLE, {HEALTH: (403, "")}, None),
        (WHOLE, {HEALTH: (200, "<html>an app of somebody's</html>")}, None),
        (WHOLE, {HEALTH: (200, "[]")}, None),
        (WHOLE, {HEALTH: (200, '{"metadatabase": null}')}, None),
        ({EXECUTION: ALIVE}, {}, None),
        ({EXECUTION: ALIVE}, {EXECUTION: (502, "")}, "answers 502"),
        ({}, {}, None),
    ],
)
def test_what_its_health_pages_say(
    before: dict[str, tuple[int, str]], change: dict[str, tuple[int, str]], trouble: str | None
) -> None:
    with serving(before) as airflow:
        server = ApiServer(airflow.url)
        server.get_known()
        airflow.pages.update(change)
        assert server.trouble() == trouble


def test_nobody_is_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serving(WHOLE) as airflow:
        ApiServer(airflow.url).get_known()
        assert airflow.logins == [None]


def test_one_that_is_gone() -> None:
    with serving(WHOLE) as airflow:
        server = ApiServer(airflow.url)
        server.get_known()
    assert server.trouble() == "can't be reached (ConnectionError)"


def test_one_that_says_nothing_is_not_waited_for_for_long() -> None:
    with serving(WHOLE) as airflow:
        server = ApiServer(airflow.url)
        server.get_known()
    with socket.create_server(("127.0.0.1", int(airflow.url.rpartition(":")[2]))):
        began = time.monotonic()
        assert server.trouble() == "can't be reached (ReadTimeout)"
    assert time.monotonic() - began < 2.5  # of the five seconds until SIGKILL


def test_where_it_was_never_seen_well_its_silence_means_nothing() -> None:
    with serving({HEALTH: (502, "a proxy that lets workers in only")}) as airflow:
        server = ApiServer(airflow.url)
        server.get_known()
        assert server.trouble() is None
        assert airflow.asked == [HEALTH]
    assert server.trouble() is None
    nobody_asked = ApiServer(airflow.url)
    assert nobody_asked.trouble() is None


def test_one_that_was_well_is_not_asked_again_until_it_matters() -> None:
    with serving(WHOLE) as airflow:
        server = ApiServer(airflow.url)
        for _ in range(3):
            server.get_known()
        assert airflow.asked == [HEALTH]


def test_a_certificate_that_only_the_supervisor_accepts_is_an_answer(tmp_path: Path) -> None:
    with Authority.founded_in(tmp_path).serving() as port:
        server = ApiServer(f"https://localhost:{port}")
        server.get_known()
        assert server.trouble() is None


def test_without_a_supervisor_nobody_is_asked() -> None:
    server = ApiServer(None)
    server.get_known()
    assert server.trouble() is None


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://localhost:8080"),
        ({"API__BASE_URL": "/team/"}, "http://localhost:8080/team"),
        ({"API__BASE_URL": "https://airflow.example/team"}, "https://airflow.example/team"),
        (
            {
                "API__BASE_URL": "https://airflow.example",
                "CORE__EXECUTION_API_SERVER_URL": "http://api.airflow.svc:8080/execution/",
            },
            "http://api.airflow.svc:8080",
        ),
    ],
)
def test_the_servers_address_is_the_one_that_executors_use(
    settings: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__API__BASE_URL", raising=False)
    monkeypatch.delenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(f"AIRFLOW__{name}", value)
    monkeypatch.setattr(airflow_compat, "supervisor_pid", lambda: 1)
    assert airflow_compat.api_server_url() == url
    executors = pytest.importorskip("airflow.executors.base_executor")
    if hasattr(executors, "get_execution_api_server_url"):  # since Airflow 3.2
        assert f"{url}/execution/" == executors.get_execution_api_server_url()


@contextmanager
def dripping() -> Iterator[str]:
    """A server whose page never ends, and comes byte by byte."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            while not over.wait(0.2):
                self.wfile.write(b" ")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def handle(self) -> None:
            with suppress(ConnectionError):
                super().handle()

    over = threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        over.set()
        server.shutdown()


def test_a_page_that_comes_byte_by_byte_is_not_waited_for_for_long() -> None:
    with serving(WHOLE) as airflow, dripping() as url:
        server = ApiServer(airflow.url)
        server.get_known()
        server._url = url
        began = time.monotonic()
        assert server.trouble() == "can't be reached (ReadTimeout)"
        assert time.monotonic() - began < 3


def test_of_a_page_without_end_no_more_is_read_than_a_health_page_has() -> None:
    with serving({HEALTH: (200, " " * 5_000_000)}) as airflow:
        server = ApiServer(airflow.url)
        assert server.get_known()
        assert server.trouble() is None


def test_a_bundle_of_certificates_that_is_missing_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")  # Airflow's own client does not read it
    server = ApiServer("https://localhost:1")
    assert not server.get_known()


def test_a_proxy_that_is_none_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "ftp://proxy.example")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert not ApiServer("http://airflow.example").get_known()


def test_a_question_that_hangs_is_not_taken_for_a_process_that_stood_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT", "3")
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "0.5")
    monkeypatch.setattr(pulse, "TICK", 0.1)
    asked, over = threading.Event(), threading.Event()

    def hang() -> bool:
        asked.set()
        return over.wait(60)

    with pulse.beating(hang) as beats:
        assert asked.wait(10)
        assert not over.wait(3)
        assert beats.stillness() == 0
        over.set()


def test_a_server_that_was_in_trouble_as_the_task_began_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "TICK", 0.1)
    monkeypatch.setattr(pulse, "ASKED_AGAIN", 0.1)
    with serving({HEALTH: (503, "busy")}) as airflow:
        server = ApiServer(airflow.url)
        with pulse.beating(server.get_known):
            for _ in range(100):
                if len(airflow.asked) >= 2:
                    airflow.pages[HEALTH] = WELL
                if server._was_well:
                    break
                time.sleep(0.1)
            airflow.pages[HEALTH] = NO_DATABASE
            assert server.trouble() == "can't reach its database"


def test_a_task_that_lasts_learns_where_the_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(WHOLE) as airflow:
        monkeypatch.setattr(airflow_compat, "api_server_url", lambda: airflow.url)
        with given_up.watching(is_retried=True) as signs:
            assert signs is not None
            for _ in range(200):
                if signs.api_server._was_well:  # asked is before the answer is there
                    break
                time.sleep(0.1)
            assert (signs.stood_still(), signs.heartbeats_fail()) == (None, None)
            airflow.pages[HEALTH] = NO_DATABASE
            told = signs.heartbeats_fail()
        assert told is not None
        assert "API server can't reach its database" in told
        assert "the retry takes the instance up" in told


class EndedAsHeartbeatsFail(SaagieRunJobOperator):
    """Airflow's API server goes away as this task waits, and the supervisor ends the task."""

    def execute(self, context: Any) -> str:
        ender = threading.Thread(target=self.end)
        ender.start()
        try:
            return super().execute(context)
        finally:
            ender.join()

    def end(self) -> None:
        """Do as the supervisor does, once the job is started and the server was seen well, where somebody looks."""
        while not (self._running and (self._signs is None or self._signs.api_server._was_well)):
            time.sleep(0.05)
        AIRFLOW[0].pages[HEALTH] = (503, "")
        self.on_kill()


AIRFLOW: list[Airflow] = []


@pytest.mark.parametrize(("retries", "status"), [(1, "SUCCEEDED"), (0, "KILLED")])
def test_the_instance_of_a_task_that_ends_as_heartbeats_fail_is_left_where_a_retry_comes(
    run_dag: Any, new_dag: Any, make_job: Any, client: Any, monkeypatch: pytest.MonkeyPatch, retries: int, status: str
) -> None:
    job_id = make_job(f"import time\ntime.sleep({4 if retries else 120})")
    with serving(WHOLE) as airflow, new_dag() as dag:
        AIRFLOW[:] = [airflow]
        monkeypatch.setattr(airflow_compat, "api_server_url", lambda: airflow.url)
        EndedAsHeartbeatsFail(
            task_id="run", job_id=job_id, deferrable=False, poll_interval=1, retries=retries, retry_delay=timedelta(0)
        )
        run_dag(dag)
    (instance,) = client.session.run(instances.list_instances(job_id, limit=5))
    assert instance.status == status


def test_a_last_try_asks_nobody() -> None:
    with given_up.watching(is_retried=False) as signs:
        assert signs is None
