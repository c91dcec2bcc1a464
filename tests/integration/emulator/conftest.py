"""Fixtures: the emulator's app in this process, whose jobs are processes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.emulator_client import Client, client_of_app


@pytest.fixture
def start_app(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """A function that runs the app with more settings and returns its client; called once in a test."""
    with ExitStack() as stack:

        def start(**settings: Any) -> Client:
            return stack.enter_context(client_of_app(tmp_path / "data", **settings))

        yield start


@pytest.fixture
def client(start_app: Callable[..., Client]) -> Client:
    return start_app()
