"""The search for secrets in logs: what the local Saagie itself logs at its start, and what counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.system.cluster.secret_hunt import in_logs

PASSWORD = "kept in its folder"


def test_password_is_found_in_logs_of_task_and_saagie(tmp_path: Path) -> None:
    """A local Saagie that was given its password must not log it; one that found it in its folder shows it."""
    task_log = tmp_path / "airflow" / "logs" / "dag" / "run" / "attempt=1.log"
    task_log.parent.mkdir(parents=True)
    task_log.write_text(f"login with {PASSWORD}\n")
    for name in ("logs", "saagie"):
        (tmp_path / name).mkdir()
    (tmp_path / "saagie" / "password").write_text(PASSWORD)
    with (tmp_path / "logs" / "saagie.log").open("w") as log:
        saagie = subprocess.Popen(
            [sys.executable, "-m", "airflow_provider_saagie.emulator", "--port", "0", "--data", tmp_path / "saagie"],
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        assert saagie.stdout is not None
        saagie.stdout.readline()
        saagie.terminate()
        saagie.communicate(timeout=120)
    of_task = str(task_log.relative_to(tmp_path))
    assert in_logs(tmp_path, [PASSWORD.encode()], but="saagie.log") == [of_task]
    assert set(in_logs(tmp_path, [PASSWORD.encode()])) == {of_task, "logs/saagie.log"}
