"""`make docs`: make the pictures in the docs anew, from the demo, a real Airflow and a local Saagie."""

from __future__ import annotations

import re
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
from tests.browser import airflow_pages as pages
from tests.browser.chromium import EXECUTABLE, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

    from scripts.stack import Stack

PICTURES = ROOT / "docs" / "pictures"
DAG = "saagie_quickstart"
WIDTH = 1280  # pixels
LARGEST = 300_000  # bytes of a picture
UNFOLDING = 800  # milliseconds that a section of a form takes to unfold
# Where they are free, these ports keep the addresses in the pictures the same from one time to the next.
AIRFLOW_PORT, SAAGIE_PORT = 28080, 28000
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
        page.wait_for_timeout(UNFOLDING)
        keep("connection_more", page, form)


def show_run(browser: Browser, stack: Stack) -> None:
    """Show a run of the first example: its grid, the log of its task `run`, and the instance's page in Saagie."""
    stack.airflow.wait_for_dag(DAG)
    with logged_in(browser, stack, height=640) as page:
        run_id = pages.trigger(page, stack.settings.url, DAG)
        if (state := stack.airflow.wait_for_run(DAG, run_id)) != "success":
            raise PictureError(f"The run of {DAG} ended as {state}.")
        pages.open_task(page, stack.settings.url, DAG, run_id, "run")
        page.get_by_text("[job] Done.").wait_for()
        keep("dag", page)
        keep("emulator", pages.follow_link(page, "Open in Saagie"))


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
            Path(folder),
            ROOT / "example_dags",
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
                show_run(browser, stack)
        finally:
            stacks.stop_undisturbed(stack)
    return 0


if __name__ == "__main__":
    sys.exit(main())
