"""Test the command line in this process: options, and starts that it refuses without harm."""

import re
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from airflow_provider_saagie.emulator import cli, server
from airflow_provider_saagie.emulator.engine import Limits
from airflow_provider_saagie.emulator.settings import Settings
from airflow_provider_saagie.emulator.store.database import Database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def run(folder: Path, *options: str) -> Result:
    """Run the command line to its end, and close the socket that the end of its process would close."""
    environment = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    sockets: list[socket.socket] = []

    def bind(host: str, port: int) -> socket.socket:
        sockets.append(server.bind(host, port))
        return sockets[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "bind", bind)
        result = CliRunner().invoke(cli.app, ["--port", "0", "--data", str(folder), *options], env=environment)
    for bound in sockets:
        bound.close()
    return result


def contents(folder: Path) -> dict[str, bytes]:
    """Read a folder without the files that SQLite needs while a database is open."""
    files = [one for one in folder.rglob("*") if one.is_file() and not one.name.endswith(("lock", "-shm", "-wal"))]
    return {str(one.relative_to(folder)): one.read_bytes() for one in files}


def assert_refused(result: Result, *messages: str) -> None:
    assert isinstance(result.exception, SystemExit), result.exception
    assert (result.exit_code, result.stdout) == (2, ""), result.stderr
    for message in messages:
        assert message in result.stderr


def assert_refused_unchanged(folder: Path, *messages: str) -> None:
    before = contents(folder)
    assert_refused(run(folder), str(folder), *messages)
    assert contents(folder) == before


def test_options_become_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only serving, which never ends, is left out."""
    served: list[Settings] = []

    def record(app: Any, *_: Any) -> None:
        served.append(app.state.parts.settings)
        app.state.parts.engine.close()
        app.state.parts.database.close()

    monkeypatch.setattr(cli, "serve", record)
    options = (
        "--login me --password hush --realm r --platform 3 --platform 5 --platform 3 --token-ttl 7 --parallel 2 "
        "--allow-remote Saagie.Test --time-limit 0.5 --log-limit 10 --upload-limit 1"
    )
    result = run(folder, *options.split(), "--run-with", "spark = run it")
    assert result.exit_code == 0, result.output
    assert (result.stdout, "hush" in result.stderr) == ("", False)
    assert f"http://127.0.0.1:{served[0].port}/projects/platform/3" in result.stderr
    assert served[0] == Settings(
        data=folder, password="hush", login="me", realm="r", platforms=(3, 5), token_ttl=7, port=served[0].port,
        allow_remote=("saagie.test",), upload_limit=1 << 20, runners={"spark": "run it"},
        limits=Limits(parallel=2, seconds=0.5, log_lines=10),
    )  # fmt: skip
    for more, seconds in (((), None), (("--simulate",), 10), (("--simulate", "--simulate-seconds", "3"), 3)):
        assert run(folder, *more).exit_code == 0
        assert served[-1].simulate_seconds == seconds
    assert served[-1].password == (folder / "password").read_text()
    help_text = run(folder, "--help").stdout
    assert not [option for option in re.findall("--[a-z-]+", options) if option not in help_text]


def test_wrong_options_are_named_and_create_nothing(folder: Path) -> None:
    for options, message in (
        (["--port", "70000"], "--port"),
        (["--platform", "0"], "--platform"),
        (["--simulate-seconds", "3"], "--simulate"),
        (["--run-with", "cobol=run"], "java-scala, python, r, spark"),
        (["--run-with", "spark="], "TECHNOLOGY=COMMAND"),
        (["--run-with", "jupyter=x"], "jupyter"),
        (["--host", "0.0.0.0"], "--allow-remote"),
        (["--host", "::"], "--allow-remote"),
    ):
        assert_refused(run(folder, *options), message)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_refused(run(folder, "--port", port), port, "--port")
    assert not folder.exists()


def test_folder_in_use_is_refused(folder: Path) -> None:
    database = Database(folder)
    (folder / "password").write_text("kept")
    assert_refused_unchanged(folder, "Another emulator", "--data")
    database.close()


def test_folder_of_other_things_is_left_alone(folder: Path) -> None:
    """The emulator deletes unknown files in `work` and `artifacts` of its data folder."""
    for name in ("work/precious.txt", "artifacts/release.tar", "README.md"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text("mine")
    assert_refused_unchanged(folder, "not empty", "--data")
    for file in (folder / "README.md", folder / "README.md" / "below"):
        assert_refused(run(file), str(folder / "README.md"))


def test_database_that_is_foreign_or_damaged_is_refused(folder: Path) -> None:
    folder.mkdir()
    for script, messages in (
        ("CREATE TABLE jobs (id); PRAGMA user_version = 1", ("another version", "format 1, this one reads", "--data")),
        ("CREATE TABLE jobs (id); PRAGMA user_version = 99", ("another version", "99", "--data")),
        ("CREATE TABLE theirs (x); PRAGMA journal_mode = WAL", ("another program", "--data")),
    ):
        file = sqlite3.connect(folder / "saagie.db")
        file.executescript(script)
        file.close()
        if "user_version" in script:
            assert_refused(run(folder), *messages)
            assert [one.name for one in folder.iterdir()] == ["saagie.db"], script
        (folder / "password").write_text("kept")
        assert_refused_unchanged(folder, *messages)
        (folder / "password").unlink()
        (folder / "saagie.db").unlink()
    (folder / "saagie.db").mkdir()
    assert_refused_unchanged(folder, "saagie.db")
    (folder / "saagie.db").rmdir()
    Database(folder).close()
    (folder / "password").write_text("kept")
    content = (folder / "saagie.db").read_bytes()
    for damaged in (*(content[: round(len(content) * share)] for share in (0.02, 0.5, 0.9)), b"no database" * 100):
        (folder / "saagie.db").write_bytes(damaged)
        assert_refused(run(folder), str(folder))


def test_folder_of_interrupted_first_start_is_accepted(folder: Path) -> None:
    folder.mkdir()
    for name in ("lock", "password", "token.key.part"):
        (folder / name).write_text("x")
    Database(folder).close()
