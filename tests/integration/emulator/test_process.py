"""Test the emulator as a program: its start, real connections, and what remains after each kind of end."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from airflow_provider_saagie.emulator.testing import Emulator
from tests.support.emulator_client import LOGIN_PATH, RUN_JOB, Client, client_of_process, is_alive, wait_until_gone
from tests.support.waiting import wait_until

JOB = "query j($id: UUID!) { job(id: $id) { countJobInstance versions { packageInfo { downloadUrl } } } }"
LOST = (httpx.RemoteProtocolError, httpx.ReadError)  # the latter if the emulator has not read the whole request
CUT = "complete message body"  # in the client's error
READY = "Saagie emulator listening on "
# The superuser may read any folder, unless that right is taken away.
AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def popen(folder: Path, *before: str) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-m", "airflow_provider_saagie.emulator", "--port", "0", "--data", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


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
    killed.kill()
    killed.communicate()
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
    stopped.send_signal(signal.SIGINT)
    assert stopped.communicate()[0] == ""
    assert stopped.returncode == 0
    assert not is_alive(int(process))


@pytest.mark.skipif(
    bool(AS_ANYBODY) and shutil.which(AS_ANYBODY[0]) is None, reason="the superuser may read any folder"
)
def test_folder_without_rights_is_refused(tmp_path: Path) -> None:
    processes = {}
    for mode in (0o000, 0o500):
        folder = tmp_path / f"{mode:o}"
        folder.mkdir()
        folder.chmod(mode)
        processes[folder] = popen(folder, *AS_ANYBODY)
    for folder, process in processes.items():
        stdout, stderr = process.communicate()
        folder.chmod(0o700)
        assert (process.returncode, stdout) == (2, ""), stderr
        assert "Permission denied" in stderr
        assert str(folder) in stderr
        assert "Traceback" not in stderr


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    with client_of_process(emulator) as made:
        yield made


def count(client: Client, job: str) -> int:
    return client.data(JOB, id=job)["job"]["countJobInstance"]


def test_faults_cut_connections_before_or_after_the_work(client: Client) -> None:
    job = client.job("bash {file}", "echo 1")
    for what, error, instances in (("refuse", None, 0), ("drop", None, 1), ("cut", CUT, 2)):
        client.fault(what, "runJob")
        with pytest.raises(LOST, match=error):
            client.send(RUN_JOB, {"id": job})
        assert client.mutations()[-1]["outcome"] == ("done" if instances else "refuse"), what
        assert count(client, job) == instances, what
    assert client.stats()["connections"] > 0
    (version,) = client.data(JOB, id=job)["job"]["versions"]
    for operation, method, path, body, status in (
        ("artifact", "GET", version["packageInfo"]["downloadUrl"], None, 200),
        ("login", "POST", LOGIN_PATH, {"login": "airflow", "password": "wrong"}, 401),
    ):
        client.fault("cut", operation)
        with client.http.stream(method, path, json=body) as answer:
            assert answer.status_code == status
            with pytest.raises(httpx.RemoteProtocolError, match=CUT):
                answer.read()
    client.fault("outage", seconds=1_000)
    for request in (lambda: count(client, job), client.log_in):
        with pytest.raises(LOST):
            request()
    client.http.delete("/emulator/faults")
    client.fault("outage", seconds=0.2)
    wait_until(lambda: client.faults()[0]["spent"])
    assert count(client, job) == 2


def test_raw_paths_lead_to_no_other_files(emulator: Emulator, client: Client) -> None:
    job, address = client.job("bash {file}", "echo 1"), urlsplit(emulator.url)
    base = f"/projects/api/platform/1/project/{client.project()}/job/{job}/version/1/artifact/"
    headers = {"Authorization": client.http.headers["Authorization"]}
    for path, status in (
        (base + "job.sh", 200),
        (base + "../token.key", 404),
        ("/emulator/static/../app.py", 404),
    ):
        with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)) as connection:
            connection.request("GET", path, headers=headers)
            assert connection.getresponse().status == status, path


def test_parts_of_the_emulator_load_only_what_they_need() -> None:
    """Store and engine know neither HTTP nor GraphQL, and the emulator doesn't know the provider."""
    emulator = "airflow_provider_saagie.emulator"
    parts = ("engine", "store.instances", "states", "faults", "stats", "login", "catalogue")
    code = f"import sys, {', '.join(f'{emulator}.{part}' for part in parts)}; print(*sys.modules)"
    code += f"; import {emulator}.cli; print(*sys.modules)"
    lines = subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()
    loaded, everything = (set(line.split()) for line in lines)
    provider = {"airflow", "gql", "aiohttp", "requests"}
    assert not loaded & ({"starlette", "uvicorn", "ariadne", "graphql", "typer", "jinja2"} | provider)
    assert not everything & provider
    own = [name for name in everything if name.startswith("airflow_provider_saagie.")]
    assert [name for name in own if not name.startswith(emulator)] == []
