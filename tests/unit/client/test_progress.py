"""What long transfers show: lines in a log, a bar in a real terminal, nothing where they are quick or silenced."""

from __future__ import annotations

import logging
import os
import pty
import re
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie import exceptions as errors
from airflow_provider_saagie.client import progress
from airflow_provider_saagie.client.calls import Call, Upload
from airflow_provider_saagie.client.session import Session
from airflow_provider_saagie.client.settings import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
MIB = 1024 * 1024
# A MiB each; the server pauses after each. Some of what is uploaded lies in the kernel, so there are more of these.
PIECES, UPLOADED_PIECES = 8, 16


class Slow(BaseHTTPRequestHandler):
    """A platform whose network is slow."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        while left > 0:
            left -= len(self.rfile.read(min(MIB, left)))
            if left > MIB:
                time.sleep(0.05)
        is_login = self.path.endswith("/authenticate")
        self.answer(b"token" if is_login else b'{"data": {"addJobVersion": {"number": 2}}}', "application/json")

    def do_GET(self) -> None:
        if "unknown" in self.path:
            self.answer_head("application/octet-stream", "Transfer-Encoding", "chunked")
        else:
            self.answer_head("application/octet-stream", "Content-Length", str(PIECES * MIB))
        for number in range(PIECES):
            if "broken" in self.path and number == PIECES - 1:
                self.close_connection = True
                return
            piece = bytes(MIB)
            self.wfile.write(b"%x\r\n%b\r\n" % (MIB, piece) if "unknown" in self.path else piece)
            time.sleep(0.2 if "/long/" in self.path else 0.08)
        if "unknown" in self.path:
            self.wfile.write(b"0\r\n\r\n")

    def answer(self, body: bytes, content_type: str) -> None:
        self.answer_head(content_type, "Content-Length", str(len(body)))
        self.wfile.write(body)

    def answer_head(self, content_type: str, name: str, value: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def slow() -> Iterator[Settings]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads = True
    # A small buffer, so that an upload waits for the server rather than lie in the kernel.
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield read_settings(
        host=f"http://127.0.0.1:{server.server_port}",
        login="me",
        password="secret",
        extra={"realm": "local", "platform_id": 1, "retries": 0},
    )
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large job.zip"
    with path.open("wb") as file:
        file.truncate(UPLOADED_PIECES * MIB)
    return path


def download(settings: Settings, path: str, shows: Any) -> int:
    with Session(settings, progress=shows) as session:
        return sum(len(piece) for piece in session.download(path))


def upload(settings: Settings, file: Path, shows: Any) -> dict[str, Any]:
    variables = {"jobId": "0" * 8, "jobVersion": {}, "file": None}
    with Session(settings, progress=shows) as session:
        return session.send(Call("addJobVersion", variables, Upload(file, file.name)))


def test_a_long_download_logs_how_far_it_is_and_at_the_end_how_long_it_took(
    slow: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "airflow_provider_saagie")
    assert download(slow, "/version/1/artifact/large%20job.zip", partial(progress.lines, every=0.2)) == PIECES * MIB
    *under_way, last = caplog.messages
    assert under_way
    times = [record.created for record in caplog.records[:-1]]
    assert all(later - earlier > 0.15 for earlier, later in pairwise(times))
    for line in under_way:
        assert re.fullmatch(r"Downloading 'large job\.zip': \d\.\d of 8\.0 MiB \(\d+ %\), \d+\.\d MiB/s\.", line), line
    assert re.fullmatch(r"Downloading 'large job\.zip': done, 8\.0 MiB in \d+ s\.", last)


def test_a_download_of_unknown_length_logs_what_has_come(slow: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "airflow_provider_saagie")
    assert download(slow, "/unknown/job.py", partial(progress.lines, every=0.2)) == PIECES * MIB
    assert re.fullmatch(r"Downloading 'job\.py': \d\.\d MiB so far, \d+\.\d MiB/s\.", caplog.messages[0])


def test_a_long_upload_logs_how_far_it_is(slow: Settings, large: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "airflow_provider_saagie")
    upload(slow, large, partial(progress.lines, every=0.2))
    assert re.fullmatch(
        r"Uploading 'large job\.zip': \d+\.\d of 16\.0 MiB \(\d+ %\), \d+\.\d MiB/s\.", caplog.messages[0]
    )
    assert re.fullmatch(r"Uploading 'large job\.zip': done, 16\.0 MiB in \d+ s\.", caplog.messages[-1])


def test_a_download_that_breaks_off_is_not_said_to_be_done(slow: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "airflow_provider_saagie")
    with pytest.raises(errors.SaagieConnectionError):
        download(slow, "/broken/job.py", partial(progress.lines, every=0.2))
    assert caplog.messages
    assert not [line for line in caplog.messages if "done" in line]


def test_transfers_that_are_quick_or_silenced_log_nothing(
    slow: Settings, large: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten seconds is when the first line comes; this takes one."""
    caplog.set_level(logging.INFO, "airflow_provider_saagie")
    download(slow, "/version/1/artifact/job.py", progress.shown)
    upload(slow, large, progress.silent)
    assert caplog.messages == []


@pytest.mark.parametrize("name", ["a%0Ab", "%1b[31mred"])
def test_no_name_breaks_out_of_its_line(slow: Settings, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "airflow_provider_saagie")
    download(slow, f"/version/1/artifact/{name}", partial(progress.lines, every=0.2))
    assert not [line for line in caplog.messages if "\n" in line or "\x1b" in line]


IN_A_TERMINAL = """
import logging, sys
from airflow_provider_saagie.client.session import Session
from airflow_provider_saagie.client.settings import read_settings
logging.basicConfig(level="INFO")
settings = read_settings(host=sys.argv[1], login="me", password="secret", extra={"realm": "r", "platform_id": 1})
with Session(settings) as session:
    for piece in session.download("/long/[bold]job.zip"):
        print(len(piece), flush=True)
"""


def in_a_terminal(settings: Settings, **environment: str) -> tuple[str, str]:
    """Download in a process whose stderr is a terminal; what it wrote to stdout, and to the terminal."""
    ours, theirs = pty.openpty()
    seen = bytearray()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, settings.base_url],
        stdout=subprocess.PIPE, stderr=theirs, text=True, cwd=ROOT,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", **environment},
    )  # fmt: skip
    os.close(theirs)

    def read() -> None:
        try:
            while piece := os.read(ours, 65536):
                seen.extend(piece)
        except OSError:  # how Linux ends a terminal whose other side is closed
            return

    reader = threading.Thread(target=read)
    reader.start()
    out, _ = process.communicate(timeout=60)
    reader.join(10)
    os.close(ours)
    assert process.returncode == 0, seen.decode()
    return out, seen.decode()


def test_a_terminal_gets_a_bar_and_stdout_stays_the_callers(slow: Settings) -> None:
    out, terminal = in_a_terminal(slow)
    assert sum(map(int, out.split())) == PIECES * MIB
    assert "━" in terminal
    assert "Downloading '[bold]job.zip'" in terminal
    assert "8.0/8.0 MiB" in terminal
    assert "INFO" not in terminal


def test_a_terminal_that_can_t_draw_gets_no_bar(slow: Settings) -> None:
    _, terminal = in_a_terminal(slow, TERM="dumb")
    assert terminal == ""
