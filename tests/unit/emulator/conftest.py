"""Fixtures: the emulator's store alone, and its app in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_saagie.emulator.store import jobs, projects, versions
from airflow_provider_saagie.emulator.store.database import Database
from airflow_provider_saagie.emulator.store.records import Job
from tests.support.emulator_client import TECHNOLOGIES, Client, client_of_app


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """The store without an emulator."""
    opened = Database(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def job(database: Database) -> Job:
    """A job in the store, with one version and a schedule that is off."""
    bash = TECHNOLOGIES["bash"]
    project = projects.create_project(database, 1, "P", "me", technologies={"Processing": [bash]})
    made = jobs.create_job(
        database, jobs.NewJob(project.id, "J", "Processing", bash, cron="0 3 * * *", timezone="Europe/Paris")
    )
    versions.add_version(database, made.id, versions.NewVersion("me", command_line="true"))
    return made


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A client of an app that simulates: no process is started, instances last a day."""
    with client_of_app(tmp_path / "data", platforms=(1, 7), simulate_seconds=86_400, upload_limit=1 << 20) as made:
        yield made
