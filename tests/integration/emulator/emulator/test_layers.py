"""Who may know whom: the parts below know nothing of those above."""

from __future__ import annotations

import subprocess
import sys

import pytest

EMULATOR = "airflow_provider_saagie.emulator"
HTTP = {"starlette", "uvicorn", "ariadne", "graphql", "typer", "jinja2"}
PROVIDER = {"airflow", "gql", "aiohttp", "requests"}


def loaded_by(module: str) -> set[str]:
    """Import a module in a process of its own and tell what that loaded."""
    code = f"import sys, {module}; print('\\n'.join(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(ended.stdout.split())


@pytest.mark.parametrize("part", ["engine", "store.instances", "states", "faults", "stats", "login", "catalogue"])
def test_what_keeps_and_runs_knows_neither_http_nor_graphql(part: str) -> None:
    assert not loaded_by(f"{EMULATOR}.{part}") & (HTTP | PROVIDER)


def test_the_emulator_knows_nothing_of_the_provider() -> None:
    loaded = loaded_by(f"{EMULATOR}.cli")
    assert not loaded & PROVIDER
    ours = {name for name in loaded if name.startswith("airflow_provider_saagie.")}
    assert {name for name in ours if not name.startswith(EMULATOR)} == set()
