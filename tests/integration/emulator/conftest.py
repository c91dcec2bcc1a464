"""Fixtures: the emulator's app in this process, whose jobs are processes."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.emulator_client import Client, client_of_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


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
