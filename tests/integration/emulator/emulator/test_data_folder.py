"""Which folders are taken, which are refused, and what is left of them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from airflow_provider_saagie.emulator.errors import DataFolderError
from airflow_provider_saagie.emulator.login import kept_secret
from airflow_provider_saagie.emulator.store.database import Database

if TYPE_CHECKING:
    from pathlib import Path

# The superuser may read any folder, unless that right is taken away.
_AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def start(folder: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """Start an emulator that has to refuse the folder."""
    return subprocess.run(
        [*before, sys.executable, "-m", "airflow_provider_saagie.emulator", "--port", "0", "--data", str(folder)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    """Read everything in a folder, but not what SQLite itself needs while a file is open."""
    files = [one for one in folder.rglob("*") if one.is_file() and one.name != "lock"]
    return {str(one.relative_to(folder)): one.read_bytes() for one in files if not one.name.endswith(("-shm", "-wal"))}


def assert_refused(folder: Path, *words: str) -> None:
    """Start on a folder; it has to be left as it was, and the message has to say these words."""
    before = contents(folder)
    ended = start(folder)
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert str(folder) in ended.stderr
    for word in words:
        assert word in ended.stderr
    assert contents(folder) == before


def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    """The emulator empties `work` and sweeps `artifacts` of its data folder: these are somebody else's."""
    for name in ("work/precious.txt", "artifacts/release.tar", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    assert_refused(tmp_path, "not empty", "--data")


def test_a_folder_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    Database(tmp_path).close()
    (tmp_path / "password").write_text("kept")
    file = sqlite3.connect(tmp_path / "saagie.db")
    file.execute("PRAGMA user_version = 99")
    file.close()
    assert_refused(tmp_path, "another version", "99", "--data")


def test_an_older_folder_gets_nothing_new_and_stays_as_it_was_to_the_byte(tmp_path: Path) -> None:
    file = sqlite3.connect(tmp_path / "saagie.db")
    file.execute("CREATE TABLE jobs (id)")
    file.execute("PRAGMA user_version = 1")
    file.close()
    before = (tmp_path / "saagie.db").read_bytes()
    assert "format 1, this one reads" in start(tmp_path).stderr
    assert [one.name for one in tmp_path.iterdir()] == ["saagie.db"]
    assert (tmp_path / "saagie.db").read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("kept")
    file = sqlite3.connect(tmp_path / "saagie.db")
    file.execute("CREATE TABLE theirs (x)")
    file.execute("PRAGMA journal_mode=WAL")
    file.commit()
    file.close()
    assert_refused(tmp_path, "another program", "--data")


@pytest.mark.parametrize("cut_to", [0.02, 0.5, 0.9])
def test_a_damaged_database_is_refused(tmp_path: Path, cut_to: float) -> None:
    Database(tmp_path).close()
    (tmp_path / "password").write_text("kept")
    content = (tmp_path / "saagie.db").read_bytes()
    (tmp_path / "saagie.db").write_bytes(content[: round(len(content) * cut_to)])
    ended = start(tmp_path)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert str(tmp_path) in ended.stderr


def test_a_folder_in_the_databases_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saagie.db").mkdir()
    (tmp_path / "password").write_text("kept")
    assert_refused(tmp_path, "saagie.db")


@pytest.mark.skipif(
    bool(_AS_ANYBODY) and shutil.which(_AS_ANYBODY[0]) is None, reason="the superuser may read any folder"
)
@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_a_folder_without_the_right_to_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    try:
        ended = start(folder, *_AS_ANYBODY)
    finally:
        folder.chmod(0o700)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Permission denied" in ended.stderr
    assert str(folder) in ended.stderr


def test_a_folder_whose_first_start_was_cut_short_is_taken(tmp_path: Path) -> None:
    for name in ("lock", "password", "token.key.part"):
        (tmp_path / name).write_text("x")
    Database(tmp_path).close()


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    """An empty password would let everybody in, and an empty key would let everybody make tokens."""
    (tmp_path / "password").write_text("\n")
    with pytest.raises(DataFolderError, match="delete it"):
        kept_secret(tmp_path / "password")
