"""The form for a Saagie connection, as people see it, and its Test button."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from airflow_provider_saagie.connection_form import EXTRA_FIELDS, HIDDEN, PLACEHOLDERS, RELABELLED
from scripts import stack as stacks
from tests.browser import airflow_pages as pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from scripts.stack import Stack

pytestmark = pytest.mark.slow

WRONG = "wr0ng-pass"


@pytest.fixture
def form(page: Page, stack: Stack) -> Iterator[Locator]:
    form = pages.open_form(page, stack.settings.url)
    yield form
    if form.is_visible():
        form.get_by_role("button", name="Close").click()


@pytest.fixture
def connection_id(request: pytest.FixtureRequest, stack: Stack) -> Iterator[str]:
    """An id that is free, and is free again afterwards."""
    name = "made_by_hand"
    yield name
    if stack.airflow.connection(name):
        stack.airflow.call("DELETE", f"connections/{name}")


def fill(form: Locator, connection_id: str, stack: Stack, password: str) -> None:
    form.locator("[name=connection_id]").fill(connection_id)
    port = stack.saagie_url.rpartition(":")[2]
    standard = {"host": stack.saagie_url, "login": stacks.SAAGIE_LOGIN, "password": password, "port": port}
    pages.fill(form, "Standard Fields", standard)
    pages.fill(form, "Extra Fields", {"element_realm": stacks.REALM, "element_platform_id": stacks.PLATFORM})


def test_the_form_shows_our_fields_with_help_and_hides_the_password(
    form: Locator, page: Page, picture: Callable[[str], Path]
):
    page.screenshot(path=picture("form"))
    for name, label in RELABELLED.items():
        expect(form.get_by_text(label, exact=True)).to_be_visible()
        expect(form.locator(f"[name={name}]")).to_have_attribute("placeholder", PLACEHOLDERS[name])
    expect(form.locator("[name=password]")).to_have_attribute("type", "password")
    for name in HIDDEN:
        assert form.locator(f"[name={name}]").count() == 0

    pages.open_section(form, "Extra Fields")
    for field in EXTRA_FIELDS:
        expect(form.get_by_text(field.label, exact=True)).to_be_visible()
        expect(form.get_by_text(field.help, exact=True)).to_be_visible()
    page.screenshot(path=picture("form_extra"))


def test_a_connection_made_in_the_form_is_kept_and_passes_its_test(
    form: Locator, page: Page, stack: Stack, connection_id: str, picture: Callable[[str], Path]
):
    fill(form, connection_id, stack, stack.wishes.saagie_password)
    pages.save(form)

    kept = stack.airflow.connection(connection_id)
    assert kept
    assert (kept["conn_type"], kept["host"], kept["password"]) == ("saagie", stack.saagie_url, "***")
    extra = {name: value for name, value in json.loads(kept["extra"]).items() if value is not None}
    platform = int(stacks.PLATFORM)
    defaults = {"allow_http": False, "timeout": 30, "retries": 5}
    assert extra == defaults | {"platform_id": platform, "realm": stacks.REALM}

    said = pages.press_test(page, connection_id)
    page.screenshot(path=picture("test_good"))
    assert f"Logged in to {stack.saagie_url} as {stacks.SAAGIE_LOGIN}" in said
    assert "platform 1" in said


def test_a_wrong_password_is_named_and_not_shown(
    form: Locator, page: Page, stack: Stack, connection_id: str, picture: Callable[[str], Path]
):
    fill(form, connection_id, stack, WRONG)
    pages.save(form)

    said = pages.press_test(page, connection_id)
    page.screenshot(path=picture("test_bad"))
    assert "check login, password and realm" in said
    assert stack.saagie_url in said
    assert WRONG not in page.content()
