"""What a connection holds becomes settings, or an error that names the field."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_saagie.client.settings import Settings, read_settings, user_agent
from airflow_provider_saagie.exceptions import SaagieValidationError


def read(host: str | None = "https://acme-workspace.prod.saagie.io", **given: Any) -> Settings:
    extra = {"platform_id": "6", **given.pop("extra", {})}
    return read_settings(**{"host": host, "login": "me", "password": "s3cret", **given}, extra=extra)


def test_an_address_from_the_browser_fills_realm_and_platform() -> None:
    settings = read(
        "https://acme-workspace.prod.saagie.io/projects/platform/7/project/860b8dc8/job/f5fce22d",
        extra={"platform_id": ""},
    )
    assert (settings.base_url, settings.realm, settings.platform_id) == (
        "https://acme-workspace.prod.saagie.io",
        "acme",
        7,
    )


@pytest.mark.parametrize(
    ("host", "port", "base_url"),
    [
        ("https://acme-x.saagie.io/", None, "https://acme-x.saagie.io"),
        ("acme-x.saagie.io", None, "https://acme-x.saagie.io"),
        ("acme-x.saagie.io", 8443, "https://acme-x.saagie.io:8443"),
        ("https://acme-x.saagie.io:444", 8443, "https://acme-x.saagie.io:444"),
        ("https://acme-x.saagie.io/projects/platform/3", 443, "https://acme-x.saagie.io"),
        ("https://acme-x.corp/saagie/projects/platform/3", None, "https://acme-x.corp/saagie"),
        ("  https://acme-x.saagie.io//  ", None, "https://acme-x.saagie.io"),
    ],
)
def test_addresses_are_read(host: str, port: int | None, base_url: str) -> None:
    assert read(host, port=port).base_url == base_url


def test_what_the_form_says_wins_over_the_address() -> None:
    settings = read("https://acme-x.saagie.io/projects/platform/7/", extra={"platform_id": "9", "realm": "other"})
    assert (settings.platform_id, settings.realm) == (9, "other")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"host": None}, "no host"),
        ({"host": "   "}, "no host"),
        ({"host": "ftp://acme.io"}, "no URL"),
        ({"host": "https://"}, "no URL"),
        ({"host": "https://acme.io:port"}, "no URL"),
        ({"host": "https://acme..io"}, "no URL"),
        ({"host": f"https://{'a' * 64}.io"}, "no URL"),
        ({"host": "https://acme work.io"}, "no URL"),
        ({"host": "http://acme-x.saagie.io"}, "allow_http"),
        ({"host": "http://127.0.0.1:8000"}, "`realm`"),
        ({"host": "http://localhost:8000"}, "`realm`"),
        ({"login": ""}, "login"),
        ({"password": None}, "password"),
        ({"extra": {"platform_id": ""}}, "platform_id"),
        ({"extra": {"platform_id": "six"}}, "platform_id"),
        ({"extra": {"platform_id": "-1"}}, "platform_id"),
        ({"extra": {"platform_id": "9" * 5000}}, "platform_id"),
        ({"extra": {"realm": "日本"}}, "realm"),
        ({"extra": {"realm": "a\nb"}}, "realm"),
        ({"extra": {"verify": "~nobody-of-this-name/ca.pem"}}, "~nobody-of-this-name"),
        ({"extra": {"proxy": "http://"}}, "proxy"),
        ({"extra": {"proxy": "http://me:pr0xy@proxy.io:port"}}, "proxy"),
        ({"extra": {"verify": "maybe"}}, "verify"),
        ({"extra": {"verify": "/no/such/bundle.pem"}}, "/no/such/bundle.pem"),
        ({"extra": {"allow_http": "perhaps"}}, "allow_http"),
        ({"extra": {"proxy": "socks5://x"}}, "proxy"),
        ({"extra": {"timeout": "0"}}, "timeout"),
        ({"extra": {"timeout": "inf"}}, "timeout"),
        ({"extra": {"timeout": "soon"}}, "timeout"),
        ({"extra": {"retries": "2.5"}}, "retries"),
    ],
)
def test_a_field_that_is_missing_or_wrong_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(SaagieValidationError, match=named):
        read(**change)


def test_blanks_around_a_realm_are_no_part_of_it() -> None:
    assert read(extra={"realm": " acme "}).realm == "acme"


def test_credentials_in_the_address_are_refused_and_not_shown() -> None:
    for host in (
        "https://me:hunter2@acme.io",
        "ftp://me:hunter2@acme.io",
        "https://me:hun/ter2@acme.io",  # "hun" stands where a port would
        "https://me@hun/ter2@acme.io",
        "http://me:12/hunter2@acme.io/",
        "me/hunter2@acme.io/projects/platform/6/",
    ):
        with pytest.raises(SaagieValidationError) as caught:
            read(host)
        assert "ter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "verify"), [(True, True), ("true", True), ("False", False), (False, False), ("", True)]
)
def test_verify_is_read_from_the_form_and_from_json(value: object, verify: bool) -> None:
    assert read(extra={"verify": value}).verify is verify


def test_plain_http_is_for_this_machine_or_for_whoever_insists() -> None:
    assert read("http://127.0.0.1:8000", extra={"realm": "local"}).base_url == "http://127.0.0.1:8000"
    assert read("http://[::1]:8000", extra={"realm": "local"}).base_url == "http://[::1]:8000"
    assert read("http://acme-x.io", extra={"allow_http": "true"}).base_url == "http://acme-x.io"


def test_no_secret_is_shown() -> None:
    shown = repr(read(extra={"proxy": "http://me:pr0xy@proxy.io"}))
    assert "s3cret" not in shown
    assert "pr0xy" not in shown


def test_the_user_agent_names_who_asks_in_what_a_header_can_hold() -> None:
    text = user_agent(dag="a", task="t\nX-Evil: 1", run="é;)", map_index=None)
    assert text.startswith("airflow-provider-saagie/")
    assert text.endswith("(dag=a; task=t?X-Evil: 1; run=???)")
