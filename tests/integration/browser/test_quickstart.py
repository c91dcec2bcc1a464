"""The first example DAG, started, watched and read in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.integration.browser import airflow_pages as pages

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from scripts.stack import Stack

pytestmark = pytest.mark.slow

DAG = "saagie_quickstart"
TASKS = ("deploy", "run", "wait", "purge")
LINES = ["Hello from Saagie!", *(f"Working: step {step} of 3" for step in (1, 2, 3)), "Done."]


@pytest.fixture(scope="module")
def run_id(page: Page, stack: Stack) -> str:
    """A run that was started with the Trigger button and has ended well."""
    stack.airflow.wait_for_dag(DAG)
    run_id = pages.trigger(page, stack.settings.url, DAG)
    assert stack.airflow.wait_for_run(DAG, run_id) == "success"
    return run_id


def test_the_grid_is_green_and_the_log_has_the_jobs_lines_in_order(
    page: Page, stack: Stack, run_id: str, picture: Callable[[str], Path]
):
    pages.open_task(page, stack.settings.url, DAG, run_id, "run")
    page.screenshot(path=picture("run"))

    for red, green, blue in pages.grid_colours(page, run_id, TASKS).values():
        assert green > red + blue
    assert page.get_by_text("[job] ").all_inner_texts() == [f"[job] {line}" for line in LINES]
    assert not [line for line in stack.airflow.log(DAG, run_id, "run") if line.get("level") in ("warning", "error")]


def test_open_in_saagie_leads_to_the_instance_and_its_log(
    page: Page, stack: Stack, run_id: str, picture: Callable[[str], Path]
):
    pages.open_task(page, stack.settings.url, DAG, run_id, "run")
    opened = pages.follow_link(page, "Open in Saagie")
    opened.screenshot(path=picture("instance"))

    assert opened.url == stack.airflow.xcom(DAG, run_id, "run", "instance_url")
    expect(opened.get_by_role("heading", level=1)).to_contain_text("Airflow quickstart #")
    expect(opened.get_by_role("heading", level=1)).to_contain_text("SUCCEEDED")
    assert opened.get_by_role("log").locator("samp").all_inner_texts() == LINES
    opened.close()
