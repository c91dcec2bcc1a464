"""Detecting that Airflow's API server is in trouble, which may be the reason why a task is asked to end."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from airflow_provider_saagie import airflow_compat, airflow_health
from airflow_provider_saagie.airflow_health import ApiServer
from airflow_provider_saagie.operators import given_up, pulse
from tests.support.api_server import ALIVE, BOTH, ENDLESS, EXECUTION, HEALTH, NO_DATABASE, WELL, Airflow, Page, serving
from tests.support.raw_server import Authority, raw_server
from tests.support.waiting import wait_until

TIMEOUT = airflow_health.TIMEOUT


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the servers of the tests all the time that a busy machine needs."""
    monkeypatch.setattr(airflow_health, "TIMEOUT", 60.0)


def probed(airflow: Airflow) -> ApiServer:
    """Return a server that was probed while it was as it is now."""
    server = ApiServer(airflow.url)
    server.get_known()
    return server


def test_trouble_is_a_server_error_or_an_unhealthy_database() -> None:
    rows: list[tuple[dict[str, Page], dict[str, Page], str | None]] = [
        (BOTH, {}, None),
        (BOTH, {HEALTH: NO_DATABASE}, "can't reach its database"),
        (BOTH, {HEALTH: (503, "no upstream")}, "answers 503"),
        (BOTH, {HEALTH: (500, "")}, "answers 500"),
        (BOTH, {HEALTH: (403, "")}, None),
        (BOTH, {HEALTH: (200, "<html>another application</html>")}, None),
        (BOTH, {HEALTH: (200, "[]")}, None),
        (BOTH, {HEALTH: (200, '{"metadatabase": null}')}, None),
        ({EXECUTION: ALIVE}, {}, None),
        ({EXECUTION: ALIVE}, {EXECUTION: (502, "")}, "answers 502"),
        ({}, {}, None),
    ]
    with serving({}) as airflow:
        for before, change, expected in rows:
            airflow.pages = before
            server = probed(airflow)
            airflow.pages = {**before, **change}
            assert server.trouble() == expected, (before, change)


def test_unreachable_or_slow_server_is_trouble_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2 * TIMEOUT < 5, "Airflow sends SIGKILL after five seconds"
    with serving(BOTH) as airflow:
        server = probed(airflow)
        monkeypatch.setattr(airflow_health, "TIMEOUT", 0.3)
        airflow.pages[HEALTH] = ENDLESS
        assert server.trouble() == "can't be reached (ReadTimeout)"
    assert server.trouble() == "can't be reached (ConnectionError)"
    with socket.create_server(("127.0.0.1", int(airflow.url.rpartition(":")[2]))):
        assert server.trouble() == "can't be reached (ReadTimeout)"


def test_long_page_is_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_health, "TIMEOUT", 10.0)  # all of the page would take longer
    with serving({HEALTH: (200, " " * 50_000_000)}) as airflow:
        server = ApiServer(airflow.url)
        assert server.get_known()
        assert server.trouble() is None


def test_healthy_server_is_probed_once_without_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serving(BOTH) as airflow:
        server = ApiServer(airflow.url)
        assert [server.get_known() for _ in range(3)] == [True] * 3
        assert airflow.requests == [(HEALTH, None)]


def test_server_that_was_never_healthy_is_not_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({HEALTH: (502, "a proxy that lets only workers in")}) as airflow:
        server = probed(airflow)
        assert server.trouble() is None
        assert [path for path, _ in airflow.requests] == [HEALTH]
    assert server.trouble() is None
    assert ApiServer(airflow.url).trouble() is None
    without_supervisor = ApiServer(None)
    assert without_supervisor.get_known()
    assert without_supervisor.trouble() is None
    monkeypatch.setenv("HTTP_PROXY", "ftp://proxy.example")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    assert not ApiServer("http://airflow.example").get_known(), "an unusable proxy"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")  # Airflow's own client ignores it
    assert not ApiServer("https://localhost:1").get_known()


def test_rejected_certificate_is_a_response(tmp_path: Path) -> None:
    with raw_server(Authority.founded_in(tmp_path).certify()) as airflow:
        server = ApiServer(airflow.url)
        assert server.get_known()
        assert server.trouble() is None


def test_api_server_url_is_that_of_the_executors(monkeypatch: pytest.MonkeyPatch) -> None:
    executors = pytest.importorskip("airflow.executors.base_executor")
    monkeypatch.setattr(airflow_compat, "supervisor_pid", lambda: 1)
    base, execution = "AIRFLOW__API__BASE_URL", "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
    for settings, url in [
        ({}, "http://localhost:8080"),
        ({base: "/team/"}, "http://localhost:8080/team"),
        ({base: "https://airflow.example/team"}, "https://airflow.example/team"),
        (
            {base: "https://airflow.example", execution: "http://api.airflow.svc:8080/execution/"},
            "http://api.airflow.svc:8080",
        ),
    ]:
        with monkeypatch.context() as patch:
            for name in (base, execution):
                patch.delenv(name, raising=False)
            for name, value in settings.items():
                patch.setenv(name, value)
            assert airflow_compat.api_server_url() == url
            if hasattr(executors, "get_execution_api_server_url"):  # since Airflow 3.2
                assert executors.get_execution_api_server_url() == f"{url}/execution/"


def test_task_with_a_retry_probes_until_the_server_is_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "TICK", 0.01)
    monkeypatch.setattr(pulse, "ASKED_AGAIN", 0.01)

    def probing() -> bool:
        return any(thread.name == "saagie-api-server" for thread in threading.enumerate())

    with serving({HEALTH: (503, "busy")}) as airflow:
        monkeypatch.setattr(airflow_compat, "api_server_url", lambda: airflow.url)
        with given_up.watching(is_retried=True) as signs:
            assert signs is not None
            wait_until(lambda: len(airflow.requests) >= 2)
            airflow.pages[HEALTH] = WELL
            wait_until(lambda: not probing())
            assert (signs.stood_still(), signs.heartbeats_fail()) == (None, None)
            airflow.pages[HEALTH] = NO_DATABASE
            message = str(signs.heartbeats_fail())
        assert "API server can't reach its database" in message
        assert "the retry takes the instance up" in message
    with given_up.watching(is_retried=False) as signs:
        assert signs is None
