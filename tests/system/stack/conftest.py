"""Fixtures for tests that need a real Airflow: scheduler, dag-processor, triggerer, api-server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.system.stack.saagie_side import SaagieSide, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.stack import Stack


@pytest.fixture(scope="session")
def saagie(stack: Stack) -> Iterator[SaagieSide]:
    """What the tests see from the side of the shared stack's Saagie."""
    side = connect(stack)
    yield side
    side.client.close()
