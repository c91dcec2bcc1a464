"""`make docs-pictures`: make the pictures in the docs anew, from the demo, a real Airflow and a local Saagie."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_saagie.connection_form import EXTRA_FIELDS
from scripts import processes
from scripts import stack as stacks
from scripts.airflow_settings import LOGIN, new_password
from scripts.processes import ROOT
from scripts.stack import Wishes
from tests.support import airflow_pages as pages
from tests.support.chromium import EXECUTABLE, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

    from scripts.stack import Stack

PICTURES = ROOT / "docs" / "pictures"
DAG, FAILING = "saagie_quickstart", "saagie_failure"
WIDTH = 1280  # pixels
LARGEST = 150_000  # bytes of a picture
MOVING = 800  # milliseconds that a section of a form takes to unfold, or a message to appear
FIRST_LINE = 60_000  # milliseconds that a job's first line may take
# Where they are free, these ports keep the addresses in the pictures the same from one time to the next.
AIRFLOW_PORT, SAAGIE_PORT = 28080, 28000
# The examples' jobs are over before one could look at the tasks that wait for them: here they take their time. The one
# that fails does so without a traceback, which would name this machine's folders.
FOR_PICTURES = {
    "hello.py": [("time.sleep(0.5)", "time.sleep(4)")],
    "fails.py": [
        ('print("Reading', '__import__("time").sleep(9)\nprint("Reading'),
        ("raise FileNotFoundError", "raise SystemExit"),
    ],
}
EXAMPLE_CONNECTION = {
    "host": "https://acme-workspace.prod.saagie.io/projects/platform/6/",
    "port": "443",
    "login": "airflow@acme.io",
    "password": "only an example",
}


class PictureError(Exception):
    """A picture would show what it must not, or is too large."""


def foreign() -> list[str]:
    """Return what no picture may show: this machine's name and its paths."""
    return [str(ROOT), str(Path.home()), sys.prefix, sys.base_prefix, tempfile.gettempdir() + "/", socket.gethostname()]


def check_text(text: str, name: str) -> None:
    """Make sure that a text which is about to be shown names nothing of this machine.

    :raises PictureError: it does.
    """
    if found := [word for word in foreign() if word in text]:
        raise PictureError(f"{name} would show {', '.join(found)}.")


def keep(name: str, page: Page, part: Locator | None = None) -> None:
    """Write a picture of a page.

    :param name: of the file, without its suffix.
    :param page: what to show.
    :param part: show only this part of it.
    :raises PictureError: it names this machine, or is too large.
    """
    check_text((part or page.locator("body")).inner_text(), name)
    path = PICTURES / f"{name}.png"
    (part or page).screenshot(path=path, animations="disabled", caret="hide")
    if path.stat().st_size > LARGEST:
        raise PictureError(f"{path.name} has {path.stat().st_size} bytes, more than {LARGEST}.")
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1000} kB")


def record_demo() -> None:
    """Run the demo and keep what it shows.

    :raises PictureError: it names this machine.
    """
    path = PICTURES / "demo.svg"
    subprocess.run([sys.executable, "-m", "scripts.demo", "--record", str(path)], cwd=ROOT, check=True)
    svg = path.read_text(encoding="utf-8")
    # Pages that show an SVG as a picture load no fonts for it; the size of each text is given, so that any font fits.
    svg = re.sub(r"\s*@font-face\s*{[^}]*}", "", svg)
    check_text(svg, path.name)
    path.write_text(svg, encoding="utf-8")
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1000} kB")


def show_connection(browser: Browser, stack: Stack) -> None:
    """Show both parts of the form, the first filled in as an example; nothing of it is saved."""
    with logged_in(browser, stack, height=1400) as page:
        form = pages.open_form(page, stack.settings.url)
        form.locator("[name=connection_id]").fill("saagie_default")
        pages.fill(form, "Standard Fields", EXAMPLE_CONNECTION)
        form.get_by_role("heading").first.click()  # nothing has the focus
        keep("connection", page, form)
        pages.open_section(form, "Extra Fields")
        form.get_by_text(EXTRA_FIELDS[-1].help).wait_for()
        page.wait_for_timeout(MOVING)
        keep("connection_more", page, form)


def show_tests(browser: Browser, stack: Stack) -> None:
    """Show what the Test button says of a good connection and of one with a wrong password."""
    wrong = stack.connection | {"connection_id": "saagie_wrong", "password": "wrong", "description": "A wrong password"}
    stack.airflow.put_connection(wrong)
    with logged_in(browser, stack, height=640) as page:
        pages.open_connections(page, stack.settings.url)
        pages.press_test(page, "saagie_default")
        pages.press_test(page, "saagie_wrong")
        page.get_by_text("Test Connection Failed").wait_for()
        page.wait_for_timeout(MOVING)
        keep("connection_tested", page)
    stack.airflow.call("DELETE", "connections/saagie_wrong")


def show_run(browser: Browser, stack: Stack) -> None:
    """Show a run of the first example while it waits and at its end, and the instance's page in Saagie."""
    stack.airflow.wait_for_dag(DAG)
    with logged_in(browser, stack, height=640) as page:
        run_id = pages.trigger(page, stack.settings.url, DAG)
        stack.airflow.wait_for_state(DAG, run_id, "run", "deferred")
        pages.open_task(page, stack.settings.url, DAG, run_id, "run")
        page.get_by_text("[job] Working: step 2 of 3").wait_for(timeout=FIRST_LINE)
        pages.shown_state(page, "Deferred").wait_for()
        keep("deferred", page)
        end_of(stack, DAG, run_id, "success")
        pages.open_task(page, stack.settings.url, DAG, run_id, "run")
        page.get_by_text("[job] Done.").wait_for()
        keep("dag", page)
        keep("emulator", pages.follow_link(page, "Open in Saagie"))


def show_failure(browser: Browser, stack: Stack) -> None:
    """Show the log of a task whose job has failed, its lines wrapped and the traceback folded up."""
    stack.airflow.wait_for_dag(FAILING)
    run_id = stack.airflow.trigger(FAILING)
    end_of(stack, FAILING, run_id, "failed")
    with logged_in(browser, stack, height=640) as page:
        pages.open_task(page, stack.settings.url, FAILING, run_id, "run_failing_job")
        message = pages.failure(page, "SaagieJobFailed")
        message.click(position={"x": 5, "y": 5})
        page.keyboard.press("w")
        message.evaluate("element => element.blur()")  # else it has a black frame
        page.wait_for_timeout(MOVING)
        message.scroll_into_view_if_needed()
        keep("failure", page)


def end_of(stack: Stack, dag_id: str, run_id: str, state: str) -> None:
    """Wait for a run's end, and see that it came to what the picture is about.

    :raises PictureError: it ended otherwise, or Airflow has tried a task twice.
    """
    ended = stack.airflow.wait_for_run(dag_id, run_id)
    if ended != state or any(task["try_number"] > 1 for task in stack.airflow.tasks(dag_id, run_id)):
        raise PictureError(f"The run of {dag_id} ended as {ended}, or not at the first try.")


def examples_for_pictures(folder: Path) -> Path:
    """Copy the examples, with jobs that leave the time to look at the tasks which wait for them.

    :raises PictureError: a job has changed, so that it can't be made slower that way.
    """
    dags = folder / "dags"
    shutil.copytree(ROOT / "example_dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    for name, changes in FOR_PICTURES.items():
        job = dags / "jobs" / name
        text = job.read_text(encoding="utf-8")
        for as_it_stands, instead in changes:
            if as_it_stands not in text:
                raise PictureError(f"{job.name} has no {as_it_stands!r} any more.")
            text = text.replace(as_it_stands, instead)
        job.write_text(text, encoding="utf-8")
    return dags


def logged_in(browser: Browser, stack: Stack, height: int) -> Page:
    """Open a page of Airflow; it closes at the end of a `with` block."""
    page = browser.new_page(viewport={"width": WIDTH, "height": height}, locale="en-GB", timezone_id="UTC")
    pages.log_in(page, stack.settings.url, LOGIN, stack.settings.password)
    return page


def main() -> int:
    """Make all pictures and return the exit code."""
    if EXECUTABLE is None:
        print("The pictures need chromium on the PATH.", file=sys.stderr)
        return 1
    PICTURES.mkdir(exist_ok=True)
    record_demo()
    with processes.signals_raise(), tempfile.TemporaryDirectory() as folder:
        wishes = Wishes(
            Path(folder) / "run",
            examples_for_pictures(Path(folder)),
            airflow_password=new_password(),
            saagie_password=new_password(),
            airflow_port=AIRFLOW_PORT,
            saagie_port=SAAGIE_PORT,
        )
        stack = stacks.start(wishes)
        try:
            stack.airflow.put_connection(stack.connection)
            with chromium() as browser:
                show_connection(browser, stack)
                show_tests(browser, stack)
                show_failure(browser, stack)  # a fresh triggerer takes seconds for its first task; the next is quick
                show_run(browser, stack)
        finally:
            stacks.stop_undisturbed(stack)
    return 0


if __name__ == "__main__":
    sys.exit(main())
