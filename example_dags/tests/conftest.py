"""Gives the tests an Airflow of their own, in a temporary folder: yours is neither read nor changed."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

DAGS = Path(__file__).resolve().parents[1]

HOME = tempfile.TemporaryDirectory(prefix="airflow-tests-")  # deleted at the end

# Before Airflow is first imported.
os.environ["AIRFLOW_HOME"] = HOME.name
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(DAGS)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
sys.path.insert(0, str(DAGS))


@pytest.fixture(scope="session", autouse=True)
def airflow_database() -> None:
    """Make the database that `dag.test()` writes to."""
    from airflow.utils.db import initdb

    initdb()
