"""The command line, as a user meets it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import requests
from airflow.models.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_saagie.emulator.testing import Emulator


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it where it should end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "airflow_provider_saagie.emulator", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environment},
    )


def test_the_ready_line_is_all_that_stdout_holds(start_emulator: Callable[..., Emulator]) -> None:
    emulator = start_emulator()
    assert emulator.url.startswith("http://127.0.0.1:")
    assert emulator.process.stdout is not None
    emulator.process.terminate()
    assert emulator.process.stdout.read() == ""


def test_stderr_tells_how_to_reach_it_but_not_a_given_password(
    start_emulator: Callable[..., Emulator], tmp_path: Path
) -> None:
    emulator = start_emulator()
    said = (tmp_path / "data.stderr").read_text()
    assert f"{emulator.url}/projects/platform/1" in said
    assert emulator.password not in said


def test_a_first_start_shows_a_connection_that_works(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow_provider_saagie.emulator", "--port", "0", "--data", str(tmp_path / "d")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    try:
        for line in process.stderr:
            if "AIRFLOW_CONN_SAAGIE_DEFAULT=" in line:
                break
        shown = subprocess.run(
            ["/bin/bash", "-c", f'{line.strip()}; printf %s "$AIRFLOW_CONN_SAAGIE_DEFAULT"'],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        connection = Connection.from_json(shown)
        assert connection.conn_type == "saagie"
        answer = requests.post(
            f"{connection.host}/authentication/api/open/authenticate",
            json={"login": connection.login, "password": connection.password},
            headers={"Saagie-Realm": connection.extra_dejson["realm"]},
            timeout=10,
        )
        assert answer.status_code == 200
    finally:
        process.terminate()
        process.communicate(timeout=15)


def test_a_password_is_made_once_for_a_data_folder_and_shown(tmp_path: Path) -> None:
    shown = []
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow_provider_saagie.emulator", "--port", "0", "--data", str(tmp_path / "d")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        _, stderr = process.communicate(timeout=15)
        shown.append(next(line.split()[1] for line in stderr.splitlines() if line.strip().startswith("password")))
    assert shown[0] == shown[1]
    assert (tmp_path / "d" / "password").read_text() == shown[0]
    assert (tmp_path / "d").stat().st_mode & 0o077 == 0


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("--port", port, "--data", str(tmp_path / "d"), "--password", "x")
    assert ended.returncode == 2
    assert port in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_of_two_that_start_at_once_on_a_port_one_serves_and_one_names_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "airflow_provider_saagie.emulator", "--port", port, "--data", str(tmp_path / name),
             "--password", "x"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    try:
        ready = [bool(one.stdout.readline()) for one in started if one.stdout is not None]
    finally:
        for one in started:
            one.terminate()
        said = [one.communicate(timeout=15)[1] for one in started]
    assert sorted(ready) == [False, True]
    loser = ready.index(False)
    assert started[loser].returncode == 2
    assert "--port" in said[loser]
    assert "Traceback" not in said[loser]


def test_a_folder_in_use_is_named_with_the_way_out(start_emulator: Callable[..., Emulator]) -> None:
    emulator = start_emulator()
    ended = run("--port", "0", "--data", str(emulator.data), "--password", "x")
    assert ended.returncode == 2
    assert "--data" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert emulator.stats()["total"] == 0


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        ended = run("--port", "0", "--data", str(folder), "--password", "x")
        assert ended.returncode == 2
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_address_that_others_can_reach_is_refused_unless_told(tmp_path: Path, host: str) -> None:
    ended = run("--host", host, "--port", "0", "--data", str(tmp_path / "d"), "--password", "x")
    assert ended.returncode == 2
    assert "--allow-remote" in ended.stderr
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--port", "70000"], "--port"),
        (["--platform", "0"], "--platform"),
        (["--nonsense"], "--nonsense"),
        (["--token-ttl", "x"], "--token-ttl"),
        (["--simulate-seconds", "3"], "--simulate"),
        (["--run-with", "cobol=run"], "java-scala, python, r, spark"),
        (["--run-with", "spark="], "TECHNOLOGY=COMMAND"),
        (["--run-with", "jupyter=x"], "jupyter"),
    ],
)
def test_wrong_flags_are_named(tmp_path: Path, arguments: list[str], named: str) -> None:
    ended = run(*arguments, "--data", str(tmp_path / "d"), COLUMNS="200", NO_COLOR="1", TERM="dumb")
    assert ended.returncode == 2
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "d").exists()


def test_the_help_names_every_flag_of_the_contract() -> None:
    text = run("--help", COLUMNS="200", NO_COLOR="1", TERM="dumb").stdout
    for flag in ("--host", "--port", "--login", "--password", "--realm", "--platform", "--data", "--allow-remote",
                 "--token-ttl", "--simulate", "--simulate-seconds"):  # fmt: skip
        assert flag in text


def test_a_fresh_folder_has_a_project_in_which_every_job_can_run(
    start_emulator: Callable[..., Emulator],
    client_of: Callable[..., object],
) -> None:
    from tests.integration.emulator.emulator.conftest import Client

    client = client_of(start_emulator("--platform", "3", "--platform", "3"))
    assert isinstance(client, Client)
    client.emulator.platform = 3
    project = client.data(
        '{ projectByName(name: "demo") { technologiesByCategory { jobCategory technologies { id } } } }'
    )
    allowed = {
        one["jobCategory"]: len(one["technologies"]) for one in project["projectByName"]["technologiesByCategory"]
    }
    assert allowed == {"Extraction": 6, "Processing": 6, "Smart App": 6}
