"""The hunt in the logs: what the local Saagie itself says at its start, and what is a find."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.system.cluster.secret_hunt import in_logs

if TYPE_CHECKING:
    from pathlib import Path

KEPT = "kept in its folder"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a cluster has it: a local Saagie has found its password there, and a task has told it."""
    (tmp_path / "logs").mkdir()
    task = tmp_path / "airflow" / "logs" / "dag" / "run" / "attempt=1.log"
    task.parent.mkdir(parents=True)
    task.write_text(f"login with {KEPT}\n")
    (tmp_path / "saagie").mkdir()
    (tmp_path / "saagie" / "password").write_text(KEPT)
    with (tmp_path / "logs" / "saagie.log").open("w") as log:
        saagie = subprocess.Popen(
            [sys.executable, "-m", "airflow_provider_saagie.emulator", "--port", "0", "--data", tmp_path / "saagie"],
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        assert saagie.stdout is not None
        saagie.stdout.readline()
        saagie.terminate()
        saagie.communicate(timeout=15)
    return tmp_path


def test_a_task_that_tells_the_password_is_found(folder: Path) -> None:
    assert in_logs(folder, [KEPT.encode()], but="saagie.log") == ["airflow/logs/dag/run/attempt=1.log"]


def test_a_local_saagie_that_was_given_its_password_may_not_tell_it_either(folder: Path) -> None:
    assert set(in_logs(folder, [KEPT.encode()])) == {"airflow/logs/dag/run/attempt=1.log", "logs/saagie.log"}
