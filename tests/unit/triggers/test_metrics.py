"""What a triggerer's operator sees of the watcher: a line a minute at most, and metrics through Airflow's own stats."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import subprocess
import sys
import threading
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from airflow.observability import stats
from airflow.sdk.execution_time import task_runner

from airflow_provider_saagie.airflow_compat import triggerer_stats
from airflow_provider_saagie.triggers.metrics import EVERY, Meter
from tests.support.fake_saagie import Asked, row
from tests.support.virtual_time import TimelessLoop, loop_at
from tests.support.watcher_scenario import HOUR, Scene, all_end, all_leave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOGGER = "airflow_provider_saagie.triggers.metrics"


@dataclass
class Backend:
    """Takes metrics as one of Airflow's backends does."""

    got: list[tuple[str, str, Any, dict[str, Any]]] = field(default_factory=list)
    broken: bool = False

    def incr(self, stat: str, count: int = 1, rate: float = 1, *, tags: Any = None) -> None:
        self._take("incr", stat, count, tags)

    def gauge(self, stat: str, value: float, rate: float = 1, delta: bool = False, *, tags: Any = None) -> None:
        self._take("gauge", stat, value, tags)

    def timing(self, stat: str, dt: Any, *, tags: Any = None) -> None:
        self._take("timing", stat, dt, tags)

    def _take(self, kind: str, stat: str, value: Any, tags: Any) -> None:
        if self.broken:
            raise OSError("no backend")
        self.got.append((kind, stat.removeprefix("saagie.watcher."), value, tags))

    def sum(self, stat: str) -> int:
        return sum(value for kind, name, value, _ in self.got if (kind, name) == ("incr", stat))


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """Airflow's stats as a triggerer sets them up, in a process that looks like a triggerer's."""
    import airflow.jobs.triggerer_job_runner  # noqa: F401 - being loaded is what tells a triggerer

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", object(), raising=False)
    taking = Backend()
    stats.initialize(factory=lambda: taking, export_legacy_names=True)  # type: ignore[arg-type,return-value]
    yield taking
    from airflow._shared.observability.metrics.base_stats_logger import NoStatsLogger

    stats.initialize(factory=NoStatsLogger, export_legacy_names=True)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, LOGGER)
    return lambda: [record.getMessage() for record in caplog.records if record.name == LOGGER]


def report(meter: Meter, watched: int, now: float, *, last: bool = False) -> None:
    """Have a meter report, and wait until its thread is done."""

    async def reported() -> None:
        meter.report(watched, now, last=last)

    asyncio.run(reported())


def test_each_count_is_told_once_in_a_line_and_once_as_a_metric(
    backend: Backend, lines: Callable[[], list[str]]
) -> None:
    tags = {"conn_id": "acme", "hostname": socket.gethostname()}
    meter = Meter("acme", 100.0)
    meter.count(requests=3, asked=250, ended=2, errors=1, lag=0.5, last_error="HTTP 503")
    meter.count(requests=1, asked=10, lag=0.25)
    report(meter, 260, 159.9)
    assert (lines(), backend.got) == ([], [])
    report(meter, 260, 160.0)
    assert lines() == [
        (
            "Saagie watcher of acme, 60 s: watched 260, asked 260 in 4 requests, ended 2, errors 1, lag 0.50 s. "
            "The last error: HTTP 503"
        )
    ]
    assert backend.got == [
        ("gauge", "watched", 260, tags),
        ("incr", "requests", 4, tags),
        ("incr", "asked", 260, tags),
        ("incr", "ended", 2, tags),
        ("incr", "errors", 1, tags),
        ("timing", "lag", timedelta(seconds=0.5), tags),
    ]
    backend.got.clear()
    meter.count(requests=1, errors=2, last_error="HTTP 500")
    report(meter, 0, 190.0, last=True)  # the last one out: metrics at once, the line when it is time
    assert len(lines()) == 1
    assert backend.got == [
        ("gauge", "watched", 0, tags),
        ("incr", "requests", 1, tags),
        ("incr", "errors", 2, tags),
        ("timing", "lag", timedelta(0), tags),
    ]
    meter.count(requests=2)
    report(meter, 7, 219.9)
    assert len(lines()) == 1
    report(meter, 7, 225.0)
    assert backend.sum("requests") == 1 + 2
    report(meter, 8, 285.0)
    assert lines()[1:] == [
        (
            "Saagie watcher of acme, 65 s: watched 7, asked 0 in 3 requests, ended 0, errors 2, lag 0.00 s. "
            "The last error: HTTP 500"
        ),
        "Saagie watcher of acme, 60 s: watched 8, asked 0 in 0 requests, ended 0, errors 0, lag 0.00 s",
    ]


def test_a_log_that_takes_no_line_costs_no_metric(backend: Backend) -> None:
    class Deaf(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("the pipe is closed")

    deaf, logger = Deaf(), logging.getLogger(LOGGER)
    logger.addHandler(deaf)
    try:
        report(Meter("acme", 0.0), 1, EVERY)
    finally:
        logger.removeHandler(deaf)
    assert [name for _, name, *_ in backend.got] == ["watched", "lag"]


def test_a_report_that_fails_ends_nothing_and_is_no_more_due(backend: Backend, lines: Callable[[], list[str]]) -> None:
    meter = Meter("acme", 0.0)
    meter.report(1, EVERY)  # in no loop, so that there is no thread to be had
    assert lines() == ["The Saagie watcher of acme could not report: RuntimeError('no running event loop')"]
    meter.report(1, EVERY + 1)
    assert len(lines()) == 1
    assert backend.got == []


def test_a_line_a_minute_and_metrics_say_what_was_done(
    play: Callable[..., None],
    backend: Backend,
    lines: Callable[[], list[str]],
) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 200 else "SUCCEEDED", age=HOUR)
        waiting = [s.wait_for(n) for n in range(1, 151)]
        assert await all_end(waiting)
        await asyncio.sleep(0.1)
        assert 3 <= len(lines()) <= 4
        assert all(
            f"Saagie watcher of {s.conn_id}, 6" in line and "watched 150" in line and "errors 0" in line
            for line in lines()[:3]
        )
        assert backend.sum("requests") == len(s.saagie.looks)
        assert backend.sum("asked") == sum(len(asked.ids) for asked in s.saagie.looks)
        assert backend.sum("ended") == 150
        assert backend.sum("errors") == 0
        watched = [value for kind, name, value, _ in backend.got if (kind, name) == ("gauge", "watched")]
        assert set(watched[:-1]) == {150}
        assert watched[-1] == 0  # the last one out
        lags = [value.total_seconds() for kind, _, value, _ in backend.got if kind == "timing"]
        assert max(lags) < 5
        assert {tags["conn_id"] for *_, tags in backend.got} == {s.conn_id}

    play(scene, debug=False)


def test_the_line_comes_also_where_nobody_is_due_for_long(
    play: Callable[..., None], backend: Backend, lines: Callable[[], list[str]]
) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=3 * HOUR)
        one = s.wait_for(1, poll_interval=600)
        await asyncio.sleep(5 * EVERY + 5)
        assert len(lines()) == 5
        assert all(re.search(", 60 s: watched 1, asked [01] in", line) for line in lines())
        await one.leave()

    # A look at the start, and the next one on the grid of ten minutes.
    play(scene, loop=partial(loop_at, 5.0, 600.0))


def test_the_lag_says_how_late_the_last_of_many_was_asked_for(play: Callable[..., None], backend: Backend) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.latency = 1.0
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        waiting = [s.wait_for(n) for n in range(1, 1_201)]  # four hundred a second: the last are asked 2 s late
        await asyncio.sleep(3 * EVERY + 1)
        _, *later = [value.total_seconds() for kind, _, value, _ in backend.got if kind == "timing"]
        assert len(later) == 2
        assert [round(lag, 1) for lag in later] == [2.0, 2.0]
        await all_leave(waiting)

    play(scene, debug=False, loop=TimelessLoop)


def test_the_line_lands_in_no_tasks_log_and_is_written_by_a_thread(play: Callable[..., None], backend: Backend) -> None:
    """Airflow tells by the context whose a line is, and the triggerer's log may take none for now."""
    whose: ContextVar[str] = ContextVar("whose", default="nobody's")
    heard: list[tuple[str, bool]] = []
    here = threading.get_ident()

    class Hearing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append((whose.get(), threading.get_ident() == here))

    async def scene(s: Scene) -> None:
        whose.set("the task's that came first")
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 100 else "SUCCEEDED", age=HOUR)
        assert await all_end([s.wait_for(1)])

    hearing = Hearing()
    logging.getLogger(LOGGER).addHandler(hearing)
    try:
        play(scene)
    finally:
        logging.getLogger(LOGGER).removeHandler(hearing)
    assert heard == [("nobody's", False)]


def test_the_line_says_what_was_wrong_last(
    play: Callable[..., None],
    backend: Backend,
    lines: Callable[[], list[str]],
) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda asked: web.Response(status=503) if 10 < asked.at < 50 else None
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 150 else "SUCCEEDED", age=HOUR)
        assert await all_end([s.wait_for(1)])
        first, second, *_ = lines()
        assert re.search(r" s\. The last error: watchInstances: .*HTTP 503", first)
        assert second.endswith(" s")

    play(scene, debug=False)


def test_requests_for_logs_are_counted_and_those_without_an_answer_among_the_errors(
    play: Callable[..., None], backend: Backend
) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 100 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = lambda *_: [("STDOUT", "line")]
        unusable = [web.json_response({"data": None}), web.json_response({"data": ["junk"]})]

        def refuse(asked: Asked) -> web.Response | None:
            if asked.operation != "watchLogs" or asked.at >= 35:
                return None
            return unusable.pop() if unusable else web.Response(status=503)

        s.saagie.refuse = refuse
        assert await all_end([s.wait_for(1, stream_logs=True)])
        await asyncio.sleep(0.1)
        assert backend.sum("requests") == len(s.saagie.asked) > len(s.saagie.looks)
        assert backend.sum("asked") == len(s.saagie.looks)
        refused = [asked for asked in s.saagie.asked if asked.operation == "watchLogs" and asked.at < 35]
        assert backend.sum("errors") == len(refused) > 2

    play(scene)


def test_short_watchers_one_after_the_other_write_a_line_a_minute_too_and_lose_no_metric(
    play: Callable[..., None],
    backend: Backend,
    lines: Callable[[], list[str]],
) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("SUCCEEDED")
        for number in range(1, 9):
            await s.wait_for(number).verdict()
            await asyncio.sleep(25)
        assert 2 <= len(lines()) <= s.saagie.now() / EVERY
        assert backend.sum("ended") == 8

    play(scene)


def test_a_broken_backend_disturbs_nobody(
    play: Callable[..., None],
    backend: Backend,
    lines: Callable[[], list[str]],
) -> None:
    async def scene(s: Scene) -> None:
        backend.broken = True
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 100 else "SUCCEEDED", age=HOUR)
        one = s.wait_for(1)
        assert await all_end([one])
        await asyncio.sleep(0.1)
        assert one.log.lines == []
        assert any("took no metrics" in line for line in lines())

    play(scene)


def test_a_worker_that_waits_says_nothing(
    play: Callable[..., None],
    backend: Backend,
    lines: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "airflow.jobs.triggerer_job_runner")

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 100 else "SUCCEEDED", age=HOUR)
        assert await all_end([s.wait_for(1)])

    play(scene)
    assert triggerer_stats() is None
    assert lines() == backend.got == []


SENDS = """
import airflow.jobs.triggerer_job_runner
from airflow.observability import stats
from airflow.observability.metrics import stats_utils
from airflow.sdk.execution_time import task_runner
task_runner.SUPERVISOR_COMMS = object()
stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)
from airflow_provider_saagie.airflow_compat import triggerer_stats
from airflow_provider_saagie.triggers.metrics import Figures, _send
_send(triggerer_stats(), "saagie_default", 2000, Figures(requests=25, asked=2500, ended=3, errors=1, lag=0.25))
"""


def test_a_statsd_server_gets_them_with_their_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("statsd", reason="Airflow's statsd backend needs the package statsd")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        settings = {
            "STATSD_ON": "True", "STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(server.getsockname()[1]),
            "STATSD_INFLUXDB_ENABLED": "True",
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(f"AIRFLOW__METRICS__{name}", value)
        subprocess.run([sys.executable, "-c", SENDS], check=True, timeout=120)
        got: list[str] = []
        while len(got) < 6:  # Airflow has some of its own to tell
            got += [text for text in [server.recv(1000).decode()] if "saagie" in text]
    tags = f",conn_id=saagie_default,hostname={socket.gethostname()}"
    assert sorted(got) == [
        f"airflow.saagie.watcher.asked{tags}:2500|c",
        f"airflow.saagie.watcher.ended{tags}:3|c",
        f"airflow.saagie.watcher.errors{tags}:1|c",
        f"airflow.saagie.watcher.lag{tags}:250.000000|ms",
        f"airflow.saagie.watcher.requests{tags}:25|c",
        f"airflow.saagie.watcher.watched{tags}:2000|g",
    ]
