"""Test the emulator as a program: what a start prints, and what remains after each kind of end."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.emulator_client import RUN_JOB, Client, is_alive, wait_until_gone

READY = "Saagie emulator listening on "
# The superuser may read any folder, unless that right is taken away.
AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def popen(folder: Path, port: str = "0", before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-m", "airflow_provider_saagie.emulator", "--port", port, "--data", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str], number: int) -> tuple[int, str, str]:
    """End a process; return its exit code and what it still writes."""
    process.send_signal(number)
    rest = process.communicate()
    return (process.returncode, *rest)


@contextmanager
def connected(process: subprocess.Popen[str]) -> Iterator[tuple[Client, str]]:
    """Connect by what a start shows: to be put into a shell for Airflow."""
    assert process.stdout is not None
    assert process.stderr is not None
    url = process.stdout.readline().strip().removeprefix(READY)
    shown = next(line for line in process.stderr if "AIRFLOW_CONN_SAAGIE_DEFAULT=" in line)
    script = f'{shown.strip()}; printf %s "$AIRFLOW_CONN_SAAGIE_DEFAULT"'
    connection = json.loads(subprocess.check_output(["/bin/bash", "-c", script], text=True))
    assert (connection["conn_type"], connection["host"]) == ("saagie", url)
    assert connection["extra"] == {"realm": "local", "platform_id": 1}
    with httpx.Client(base_url=url, trust_env=False) as http:
        yield Client(http, connection["password"]), connection["password"]


def test_data_folder_outlives_kill_and_stop(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    killed = popen(folder)
    with connected(killed) as (client, password):
        assert password == (folder / "password").read_text()
        assert folder.stat().st_mode & 0o077 == 0
        token, job = client.http.headers["Authorization"], client.job("echo $$; sleep 300 & echo $!; sleep 300")
        lost, other = client.run(job), client.run(job)
        lines = client.wait_for_lines(lost, 2)
        client.wait(other, "RUNNING")
    end(killed, signal.SIGKILL)
    assert is_alive(int(lines[0]))

    stopped = popen(folder)
    with connected(stopped) as (client, again):
        assert again == password
        client.http.headers["Authorization"] = token
        assert [client.current(one)[:2] for one in (lost, other)] == [("FAILED", "UNEXPECTED_DELETION")] * 2
        assert client.lines(lost) == lines
        for process in lines:
            wait_until_gone(int(process))
        deaf = client.start("trap '' TERM INT; echo $$; while :; do sleep 300; done")
        (process,) = client.wait_for_lines(deaf)
        assert client.send(RUN_JOB, {"id": job}).status_code == 200
    assert end(stopped, signal.SIGINT)[:2] == (0, "")
    assert not is_alive(int(process))


def test_one_of_two_starts_on_a_port_serves(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    started = [popen(tmp_path / name, port) for name in ("one", "two")]
    ready = [process.stdout.readline() for process in started if process.stdout]
    ends = {bool(line): end(process, signal.SIGTERM) for line, process in zip(ready, started, strict=True)}
    code, _, stderr = ends[False]
    assert code == 2
    assert "--port" in stderr
    assert "Traceback" not in stderr
    assert ends[True][:2] == (0, "")


@pytest.mark.skipif(
    bool(AS_ANYBODY) and shutil.which(AS_ANYBODY[0]) is None, reason="the superuser may read any folder"
)
def test_folder_without_rights_is_refused(tmp_path: Path) -> None:
    processes = {}
    for mode in (0o000, 0o500):
        folder = tmp_path / f"{mode:o}"
        folder.mkdir()
        folder.chmod(mode)
        processes[folder] = popen(folder, before=AS_ANYBODY)
    for folder, process in processes.items():
        stdout, stderr = process.communicate()
        folder.chmod(0o700)
        assert (process.returncode, stdout) == (2, ""), stderr
        assert "Permission denied" in stderr
        assert str(folder) in stderr
        assert "Traceback" not in stderr


EMULATOR = "airflow_provider_saagie.emulator"
PARTS = ("engine", "store.instances", "states", "faults", "stats", "login", "catalogue")


def test_parts_of_the_emulator_load_only_what_they_need() -> None:
    """Store and engine know neither HTTP nor GraphQL, and the emulator doesn't know the provider."""
    code = f"import sys, {', '.join(f'{EMULATOR}.{part}' for part in PARTS)}; print(*sys.modules)"
    code += f"; import {EMULATOR}.cli; print(*sys.modules)"
    parts, everything = (
        set(line.split()) for line in subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()
    )
    provider = {"airflow", "gql", "aiohttp", "requests"}
    assert not parts & ({"starlette", "uvicorn", "ariadne", "graphql", "typer", "jinja2"} | provider)
    assert not everything & provider
    own = {name for name in everything if name.startswith("airflow_provider_saagie.")}
    assert {name for name in own if not re.match(EMULATOR, name)} == set()
