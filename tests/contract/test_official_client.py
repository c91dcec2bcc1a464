"""The official client takes the emulator for a Saagie."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.emulator_process import EmulatorProcess

ENVIRONMENT = Path(__file__).parents[2] / ".venv-saagieapi"
DRIVER = Path(__file__).with_name("official_client.py")


@pytest.fixture
def seen(emulator: EmulatorProcess) -> dict[str, Any]:
    if not (ENVIRONMENT / ".installed").exists():
        pytest.skip("the official client's environment is missing: scripts/official_client_env.sh makes it")
    task = {
        "url": emulator.url,
        "platform": str(emulator.platform),
        "login": emulator.login,
        "password": emulator.password,
        "realm": emulator.realm,
        "name": f"official {uuid.uuid4()}",
    }
    ended = subprocess.run(
        [ENVIRONMENT / "bin" / "python", "-W", "ignore", DRIVER],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # The client itself prints to stdout too; the driver's line is the last.
    return json.loads(ended.stdout.strip().splitlines()[-1])


def test_it_deploys_runs_stops_reads_and_deletes(seen: dict[str, Any], emulator: EmulatorProcess) -> None:
    assert seen == {
        "platform": emulator.platform,
        "technologies": ["Bash", "Java/Scala", "Jupyter Notebook", "Python", "Spark"],
        "same project": True,
        "same job": True,
        "run": "SUCCEEDED",
        "upgraded": 2,
        "stop answers": "KILLING",
        "stopped": "KILLED",
        "info": {
            "instances": ["KILLED", "SUCCEEDED"],
            "versions": ["script.py", "script.py"],
            "alerting": ["FAILED", "KILLED"],
            "cpu": {"request": 0.5, "limit": 2.6},
        },
        "exported": True,
        "exported file": True,
        "rolled back": [False, True],
        "edited": "0 3 * * *",
        "counts": {"ALL": 2, "SUCCEEDED": 1, "FAILED": 0, "STOPPED": 1, "UNKNOWN": 0},
        "deleted by selector": {"deleteJobInstancesBySelector": 1},
        "deleted by date": {"deleteJobInstancesByDate": 1},
        "deleted version": [{"number": 2, "success": True}],
        "copy": "Copy of job",
        "deleted job": {"deleteJob": True},
        "deleted project": {"deleteProject": True},
    }
