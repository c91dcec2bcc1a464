"""Run a program with the official client, which can't share an environment with Airflow."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.pages import ROOT

ENVIRONMENT = ROOT / ".venv-saagieapi"
PYTHON = (ENVIRONMENT / "bin" / "python", "-W", "ignore")


def need_official_client() -> None:
    """Skip the test if the environment is missing."""
    if not (ENVIRONMENT / ".installed").exists():
        pytest.skip("the official client's environment is missing: scripts/official_client_env.sh makes it")


def played(program: Path, task: Mapping[str, Any]) -> dict[str, Any]:
    """Run a program with a task as its standard input, and return what its last line has."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [*PYTHON, program], input=json.dumps(task), capture_output=True, text=True, check=False, env=environment
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-4000:]
    seen: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return seen
