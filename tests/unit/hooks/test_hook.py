"""SaagieHook: connections become clients, tests of connections name what is wrong, secrets stay where they are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.exceptions import SaagieValidationError
from airflow_provider_saagie.hooks.saagie import SaagieHook, read_settings_async

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.testing import Emulator


def test_the_hook_gives_the_jobs_api(connect: Any) -> None:
    hook = connect()
    project_id = hook.get_conn().get_project_id("Demo")
    assert "jobs" in hook.jobs.list_for_project_minimal(project_id)
    assert hook.get_conn() is hook.get_conn()
    hook.close()


def test_a_connection_may_be_a_uri(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    host, port = emulator.url.removeprefix("http://").split(":")
    monkeypatch.setenv(
        "AIRFLOW_CONN_SAAGIE_TEST",
        f"saagie://airflow:correct%20horse@http%3A%2F%2F{host}:{port}/?realm=local&platform_id=1&timeout=5",
    )
    good, message = SaagieHook("saagie_test").test_connection()
    assert good, message


def test_a_good_connection_says_where_it_got(connect: Any, emulator: Emulator) -> None:
    good, message = connect().test_connection()
    assert good
    assert f"Logged in to {emulator.url} as airflow in the realm local; platform 1" in message


def test_the_extra_must_be_an_object(connect: Any) -> None:
    hook = connect()
    with pytest.raises(SaagieValidationError, match="JSON object"):
        hook_settings(hook, extra="[1]")


def hook_settings(hook: SaagieHook, extra: str) -> None:
    from airflow_provider_saagie.hooks.saagie import settings_of

    connection = hook.get_connection(hook.saagie_conn_id)
    connection.extra = extra
    settings_of(connection)


def test_tls_that_is_not_verified_is_warned_of_once(connect: Any, capfd: pytest.CaptureFixture[str]) -> None:
    hook = connect(extra={"verify": "false"})
    for _ in range(3):
        assert hook.settings.verify is False
    assert "".join(capfd.readouterr()).count("does not verify TLS") == 1


def test_worker_and_triggerer_read_a_connection_alike(connect: Any) -> None:
    hook = connect(extra={"timeout": "7", "retries": 2, "verify": False, "proxy": "http://user:pr0xy@proxy.acme.io"})
    assert asyncio.run(read_settings_async("saagie_test")) == hook.settings


def test_password_and_token_are_masked_in_logs_and_absent_from_reprs(connect: Any) -> None:
    from airflow.sdk.log import redact

    hook = connect()
    hook.get_conn().get_platform()
    token = hook.get_conn().session._http.headers["Authorization"].removeprefix("Bearer ")
    assert redact(f"the token {token} and the password correct horse") == "the token *** and the password ***"
    for shown in (repr(hook.settings), repr(hook.get_conn()), repr(vars(hook))):
        assert token not in shown
        assert "correct horse" not in shown
    hook.close()
