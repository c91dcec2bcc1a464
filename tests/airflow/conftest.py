"""Fixtures for tests that need a real Airflow: scheduler, dag-processor, triggerer, api-server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow.saagie_side import SaagieSide, connect
from tests.airflow_stack import shared_stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.airflow_api import AirflowApi
    from scripts.stack import Stack


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The shared stack; its DAGs are those of example_dags/ and tests/airflow/dags/."""
    return shared_stack(request.config, tmp_path_factory)


@pytest.fixture(scope="session")
def airflow(stack: Stack) -> AirflowApi:
    """The REST API of the shared stack's Airflow."""
    return stack.airflow


@pytest.fixture(scope="session")
def saagie(stack: Stack) -> Iterator[SaagieSide]:
    """What the tests see from the side of the shared stack's Saagie."""
    side = connect(stack)
    yield side
    side.client.close()
