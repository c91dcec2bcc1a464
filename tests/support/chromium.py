"""A headless Chromium that contacts only the addresses it is given."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

EXECUTABLE = shutil.which("chromium")
ARGUMENTS = (
    "--no-sandbox",  # containers have no user namespaces for it; only our own pages are opened
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LIMIT = 120_000  # milliseconds until a step counts as failed


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the machine's Chromium for the length of a block; a test that needs it is skipped without it.

    While it is open, the thread has an event loop that other tests can't use: a fixture's scope is a module at most.
    """
    if EXECUTABLE is None:
        pytest.skip("there is no chromium on this machine")
    expect.set_options(timeout=LIMIT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=list(ARGUMENTS))
        yield browser
        browser.close()
