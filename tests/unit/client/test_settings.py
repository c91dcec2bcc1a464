"""A connection's fields become settings, or an error that names the field."""

from __future__ import annotations

from typing import Any

from airflow_provider_saagie.client.settings import Settings, read_settings, user_agent
from airflow_provider_saagie.exceptions import SaagieValidationError
from tests.support.errors import error_message


def read(host: str | None = "https://acme-workspace.prod.saagie.io", **given: Any) -> Settings:
    extra = {"platform_id": "6", **given.pop("extra", {})}
    return read_settings(**{"host": host, "login": "me", "password": "s3cret", **given}, extra=extra)


def test_browser_address_fills_realm_and_platform() -> None:
    address = "https://acme-workspace.prod.saagie.io/projects/platform/7/project/860b8dc8/job/f5fce22d"
    for extra, expected in (
        ({"platform_id": ""}, ("acme", 7)),
        ({"platform_id": "9", "realm": " other "}, ("other", 9)),
    ):
        settings = read(address, extra=extra)
        assert (settings.realm, settings.platform_id) == expected
        assert settings.base_url == "https://acme-workspace.prod.saagie.io"


def test_base_url_is_host_and_port_without_the_page() -> None:
    for host, port, extra, base_url in (
        ("https://acme-x.saagie.io/", None, {}, "https://acme-x.saagie.io"),
        ("acme-x.saagie.io", None, {}, "https://acme-x.saagie.io"),
        ("acme-x.saagie.io", 8443, {}, "https://acme-x.saagie.io:8443"),
        ("https://acme-x.saagie.io:444", 8443, {}, "https://acme-x.saagie.io:444"),
        ("https://acme-x.saagie.io/projects/platform/3", 443, {}, "https://acme-x.saagie.io"),
        ("https://acme-x.corp/saagie/projects/platform/3", None, {}, "https://acme-x.corp/saagie"),
        ("  https://acme-x.saagie.io//  ", None, {}, "https://acme-x.saagie.io"),
        ("http://127.0.0.1:8000", None, {"realm": "local"}, "http://127.0.0.1:8000"),
        ("http://[::1]:8000", None, {"realm": "local"}, "http://[::1]:8000"),
        ("http://acme-x.io", None, {"allow_http": "true"}, "http://acme-x.io"),
    ):
        assert read(host, port=port, extra=extra).base_url == base_url, host


def test_missing_or_wrong_field_is_named() -> None:
    wrong_hosts = ("ftp://acme.io", "https://", "https://acme.io:port", "https://acme..io", f"https://{'a' * 64}.io")
    rows: list[tuple[dict[str, Any], str]] = [
        *(({"host": host}, "no host") for host in (None, "   ")),
        *(({"host": host}, "no URL") for host in (*wrong_hosts, "https://acme work.io")),
        ({"host": "http://acme-x.saagie.io"}, "allow_http"),
        *(({"host": host}, "`realm`") for host in ("http://127.0.0.1:8000", "http://localhost:8000")),
        *(({"extra": {"verify": path}}, path) for path in ("/no/such/bundle.pem", "~nobody-of-this-name")),
        ({"login": ""}, "login"),
        ({"password": None}, "password"),
    ]
    extras = {
        "platform_id": ("", "six", "-1", "9" * 5000),
        "realm": ("日本", "a\nb"),
        "proxy": ("http://", "http://me:pr0xy@proxy.io:port", "socks5://x"),
        "verify": ("maybe", "/no/such/bundle.pem", "~nobody-of-this-name/ca.pem"),
        "allow_http": ("perhaps",),
        "timeout": ("0", "inf", "soon"),
        "retries": ("2.5",),
    }
    rows += [({"extra": {name: value}}, name) for name, values in extras.items() for value in values]
    for change, named in rows:
        assert named in error_message(SaagieValidationError, read, **change), change


def test_credentials_in_the_host_are_refused_and_masked() -> None:
    for host in (
        "https://me:hunter2@acme.io",
        "ftp://me:hunter2@acme.io",
        "https://me:hun/ter2@acme.io",  # "hun" is at the place of a port
        "https://me@hun/ter2@acme.io",
        "http://me:12/hunter2@acme.io/",
        "me/hunter2@acme.io/projects/platform/6/",
    ):
        message = error_message(SaagieValidationError, read, host)
        assert message, host
        assert "ter2" not in message


def test_verify_is_read_from_form_and_json() -> None:
    for value, verify in ((True, True), ("true", True), ("False", False), (False, False), ("", True)):
        assert read(extra={"verify": value}).verify is verify, value


def test_repr_shows_no_secret() -> None:
    shown = repr(read(extra={"proxy": "http://me:pr0xy@proxy.io"}))
    assert [secret for secret in ("s3cret", "pr0xy") if secret in shown] == []


def test_user_agent_holds_only_header_characters() -> None:
    text = user_agent(dag="a", task="t\nX-Evil: 1", run="é;)", map_index=None)
    assert text.startswith("airflow-provider-saagie/")
    assert text.endswith("(dag=a; task=t?X-Evil: 1; run=???)")
