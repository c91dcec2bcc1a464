"""TLS with a throw-away authority, over both transports: what is refused says what to do, and receives no password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from airflow_provider_saagie.client import instances, projects
from airflow_provider_saagie.exceptions import SaagieConnectionError, SaagieOutcomeUnknown, SaagieValidationError
from tests.support.raw_server import BROKEN_TLS, Authority, RawServer, raw_server
from tests.unit.client.conftest import Transport

# All variables that requests, curl and OpenSSL would take a bundle from.
ENVIRONMENT = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
ID = "5f5fce22-2152-4a01-8c6a-4c2eb4808b6d"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.founded_in(tmp_path)


@pytest.fixture
def tls_server(authority: Authority) -> Iterator[RawServer]:
    with raw_server(authority.certify()) as server:
        yield server


@contextmanager
def refused(server: RawServer, text: str) -> Iterator[None]:
    with pytest.raises(SaagieConnectionError, match=text):
        yield
    assert server.asked == {}


def test_verify_alone_decides_which_authority_is_trusted(
    transport: Transport, authority: Authority, tls_server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = str(tmp_path / "other.pem")
    trustme.CA().cert_pem.write_to_path(other)
    for name in ENVIRONMENT:
        monkeypatch.setenv(name, str(authority.bundle))
    for verify in (True, other):
        with refused(tls_server, "certificate was not accepted.*set the connection's `verify`"):
            transport(tls_server.settings(verify=verify), projects.read_platform())
    for name in ENVIRONMENT:
        monkeypatch.setenv(name, other)
    for verify in (str(authority.bundle), False):
        assert transport(tls_server.settings(verify=verify), projects.read_platform())[0]["id"] == 1


def test_unsuitable_certificate_is_refused_with_advice(
    transport: Transport, authority: Authority, server: RawServer
) -> None:
    now = datetime.now(UTC)
    for name, not_after, text in (
        ("saagie.example.org", None, "set the connection's host to"),
        ("localhost", now - timedelta(days=1), "has to be renewed; tell its administrator"),
        ("localhost", now + timedelta(days=400), "set this machine's clock"),
    ):
        with (
            raw_server(authority.certify(name, not_after)) as tls,
            refused(tls, f"certificate was not accepted.*{text}"),
        ):
            transport(tls.settings(verify=str(authority.bundle)), projects.read_platform())
    with refused(server, "host and port speak https"):
        transport(server.settings(host=f"https://127.0.0.1:{server.port}"), projects.read_platform())


def test_tls_broken_in_an_answer_is_an_unknown_outcome(
    transport: Transport, authority: Authority, tls_server: RawServer
) -> None:
    """The request was read, so a change may have happened, although requests raises its error for certificates."""
    tls_server.answers = [BROKEN_TLS]
    with pytest.raises(SaagieOutcomeUnknown, match="may have happened") as caught:
        transport(tls_server.settings(verify=str(authority.bundle)), instances.run(ID))
    assert "certificate" not in str(caught.value)
    assert tls_server.asked == {"login": 1, "runJob": 1}


def test_bundle_without_certificate_is_named_before_sending(server: RawServer, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    for content in ("", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n", "\xff\xfe"):
        bundle.write_text(content)
        with pytest.raises(SaagieValidationError, match=r"`verify` names the CA bundle.*no PEM certificate"):
            server.settings(verify=str(bundle))


def test_changed_bundle_is_read_again(transport: Transport, authority: Authority, tmp_path: Path) -> None:
    renewed = trustme.CA()
    with raw_server(Authority(renewed, authority.bundle).certify()) as server:
        connection = server.settings(verify=str(authority.bundle))
        with refused(server, "certificate was not accepted"):
            transport(connection, projects.read_platform())
        for spoil in (lambda: authority.bundle.write_text("junk"), authority.bundle.unlink):
            spoil()
            with pytest.raises(SaagieValidationError, match="`verify` names the CA bundle"):
                transport(connection, projects.read_platform())
        renewed.cert_pem.write_to_path(str(authority.bundle))
        assert transport(connection, projects.read_platform())[0]["id"] == 1
