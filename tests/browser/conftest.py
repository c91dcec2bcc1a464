"""Fixtures for tests that look at pages with a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import EXECUTABLE, chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for this folder only: while it is open, this thread has an event loop that other tests can't use."""
    if EXECUTABLE is None:
        pytest.skip("there is no chromium on this machine")
    with chromium() as running:
        yield running
