"""A real Airflow, of the environment's version, for the suite of `make test-oldest`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from scripts import stack as stacks
from scripts.processes import ROOT
from scripts.stack import Stack
from tests.system.stack.saagie_side import SaagieSide

# Not collected by `make test-long`; `make test-oldest` names the files, which are collected nevertheless.
collect_ignore_glob = ["test_*.py"]
AIRFLOW = tuple(int(part) for part in version("apache-airflow").split(".")[:3])
STACK_TESTS = ROOT / "tests" / "system" / "stack"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with the DAGs of this suite."""
    folder: Path = tmp_path_factory.mktemp("oldest")
    for source in (ROOT / "example_dags", STACK_TESTS / "versions" / "dags"):
        ignored = shutil.ignore_patterns("__pycache__", "tests")
        shutil.copytree(source, folder / "dags", ignore=ignored, dirs_exist_ok=True)
    for name in ("run_dags.py", "event_dags.py"):
        shutil.copy(STACK_TESTS / "dags" / name, folder / "dags")
    with stacks.temporary(folder / "run", folder / "dags", parallelism=4) as running:
        yield running


@pytest.fixture
def make_job(saagie: SaagieSide, tmp_path: Path) -> Callable[[str], str]:
    """A function that creates a job of some Python and returns its id."""
    return lambda code: saagie.make_job(code, tmp_path)
