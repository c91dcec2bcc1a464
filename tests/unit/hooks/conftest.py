"""Connections of Airflow for the tests of the hook."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.hooks.saagie import SaagieHook

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.testing import Emulator


@pytest.fixture
def connect(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that sets the connection `saagie_test`, to the emulator but for what is given."""

    def set_connection(**changes: Any) -> SaagieHook:
        given: dict[str, Any] = {
            "conn_type": "saagie",
            "host": emulator.url,
            "login": emulator.login,
            "password": emulator.password,
        }
        extra = {"realm": emulator.realm, "platform_id": emulator.platform, **changes.pop("extra", {})}
        monkeypatch.setenv("AIRFLOW_CONN_SAAGIE_TEST", json.dumps({**given, "extra": extra, **changes}))
        return SaagieHook("saagie_test")

    return set_connection
