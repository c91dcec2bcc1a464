"""What an operator sees of the watcher: a line a minute at most, and metrics through Airflow's stats."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from airflow._shared.observability.metrics.base_stats_logger import NoStatsLogger
from airflow.observability import stats
from airflow.observability.metrics import stats_utils
from airflow.sdk.execution_time import task_runner

from airflow_provider_saagie.airflow_compat import triggerer_stats
from airflow_provider_saagie.triggers.metrics import EVERY, Meter
from tests.support.fake_saagie import FakeSaagie, Request, ends_at, row
from tests.support.watcher_scenario import HOUR, Scenario, all_end, cancel_all

LOGGER = "airflow_provider_saagie.triggers.metrics"
Lines = Callable[[], list[str]]


class Backend:
    """Receives metrics as one of Airflow's backends."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str, Any, dict[str, Any]]] = []
        self.broken = False

    def incr(self, stat: str, count: int, *_: Any, tags: Any = None) -> None:
        self._receive("incr", stat, count, tags)

    def gauge(self, stat: str, value: float, *_: Any, tags: Any = None, **_more: Any) -> None:
        self._receive("gauge", stat, value, tags)

    def timing(self, stat: str, dt: timedelta, tags: Any = None) -> None:
        self._receive("timing", stat, dt, tags)

    def _receive(self, kind: str, stat: str, value: Any, tags: Any) -> None:
        if self.broken:
            raise OSError("no backend")
        self.received.append((kind, stat.removeprefix("saagie.watcher."), value, tags))

    def values(self, stat: str) -> list[Any]:
        return [value for _, name, value, _ in self.received if name == stat]


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """Make this process look like a triggerer's, and restore its stats."""
    import airflow.jobs.triggerer_job_runner  # noqa: F401 - a triggerer has it loaded

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", object(), raising=False)
    receiving = Backend()
    stats.initialize(factory=lambda: receiving, export_legacy_names=True)  # type: ignore[arg-type,return-value]
    yield receiving
    stats.initialize(factory=NoStatsLogger, export_legacy_names=True)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    caplog.set_level(logging.INFO, LOGGER)
    return lambda: [record.getMessage() for record in caplog.records if record.name == LOGGER]


def report(meter: Meter, watched: int, now: float, *, last: bool = False) -> None:
    """Have a meter report, and wait for its thread."""

    async def main() -> None:
        meter.report(watched, now, last=last)

    asyncio.run(main())


def test_meter_reports_each_count_once(backend: Backend, lines: Lines) -> None:
    tags = {"conn_id": "acme", "hostname": socket.gethostname()}
    meter = Meter("acme", 100.0)
    meter.count(requests=3, asked=250, ended=2, errors=1, lag=0.5, last_error="HTTP 503")
    meter.count(requests=1, asked=10, lag=0.25)
    report(meter, 260, 159.9)
    assert (lines(), backend.received) == ([], [])
    report(meter, 260, 160.0)
    first = "60 s: watched 260, asked 260 in 4 requests, ended 2, errors 1, lag 0.50 s. The last error: HTTP 503"
    assert lines() == [f"Saagie watcher of acme, {first}"]
    assert backend.received == [
        ("gauge", "watched", 260, tags),
        ("incr", "requests", 4, tags),
        ("incr", "asked", 260, tags),
        ("incr", "ended", 2, tags),
        ("incr", "errors", 1, tags),
        ("timing", "lag", timedelta(seconds=0.5), tags),
    ]
    backend.received.clear()
    meter.count(requests=1, errors=2, last_error="HTTP 500")
    report(meter, 0, 190.0, last=True)  # the last report has its metrics at once, the line when it is due
    assert len(lines()) == 1
    assert backend.received == [
        ("gauge", "watched", 0, tags),
        ("incr", "requests", 1, tags),
        ("incr", "errors", 2, tags),
        ("timing", "lag", timedelta(0), tags),
    ]
    meter.count(requests=2)
    report(meter, 7, 219.9)
    assert len(lines()) == 1
    report(meter, 7, 225.0)
    assert backend.values("requests") == [1, 2]
    report(meter, 8, 285.0)
    assert [line.removeprefix("Saagie watcher of acme, ") for line in lines()[1:]] == [
        "65 s: watched 7, asked 0 in 3 requests, ended 0, errors 2, lag 0.00 s. The last error: HTTP 500",
        "60 s: watched 8, asked 0 in 0 requests, ended 0, errors 0, lag 0.00 s",
    ]


def test_meter_survives_failures(backend: Backend, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> bool:
        raise OSError("the pipe is closed")

    with monkeypatch.context() as patch:
        patch.setattr(logging.getLogger(LOGGER), "filters", [fail])
        report(Meter("acme", 0.0), 1, EVERY)
    assert [name for _, name, *_ in backend.received] == ["watched", "lag"]
    backend.broken = True
    report(Meter("acme", 0.0), 1, EVERY)
    assert "took no metrics" in lines()[-1]
    meter = Meter("acme", 0.0)
    meter.report(1, EVERY)  # without a loop there is no thread
    assert lines()[-1] == "The Saagie watcher of acme could not report: RuntimeError('no running event loop')"
    count = len(lines())
    meter.report(1, EVERY + 1)
    assert len(lines()) == count  # it is not due again


def test_meter_sends_tagged_metrics_to_statsd(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("statsd", reason="Airflow's statsd backend needs the package statsd")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        for name, value in {
            "ON": "True", "HOST": "127.0.0.1", "PORT": str(server.getsockname()[1]), "INFLUXDB_ENABLED": "True",
        }.items():  # fmt: skip
            monkeypatch.setenv(f"AIRFLOW__METRICS__STATSD_{name}", value)
        statsd_logger = stats_utils.get_stats_factory()()
        stats.initialize(factory=lambda: statsd_logger, export_legacy_names=True)
        meter = Meter("saagie_default", 0.0)
        meter.count(requests=25, asked=2500, ended=3, errors=1, lag=0.25)
        report(meter, 2000, EVERY)
        received: list[str] = []
        while len(received) < 6:  # Airflow may send its own
            received += [text for text in [server.recv(1000).decode()] if "saagie" in text]
    statsd_logger.statsd.close()
    tags = f",conn_id=saagie_default,hostname={socket.gethostname()}"
    assert sorted(received) == [
        f"airflow.saagie.watcher.{name}{tags}:{value}"
        for name, value in [
            ("asked", "2500|c"), ("ended", "3|c"), ("errors", "1|c"), ("lag", "250.000000|ms"),
            ("requests", "25|c"), ("watched", "2000|g"),
        ]
    ]  # fmt: skip


async def test_watcher_reports_its_work_once_a_minute(
    scenario: Scenario, saagie: FakeSaagie, backend: Backend, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In no task's log, which Airflow selects by the context, and by a thread, since the log may block."""
    owner: ContextVar[str] = ContextVar("owner", default="nobody")
    writers: set[tuple[str, bool]] = set()
    unusable = [web.json_response({"data": None}), web.json_response({"data": ["junk"]})]

    def keep(_: object) -> bool:
        writers.add((owner.get(), threading.current_thread() is threading.main_thread()))
        return True

    def fails(request: Request) -> bool:
        return 95 <= request.at < 105 or (request.operation == "watchLogs" and request.at < 35)

    def intercept(request: Request) -> web.Response | None:
        if not fails(request):
            return None
        return unusable.pop() if unusable else web.Response(status=503)

    monkeypatch.setattr(logging.getLogger(LOGGER), "filters", [keep])
    owner.set("the first task")
    saagie.get_instance = ends_at(200)
    saagie.get_log = lambda *_: [("STDOUT", "line")]
    saagie.intercept = intercept
    assert await all_end([scenario.wait(n, stream_logs=n == 1) for n in range(1, 151)])
    await asyncio.sleep(0.1)
    failed = [request.at for request in saagie.requests if fails(request)]
    errors = [len([at for at in failed if at < 60]), len([at for at in failed if at > 60]), 0]
    for line, count in zip(lines(), errors, strict=True):
        assert re.search(f"Saagie watcher of {scenario.conn_id}, 6. s: watched 150, .* errors {count}", line)
    assert ["HTTP 503" in line for line in lines()] == [False, True, False]  # an error of a log is only counted
    assert sum(errors) == sum(backend.values("errors")) > 4
    assert sum(backend.values("requests")) == len(saagie.requests)
    assert sum(backend.values("asked")) == sum(len(poll.ids) for poll in saagie.polls)
    assert sum(backend.values("ended")) == 150
    *watched, last = backend.values("watched")
    assert ({*watched}, last) == ({150}, 0)
    assert max(backend.values("lag")) < timedelta(seconds=20)
    assert {tags["conn_id"] for *_, tags in backend.received} == {scenario.conn_id}
    assert writers == {("nobody", False)}


@pytest.mark.parametrize("scenario", [5.0], indirect=True)
async def test_line_comes_if_no_poll_is_due(scenario: Scenario, backend: Backend, lines: Lines) -> None:
    scenario.saagie.get_instance = lambda *_: row("RUNNING", age=3 * HOUR)
    one = scenario.wait(1, poll_interval=600)  # one poll at the start, the next one after ten minutes
    await asyncio.sleep(5 * EVERY + 5)
    assert len(lines()) == 5
    assert all(re.search(", 60 s: watched 1, asked [01] in", line) for line in lines())
    await one.leave()


async def test_lag_is_the_delay_of_the_last_poll(scenario: Scenario, saagie: FakeSaagie, backend: Backend) -> None:
    saagie.latency = 1.0
    waiting = scenario.wait_many(1, 1_200)  # four hundred a second: the last are polled 2 s late
    await asyncio.sleep(3 * EVERY + 1)
    _, *later = backend.values("lag")
    assert [round(lag.total_seconds(), 1) for lag in later] == [2.0, 2.0]
    await cancel_all(waiting)


async def test_consecutive_watchers_share_a_meter(scenario: Scenario, backend: Backend, lines: Lines) -> None:
    scenario.saagie.get_instance = ends_at(0)
    for number in range(1, 9):
        assert await all_end([scenario.wait(number)])
        await asyncio.sleep(25)
    assert 2 <= len(lines()) <= scenario.saagie.now() / EVERY
    assert sum(backend.values("ended")) == 8


async def test_worker_reports_nothing(
    scenario: Scenario, backend: Backend, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "airflow.jobs.triggerer_job_runner")
    scenario.saagie.get_instance = ends_at(100)
    assert await all_end([scenario.wait(1)])
    assert (triggerer_stats(), lines(), backend.received) == (None, [], [])
