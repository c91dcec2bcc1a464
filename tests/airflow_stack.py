"""One real Airflow with a local Saagie, shared by all tests of a run that ask for it."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from scripts import stack as stacks
from scripts.processes import ROOT

if TYPE_CHECKING:
    from scripts.stack import Stack

_CLOSING = pytest.StashKey[ExitStack]()
_STACK = pytest.StashKey["Stack"]()
PARALLELISM = 4


def shared_stack(config: pytest.Config, factory: pytest.TempPathFactory) -> Stack:
    """Start the stack when it is first asked for; it ends with the test run, however that ends.

    It is kept with pytest's configuration, since `tests/airflow` and `tests/browser` each have a fixture for it.
    """
    if _STACK not in config.stash:
        closing = ExitStack()
        config.stash[_CLOSING] = closing
        config.add_cleanup(closing.close)
        folder = factory.mktemp("stack")
        dags = folder / "dags"
        shutil.copytree(ROOT / "example_dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "tests" / "airflow" / "dags", dags, dirs_exist_ok=True)
        running = stacks.temporary(folder / "run", dags, parallelism=PARALLELISM)
        config.stash[_STACK] = closing.enter_context(running)
    return config.stash[_STACK]
