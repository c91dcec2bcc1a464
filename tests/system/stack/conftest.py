"""Fixtures for tests that need a real Airflow: scheduler, dag-processor, triggerer, api-server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from scripts.stack import Stack
from tests.system.stack.saagie_side import SaagieSide, connect
from tests.system.stack.task_run import TaskRun, task_runs


@pytest.fixture(scope="session")
def saagie(stack: Stack) -> Iterator[SaagieSide]:
    """The shared stack's Saagie."""
    side = connect(stack)
    yield side
    side.client.close()


@pytest.fixture(scope="module")
def begin(
    stack: Stack, saagie: SaagieSide, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., TaskRun]]:
    """A function that creates a job and starts a run of a DAG with it."""
    with task_runs(stack, saagie, tmp_path_factory.mktemp("jobs")) as start:
        yield start
        saagie.clear_faults()
