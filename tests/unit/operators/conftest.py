"""Fixtures for operators and sensors that send nothing."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection `saagie_default` to an address where nothing listens: a request raises SaagieConnectionError."""
    given = {"conn_type": "saagie", "host": "http://127.0.0.1:1", "login": "airflow", "password": "correct horse"}
    extra = {"realm": "local", "platform_id": 1, "retries": 0}
    monkeypatch.setenv("AIRFLOW_CONN_SAAGIE_DEFAULT", json.dumps({**given, "extra": extra}))
