"""Names that tests import from here until they have moved to `tests/integration/airflow/conftest.py`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.airflow.conftest import airflow_db  # noqa: F401
from tests.support.dag_runs import RunDag, TaskResult  # noqa: F401
from tests.support.dag_runs import run_dag as run_quietly

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.testing import Emulator


def connection(emulator: Emulator, **changes: Any) -> str:
    return json.dumps({**json.loads(emulator.connection()), **changes})


@pytest.fixture
def run_dag(airflow_db: None, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> RunDag:  # noqa: F811
    monkeypatch.setenv("AIRFLOW_CONN_SAAGIE_DEFAULT", connection(emulator))
    return run_quietly
