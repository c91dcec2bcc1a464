"""A task that waits in the triggerer, and then fails: what Airflow's pages show of it meanwhile and afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.integration.browser import airflow_pages as pages
from tests.system.stack.saagie_side import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from scripts.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.long]

DAG, TASK = "watched", "run"
FIRST_LINE = 60_000  # milliseconds; a fresh triggerer's first call to Airflow takes long on a busy machine
# Airflow's executor may tell of the end of a deferred task's first half more than five seconds after the task's start.
# Where the task has resumed by then, the scheduler takes it for lost, and has it tried again.
HEARD_OF_AFTER = 8.0
JOB = """
import sys, time
from pathlib import Path

def wait_for(word):
    while not (Path({folder!r}) / word).exists():
        time.sleep(0.1)

print("Reading the orders of last night", flush=True)
wait_for("go on")
print("18204 orders", flush=True)
wait_for("fail")
print("orders.csv: its last line is cut off", file=sys.stderr, flush=True)
sys.exit("No orders were loaded.")
"""


@dataclass(frozen=True)
class Watched:
    """A run whose task waits for a job; the job waits to be told how to go on."""

    run_id: str
    folder: Path

    def tell(self, word: str) -> None:
        (self.folder / word).touch()


@pytest.fixture(scope="module")
def watched(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A run whose task waits in the triggerer."""
    folder = tmp_path_factory.mktemp("told")
    file = folder / "orders.py"
    file.write_text(JOB.format(folder=str(folder)))
    saagie = connect(stack)
    made = saagie.client.jobs.create(
        "Load the orders", saagie.client.get_project_id("Demo"), file=str(file), runtime_version="3.11",
        command_line="python {file}",
    )  # fmt: skip
    stack.airflow.wait_for_dag(DAG)
    run = Watched(stack.airflow.trigger(DAG, {"job_id": made["data"]["createJob"]["id"]}), folder)
    stack.airflow.wait_for_state(DAG, run.run_id, TASK, "deferred")
    yield run
    run.tell("go on")
    run.tell("fail")
    stack.airflow.wait_for_run(DAG, run.run_id)


@pytest.fixture(scope="module")
def failed(watched: Watched, stack: Stack) -> Watched:
    """The same run, after its job has failed while the task waited in the triggerer."""
    begun = stack.airflow.task(DAG, watched.run_id, TASK)["start_date"]
    waited = (datetime.now(UTC) - datetime.fromisoformat(begun)).total_seconds()
    time.sleep(max(0.0, HEARD_OF_AFTER - waited))
    watched.tell("go on")
    watched.tell("fail")
    assert stack.airflow.wait_for_run(DAG, watched.run_id) == "failed"
    return watched


def test_while_the_task_is_deferred_its_log_gets_the_jobs_lines_as_they_come(
    page: Page, stack: Stack, watched: Watched, picture: Callable[[str], Path]
):
    pages.open_task(page, stack.settings.url, DAG, watched.run_id, TASK)
    expect(page.get_by_text("[job] Reading the orders of last night")).to_be_visible(timeout=FIRST_LINE)
    expect(page.get_by_text("[job] 18204 orders")).to_have_count(0)
    watched.tell("go on")
    expect(page.get_by_text("[job] 18204 orders")).to_be_visible()
    page.screenshot(path=picture("deferred"))

    expect(pages.shown_state(page, "Deferred")).to_be_visible()
    in_grid = pages.grid_state(page, watched.run_id, TASK)
    assert pages.colour(in_grid) == pages.colour(pages.shown_state(page, "Deferred"))


def test_while_the_task_is_deferred_open_in_saagie_leads_to_the_instance_that_runs(
    page: Page, stack: Stack, watched: Watched, picture: Callable[[str], Path]
):
    pages.open_task(page, stack.settings.url, DAG, watched.run_id, TASK)
    opened = pages.follow_link(page, "Open in Saagie")
    page.screenshot(path=picture("deferred_details"))
    opened.screenshot(path=picture("instance_running"))

    expect(opened.get_by_role("heading", level=1)).to_contain_text("Load the orders #1")
    expect(opened.get_by_role("heading", level=1)).to_contain_text("RUNNING")
    assert opened.get_by_role("log").locator("samp").all_inner_texts()[0] == "Reading the orders of last night"
    assert stack.airflow.task(DAG, watched.run_id, TASK)["state"] == "deferred"
    opened.close()


def test_the_log_of_the_failed_task_says_what_happened_where_and_for_how_long(
    page: Page, stack: Stack, failed: Watched, picture: Callable[[str], Path]
):
    pages.open_task(page, stack.settings.url, DAG, failed.run_id, TASK)
    message = pages.failure(page, "SaagieJobFailed")
    expect(message).to_be_visible()
    page.screenshot(path=picture("failed"))

    expect(pages.shown_state(page, "Failed")).to_be_visible()
    first, *others = message.inner_text().splitlines()
    assert first.startswith("SaagieJobFailed: Saagie's instance 1 ended as FAILED (GENERIC_ERROR: exit code 1), after ")
    assert first.endswith(" s.")
    assert others == [
        "Look at the job's log: it is the job itself that failed.",
        pages.link_of(page, "Open in Saagie"),
        "The last lines of its stderr:",
        "  orders.csv: its last line is cut off",
        "  No orders were loaded.",
    ]
