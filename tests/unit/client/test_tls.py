"""TLS with a throw-away authority, over both transports: what is refused says what to do, and hears no password."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from airflow_provider_saagie.client import projects
from airflow_provider_saagie.client.settings import read_settings
from airflow_provider_saagie.exceptions import SaagieConnectionError, SaagieError, SaagieValidationError
from tests.support.tls_server import Authority, handler

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_saagie.client.settings import Settings

Transport = Callable[..., list[Any]]
# All that requests, curl and OpenSSL would take a bundle from.
OF_THE_ENVIRONMENT = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.founded_in(tmp_path)


def settings_for(port: int, verify: object) -> Settings:
    extra = {"realm": "r", "platform_id": 1, "verify": verify, "retries": 0}
    return read_settings(host=f"https://localhost:{port}", login="me", password="pw", extra=extra)


def test_a_bundle_that_knows_the_authority_is_enough(transport: Transport, authority: Authority) -> None:
    with authority.serving() as port:
        assert transport(settings_for(port, str(authority.bundle)), projects.read_platform())[0]["id"] == 1


def test_an_authority_that_is_not_known_is_refused(transport: Transport, authority: Authority, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    for verify in (True, str(other)):
        with authority.serving() as port, pytest.raises(SaagieConnectionError, match="set the connection's `verify`"):
            transport(settings_for(port, verify), projects.read_platform())
    assert authority.heard == []


def test_a_certificate_for_another_name_is_refused(transport: Transport, authority: Authority) -> None:
    with (
        authority.serving("saagie.example.org") as port,
        pytest.raises(SaagieConnectionError, match=r"certificate was not accepted.*set the connection's host to"),
    ):
        transport(settings_for(port, str(authority.bundle)), projects.read_platform())
    assert authority.heard == []


@pytest.mark.parametrize(
    ("days", "said"), [(-1, r"has to be renewed; tell its administrator"), (400, "set this machine's clock")]
)
def test_a_certificate_out_of_its_time_is_refused(
    transport: Transport, authority: Authority, days: int, said: str
) -> None:
    with (
        authority.serving(not_after=datetime.now(UTC) + timedelta(days=days)) as port,
        pytest.raises(SaagieConnectionError, match=rf"certificate was not accepted.*{said}"),
    ):
        transport(settings_for(port, str(authority.bundle)), projects.read_platform())
    assert authority.heard == []


def test_verify_wins_over_the_environment(
    transport: Transport, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    with authority.serving() as port:
        for name in OF_THE_ENVIRONMENT:
            monkeypatch.setenv(name, str(authority.bundle))
        for verify in (True, str(other)):
            with pytest.raises(SaagieConnectionError, match="certificate was not accepted"):
                transport(settings_for(port, verify), projects.read_platform())
        assert authority.heard == []
        for name in OF_THE_ENVIRONMENT:
            monkeypatch.setenv(name, str(other))
        for verify in (str(authority.bundle), False):
            assert transport(settings_for(port, verify), projects.read_platform())[0]["id"] == 1


def test_a_host_that_does_not_speak_tls_is_not_told_about_certificates(transport: Transport) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler([]))
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # it hears a handshake
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        with pytest.raises(SaagieConnectionError, match="host and port speak https"):
            transport(settings_for(server.server_port, True), projects.read_platform())
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.parametrize("content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n", "\xff\xfe"])
def test_a_bundle_that_is_none_is_named_before_anything_is_sent(tmp_path: Path, content: str) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text(content)
    with pytest.raises(SaagieValidationError, match=r"`verify` names the CA bundle.*no PEM certificate.*every worker"):
        settings_for(1, str(bundle))


@pytest.mark.parametrize("change", ["junk", "gone"])
def test_a_bundle_that_is_spoilt_later_is_named_too(
    transport: Transport, authority: Authority, change: str, tmp_path: Path
) -> None:
    settings = settings_for(1, str(authority.bundle))
    authority.bundle.unlink()
    if change == "junk":
        authority.bundle.write_text("junk")
    with pytest.raises(SaagieValidationError, match="`verify` names the CA bundle"):
        transport(settings, projects.read_platform())


def test_a_bundle_that_was_renewed_is_read_anew(transport: Transport, authority: Authority, tmp_path: Path) -> None:
    renewed = trustme.CA()
    settings = settings_for(1, str(authority.bundle))
    with pytest.raises(SaagieError):
        transport(settings, projects.read_platform())
    renewed.cert_pem.write_to_path(str(authority.bundle))
    with Authority(renewed, authority.bundle).serving() as port:
        assert transport(settings_for(port, str(authority.bundle)), projects.read_platform())[0]["id"] == 1
