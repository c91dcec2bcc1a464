"""One real Airflow with a local Saagie, shared by all tests of a run; a plugin of tests/conftest.py."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from scripts import stack as stacks
from scripts.airflow_api import AirflowApi
from scripts.processes import ROOT
from scripts.stack import Stack

PARALLELISM = 10  # tests wait in workers at the same time
# A test edits a DAG, which is to take effect at once.
OPTIONS = {"core": {"min_serialized_dag_update_interval": "0"}}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The shared stack; its DAGs are those of example_dags/ and tests/system/stack/dags/."""
    folder = tmp_path_factory.mktemp("stack")
    dags = folder / "dags"
    shutil.copytree(ROOT / "example_dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "system" / "stack" / "dags", dags, dirs_exist_ok=True)
    with stacks.temporary(folder / "run", dags, parallelism=PARALLELISM, more_options=OPTIONS) as running:
        yield running


@pytest.fixture(scope="session")
def airflow(stack: Stack) -> AirflowApi:
    """The REST API of the shared stack's Airflow."""
    return stack.airflow
