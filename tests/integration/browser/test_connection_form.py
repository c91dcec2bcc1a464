"""The form for a Saagie connection, as people see it, and its Test button."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from airflow_provider_saagie.connection_form import EXTRA_FIELDS, HIDDEN, PLACEHOLDERS, RELABELLED
from scripts import stack as stacks
from tests.integration.browser import airflow_pages as pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from scripts.stack import Stack

pytestmark = pytest.mark.slow

WRONG = "wr0ng-pass"
SWITCHED = "on"
# What a person may fill in, and how it is kept.
FILLED: dict[str, tuple[str, object]] = {
    "platform_id": ("6", 6),
    "realm": ("acme-realm", "acme-realm"),
    "verify": ("/etc/ssl/acme.pem", "/etc/ssl/acme.pem"),
    "allow_http": (SWITCHED, True),
    "proxy": ("http://proxy.acme.io:3128", "***"),  # Airflow takes every proxy's URL for a secret, as it may hold one
    "timeout": ("12.5", 12.5),
    "retries": ("2", 2),
}


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
        belongs_to_it = pages.around(form, f"element_{field.name}")
        expect(belongs_to_it.get_by_text(field.label, exact=True)).to_be_visible()
        expect(belongs_to_it.get_by_text(field.help, exact=True)).to_be_visible()
        expect(form.locator(f"[name=element_{field.name}]")).to_have_accessible_description(field.help)
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


def test_every_further_field_is_kept_as_it_was_filled_in(
    form: Locator, stack: Stack, connection_id: str, page: Page, picture: Callable[[str], Path]
):
    assert set(FILLED) == {field.name for field in EXTRA_FIELDS}
    form.locator("[name=connection_id]").fill(connection_id)
    pages.fill(form, "Standard Fields", {"host": "https://acme-workspace.prod.saagie.io"})
    pages.open_section(form, "Extra Fields")
    for name, (typed, _) in FILLED.items():
        if typed is SWITCHED:
            pages.around(form, f"element_{name}").locator("[data-part=control]").click()
        else:
            form.locator(f"[name=element_{name}]").fill(typed)
    page.screenshot(path=picture("form_filled"))
    pages.save(form)

    kept = stack.airflow.connection(connection_id)
    assert kept
    assert json.loads(kept["extra"]) == {name: value for name, (_, value) in FILLED.items()}


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


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "extra", "named"),
    [
        ({"host": "https://gone.invalid", "port": 443}, {}, "could not be asked: its name could not be resolved"),
        ({"host": "http://127.0.0.1:9", "port": 9}, {}, "http://127.0.0.1:9 could not be asked: the connection was"),
        ({}, {"proxy": "http://127.0.0.1:9"}, "could not be asked: the proxy refused or could not be reached"),
        (
            {},
            {"platform_id": 99},
            "has no platform 99, or 'airflow' may not see it: check the platform number (`platform_id`)",
        ),
        ({}, {"realm": "elsewhere"}, "refused the login of 'airflow' in the realm 'elsewhere' (HTTP 401): check login"),
    ],
    ids=["unknown_host", "closed_port", "proxy", "platform", "realm"],
)
def test_the_test_button_names_what_is_wrong(
    page: Page,
    stack: Stack,
    connection_id: str,
    picture: Callable[[str], Path],
    request: pytest.FixtureRequest,
    changes: dict[str, Any],
    extra: dict[str, Any],
    named: str,
):
    wrong = stack.connection | {"connection_id": connection_id} | changes
    wrong["extra"] = json.dumps(json.loads(wrong["extra"]) | extra)
    stack.airflow.put_connection(wrong)

    pages.open_connections(page, stack.settings.url)
    said = pages.press_test(page, connection_id)
    page.screenshot(path=picture(f"test_bad_{request.node.callspec.id}"))
    assert "Test Connection Failed" in said
    assert named in said
    assert stack.wishes.saagie_password not in page.content()
