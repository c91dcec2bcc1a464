"""Airflow's pages in a browser: the connection form and its Test button, a task while it waits, at its end, failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from airflow_provider_saagie.connection_form import EXTRA_FIELDS, HIDDEN, PLACEHOLDERS, RELABELLED
from scripts import demo
from scripts import stack as stacks
from scripts.airflow_settings import LOGIN
from scripts.stack import Stack
from tests.support import airflow_pages as pages
from tests.support.chromium import LIMIT, chromium
from tests.support.held_jobs import Hold
from tests.system.stack.task_run import TaskRun

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

WRONG = "wr0ng-pass"
SWITCHED = "on"
# What a person may fill in, and how it is stored.
FILLED: dict[str, tuple[str, object]] = {
    "platform_id": ("6", 6),
    "realm": ("acme-realm", "acme-realm"),
    "verify": ("/etc/ssl/acme.pem", "/etc/ssl/acme.pem"),
    "allow_http": (SWITCHED, True),
    "proxy": ("http://proxy.acme.io:3128", "***"),  # Airflow takes every proxy's URL for a secret, as it may hold one
    "timeout": ("12.5", 12.5),
    "retries": ("2", 2),
}
FAILS = """print("18204 orders", flush=True)
while not pathlib.Path({second!r}).exists():
    time.sleep(0.02)
import sys
print("orders.csv: its last line is cut off", file=sys.stderr, flush=True)
sys.exit("No orders were loaded.")
"""
QUICKSTART_LINES = ["Hello from Saagie!", *(f"Working: step {step} of 3" for step in (1, 2, 3)), "Done."]


@pytest.fixture(scope="module")
def page(stack: Stack) -> Iterator[Page]:
    """A page that is logged in to Airflow."""
    with chromium() as browser, browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(LIMIT)
        page = context.new_page()
        pages.log_in(page, stack.settings.url, LOGIN, stack.settings.password)
        yield page


def fill_in(page: Page, stack: Stack, connection_id: str, password: str) -> str:
    """Store a connection to the stack's Saagie with the form, test it, and return the message."""
    form = pages.open_form(page, stack.settings.url)
    form.locator("[name=connection_id]").fill(connection_id)
    port = stack.saagie_url.rpartition(":")[2]
    standard = {"host": stack.saagie_url, "login": stacks.SAAGIE_LOGIN, "password": password, "port": port}
    pages.fill(form, "Standard Fields", standard)
    pages.fill(form, "Extra Fields", {"element_realm": stacks.REALM, "element_platform_id": stacks.PLATFORM})
    pages.save(form)
    return pages.press_test(page, connection_id)


def test_form_shows_fields_and_stores_them(page: Page, stack: Stack) -> None:
    form = pages.open_form(page, stack.settings.url)
    for name, label in RELABELLED.items():
        expect(form.get_by_text(label, exact=True)).to_be_visible()
        expect(form.locator(f"[name={name}]")).to_have_attribute("placeholder", PLACEHOLDERS[name])
    expect(form.locator("[name=password]")).to_have_attribute("type", "password")
    for name in HIDDEN:
        assert form.locator(f"[name={name}]").count() == 0, name

    form.locator("[name=connection_id]").fill("filled_in")
    pages.fill(form, "Standard Fields", {"host": "https://acme-workspace.prod.saagie.io"})
    pages.open_section(form, "Extra Fields")
    assert set(FILLED) == {field.name for field in EXTRA_FIELDS}
    for field in EXTRA_FIELDS:
        group = pages.around(form, f"element_{field.name}")
        control = form.locator(f"[name=element_{field.name}]")
        expect(group.get_by_text(field.label, exact=True)).to_be_visible()
        expect(group.get_by_text(field.help, exact=True)).to_be_visible()
        expect(control).to_have_accessible_description(field.help)
        typed, _ = FILLED[field.name]
        if typed is SWITCHED:
            group.locator("[data-part=control]").click()
        else:
            control.fill(typed)
    pages.save(form)
    stored = stack.airflow.connection("filled_in")
    assert stored
    assert json.loads(stored["extra"]) == {name: value for name, (_, value) in FILLED.items()}


def test_form_stores_connection_that_test_button_checks(page: Page, stack: Stack) -> None:
    message = fill_in(page, stack, "good", stack.wishes.saagie_password)
    assert f"Logged in to {stack.saagie_url} as {stacks.SAAGIE_LOGIN}" in message
    assert "platform 1" in message
    stored = stack.airflow.connection("good")
    assert stored
    assert (stored["conn_type"], stored["host"], stored["password"]) == ("saagie", stack.saagie_url, "***")
    extra = {name: value for name, value in json.loads(stored["extra"]).items() if value is not None}
    defaults = {"allow_http": False, "timeout": 30, "retries": 5}
    assert extra == defaults | {"platform_id": int(stacks.PLATFORM), "realm": stacks.REALM}

    message = fill_in(page, stack, "bad", WRONG)
    assert "Test Connection Failed" in message
    assert "check login, password and realm" in message
    assert stack.saagie_url in message
    assert WRONG not in page.content()


def test_quickstart_is_green_with_log_and_link(page: Page, stack: Stack) -> None:
    dag_id, url = demo.QUICKSTART, stack.settings.url
    stack.airflow.wait_for_dag(dag_id)
    run_id = pages.trigger(page, url, dag_id)
    assert stack.airflow.wait_for_run(dag_id, run_id, seconds=300) == "success"
    pages.open_task(page, url, dag_id, run_id, "run")
    for red, green, blue in pages.grid_colours(page, run_id, ("deploy", "run", "wait", "purge")).values():
        assert green > red + blue
    expect(page.get_by_text("[job] ")).to_have_text([f"[job] {line}" for line in QUICKSTART_LINES])
    assert not [line for line in stack.airflow.log(dag_id, run_id, "run") if line.get("level") in ("warning", "error")]

    opened = pages.follow_link(page, "Open in Saagie")
    assert opened.url == stack.airflow.xcom(dag_id, run_id, "run", "instance_url")
    expect(opened.get_by_role("heading", level=1)).to_contain_text("Airflow quickstart #")
    expect(opened.get_by_role("heading", level=1)).to_contain_text("SUCCEEDED")
    expect(opened.get_by_role("log").locator("samp")).to_have_text(QUICKSTART_LINES)
    opened.close()


def test_deferred_task_shows_lines_and_then_failure(
    page: Page, stack: Stack, begin: Callable[..., TaskRun], tmp_path: Path
) -> None:
    first, second = Hold(tmp_path / "first"), Hold(tmp_path / "second")
    run = begin("plain_deferred", first.code(FAILS.format(second=str(second.file))))
    run.settles()
    pages.open_task(page, stack.settings.url, run.dag_id, run.run_id, "run")
    expect(page.get_by_text("[job] started")).to_be_visible()
    expect(page.get_by_text("[job] 18204 orders")).to_have_count(0)
    first.release()
    expect(page.get_by_text("[job] 18204 orders")).to_be_visible()
    expect(pages.shown_state(page, "Deferred")).to_be_visible()
    assert pages.colour(pages.grid_state(page, run.run_id, "run")) == pages.colour(pages.shown_state(page, "Deferred"))

    opened = pages.follow_link(page, "Open in Saagie")
    expect(opened.get_by_role("heading", level=1)).to_contain_text("#1")
    expect(opened.get_by_role("heading", level=1)).to_contain_text("RUNNING")
    expect(opened.get_by_role("log").locator("samp").first).to_have_text("started")
    assert run.task["state"] == "deferred"
    opened.close()

    second.release()
    assert run.ends()["state"] == "failed"
    pages.open_task(page, stack.settings.url, run.dag_id, run.run_id, "run")
    message = pages.failure(page, "SaagieJobFailed")
    expect(message).to_be_visible()
    expect(pages.shown_state(page, "Failed")).to_be_visible()
    head, *others = message.inner_text().splitlines()
    assert head.startswith("SaagieJobFailed: Saagie's instance 1 ended as FAILED (GENERIC_ERROR: exit code 1), after ")
    assert head.endswith(" s.")
    assert others == [
        "Look at the job's log: it is the job itself that failed.",
        pages.link_of(page, "Open in Saagie"),
        "The last lines of its stderr:",
        "  orders.csv: its last line is cut off",
        "  No orders were loaded.",
    ]
