"""What people do on Airflow's pages, one function each."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page


def log_in(page: Page, url: str, login: str, password: str) -> None:
    page.goto(url)
    page.fill("input[name=username]", login)
    page.fill("input[name=password]", password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_test_id("nav-home-link").wait_for()


def open_connections(page: Page, url: str) -> None:
    """Open the list of connections; what an earlier press of a button had said is gone."""
    page.goto(f"{url}/connections")


def open_form(page: Page, url: str) -> Locator:
    """Open the form for a new connection and choose Saagie as its type."""
    open_connections(page, url)
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.get_by_role("combobox").click()
    page.keyboard.type("Saagie")
    page.get_by_role("option", name="Saagie", exact=True).click()
    form.locator("[name=host]").wait_for()
    return form


def open_section(form: Locator, name: str) -> None:
    """Unfold a section of the form; another one folds up."""
    section = form.get_by_role("button", name=name, exact=True)
    if section.get_attribute("aria-expanded") == "false":
        section.click()


def fill(form: Locator, section: str, values: dict[str, str]) -> None:
    """Fill fields by their names; those of the extra have a prefix."""
    open_section(form, section)
    for name, value in values.items():
        form.locator(f"[name={name}]").fill(value)


def around(form: Locator, name: str) -> Locator:
    """Find what belongs to a field: its label, itself, its help."""
    return form.get_by_role("group").filter(has=form.page.locator(f"[name={name}]"))


def save(form: Locator) -> None:
    form.get_by_role("button", name="Save").click()
    form.wait_for(state="hidden")


def press_test(page: Page, connection_id: str) -> str:
    """Press a connection's Test button; return what the message that appears says."""
    row = page.get_by_role("row").filter(has=page.get_by_text(connection_id, exact=True))
    row.get_by_role("button", name="Test Connection").click()
    page.mouse.move(0, 0)  # else the button's name lies over the next row's button
    message = page.locator("[data-scope=toast][data-part=root]").filter(has_text="Test Connection")
    message.first.wait_for()
    return message.first.inner_text()


def trigger(page: Page, url: str, dag_id: str) -> str:
    """Start a DAG with the buttons of its page, and return the run's id."""
    page.goto(f"{url}/dags/{dag_id}")
    page.get_by_test_id("trigger-dag-button").click()
    with page.expect_response(re.compile(r"/dags/[^/]+/dagRuns$")) as answer:
        page.get_by_test_id("trigger-dag-submit").click()
    run_id: str = answer.value.json()["dag_run_id"]
    return run_id


def open_task(page: Page, url: str, dag_id: str, run_id: str, task_id: str) -> None:
    """Open a task's log; the grid stands beside it."""
    page.goto(f"{url}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}")
    page.locator("[data-testid^=virtualized-item-]").first.wait_for()  # a failure's log is scrolled to its end


def grid_colours(page: Page, run_id: str, tasks: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """Return the colour (red, green, blue) of each task of a run in the grid."""
    colours = {}
    for task_id in tasks:
        colours[task_id] = tuple(
            int(part) for part in re.findall(r"\d+", colour(grid_state(page, run_id, task_id)))[:3]
        )
    return colours


def shown_state(page: Page, state: str) -> Locator:
    """Find the state that stands beside the task's name."""
    return page.get_by_test_id("state-badge").filter(has_text=re.compile(f"^{state}$"))


def grid_state(page: Page, run_id: str, task_id: str) -> Locator:
    """Find a task's state in the grid, which shows it by colour only."""
    return page.get_by_test_id(f"grid-{run_id}-{task_id}").get_by_test_id("task-state-badge")


def colour(badge: Locator) -> str:
    """Give a badge's colour, as the browser writes it."""
    return str(badge.evaluate("element => getComputedStyle(element).backgroundColor"))


def failure(page: Page, error: str) -> Locator:
    """Find a failure's message in the log: the head of an error's traceback, which folds up under it."""
    return page.get_by_test_id(f"summary-{error}")


def link_of(page: Page, name: str) -> str | None:
    """Say where a task's extra link leads; its Details are open then."""
    page.get_by_role("link", name="Details").click()
    return page.get_by_role("link", name=name).get_attribute("href")


def follow_link(page: Page, name: str) -> Page:
    """Press a task's extra link, which stands under Details; return the page that it opens."""
    page.get_by_role("link", name="Details").click()
    with page.expect_popup() as opened:
        page.get_by_role("link", name=name).click()
    opened.value.wait_for_load_state()
    return opened.value
