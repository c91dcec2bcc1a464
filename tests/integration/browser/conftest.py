"""Fixtures for tests that look at a real Airflow with a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from scripts.airflow_settings import LOGIN
from tests.integration.browser import airflow_pages as pages
from tests.integration.browser.chromium import EXECUTABLE, PATIENCE, chromium

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from scripts.stack import Stack


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for this folder only: while it is open, this thread has an event loop that other tests can't use."""
    if EXECUTABLE is None:
        pytest.skip("there is no chromium on this machine")
    expect.set_options(timeout=PATIENCE)  # a busy machine takes longer than Playwright's five seconds
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A page that is logged in to Airflow."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        pages.log_in(page, stack.settings.url, LOGIN, stack.settings.password)
        yield page


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Where to keep a picture of what a test saw, for the one who has to find out what went wrong."""
    folder = tmp_path_factory.mktemp("pictures")
    return lambda name: folder / f"{name}.png"
