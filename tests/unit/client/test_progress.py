"""What long transfers show: lines in a log, a bar in a real terminal, nothing if they are quick or silenced."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_saagie.client import progress
from airflow_provider_saagie.client.calls import Call, Upload
from airflow_provider_saagie.client.session import PIECE, Session
from airflow_provider_saagie.exceptions import SaagieConnectionError
from tests.support.raw_server import RawServer, graphql, http

MIB = 1024 * 1024


@dataclass
class Clock:
    """The time that transfers are measured by."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def transfer(self, shows: Any, name: str, total: int | None, *, seconds: float) -> None:
        """Transfer eight pieces of 1 MiB, each in so many seconds."""
        with shows("Downloading", name, total) as advance:
            for _ in range(8):
                self.now += seconds
                advance(MIB)
                sys.stdout.write("between pieces\n")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    caplog.set_level(logging.INFO, "airflow_provider_saagie")
    clock = Clock()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def test_lines_log_progress_unless_quick_or_silenced(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    clock.transfer(progress.lines, "large job.zip", 8 * MIB, seconds=4)
    assert caplog.messages == [
        "Downloading 'large job.zip': 3.0 of 8.0 MiB (38 %), 0.2 MiB/s.",
        "Downloading 'large job.zip': 6.0 of 8.0 MiB (75 %), 0.2 MiB/s.",
        "Downloading 'large job.zip': done, 8.0 MiB in 32 s.",
    ]

    caplog.clear()
    clock.transfer(progress.lines, "a\n\x1b[31mred", None, seconds=80)
    assert caplog.messages[0] == r"Downloading 'a\n\x1b[31mred': 1.0 MiB so far, 0.0 MiB/s."
    caplog.clear()
    clock.transfer(progress.shown, "job.py", 8 * MIB, seconds=1)
    clock.transfer(progress.silent, "job.py", 8 * MIB, seconds=100)
    assert caplog.messages == []


def test_terminal_that_can_draw_gets_a_bar_instead_of_lines(
    clock: Clock, caplog: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    for term, seconds, has_bar in (("xterm", 1, True), ("xterm", 0, False), ("dumb", 1, False)):
        monkeypatch.setenv("TERM", term)
        monkeypatch.setattr(sys, "stderr", terminal := io.StringIO())
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        clock.transfer(progress.shown, "[bold]job.zip", 8 * MIB, seconds=seconds)
        shown = terminal.getvalue()
        assert ("━" in shown and "Downloading '[bold]job.zip'" in shown and "8.0/8.0 MiB" in shown) is has_bar
        assert has_bar or shown == ""
        assert caplog.messages == []
        assert capsys.readouterr().out.count("between pieces") == 8, "stdout is the caller's"


@dataclass
class Recording:
    """A progress of a caller's own, which keeps what it was called with."""

    transfers: list[tuple[str, str, int | None]] = field(default_factory=list)
    pieces: list[int] = field(default_factory=list)

    @contextmanager
    def __call__(self, what: str, name: str, total: int | None) -> Iterator[Any]:
        self.transfers.append((what, name, total))
        yield self.pieces.append


CHUNKED = b"HTTP/1.1 200 X\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


def test_download_reports_name_total_and_pieces(server: RawServer, caplog: pytest.LogCaptureFixture) -> None:
    for path, answer, name, total, size in (
        ("/version/1/artifact/large%20job.zip", http(200, b"x" * 3 * PIECE), "large job.zip", 3 * PIECE, 3 * PIECE),
        ("/a/", http(200, b"x", "Content-Encoding: identity"), "a file", None, 1),
        ("/a/job.py", CHUNKED, "job.py", None, 5),
    ):
        server.reset(answer)
        with Session(server.settings(), progress=(own := Recording())) as session:
            assert sum(map(len, session.download(path))) == size
        assert (own.transfers, sum(own.pieces)) == ([("Downloading", name, total)], size)
    caplog.set_level(logging.INFO, "airflow_provider_saagie")
    server.reset(http(200, b"x" * 2 * PIECE)[:-1])
    with (
        Session(server.settings(), progress=partial(progress.lines, every=0)) as session,
        pytest.raises(SaagieConnectionError),
    ):
        list(session.download("/a/job.py"))
    assert caplog.messages
    assert not [line for line in caplog.messages if "done" in line]


def test_upload_reports_name_size_and_pieces(server: RawServer, tmp_path: Path) -> None:
    (file := tmp_path / "job.zip").write_bytes(b"x" * 3 * PIECE)
    server.reset(graphql({"data": {"addJobVersion": {"number": 2}}}))
    with Session(server.settings(), progress=(own := Recording())) as session:
        session.send(Call("addJobVersion", {"jobId": "0", "jobVersion": {}, "file": None}, Upload(file, "large.zip")))
    assert (own.transfers, sum(own.pieces)) == ([("Uploading", "large.zip", 3 * PIECE)], 3 * PIECE)
    assert len([size for size in own.pieces if size]) > 1, "while it is sent"
    assert file.read_bytes() in server.seen
