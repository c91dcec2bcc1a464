"""What happens in the same moment: an instance ends while somebody stops it, or deletes what it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.emulator.engine import Engine, Limits
from airflow_provider_saagie.emulator.resolvers.context import Context
from airflow_provider_saagie.emulator.settings import Settings
from airflow_provider_saagie.emulator.states import Status
from airflow_provider_saagie.emulator.store import instances, jobs, projects, versions
from airflow_provider_saagie.emulator.web.graphql import projects_api
from tests.integration.emulator.emulator.conftest import BASH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_saagie.emulator.store.database import Database
    from airflow_provider_saagie.emulator.store.records import Instance, Job

DELETE_PROJECT = "mutation d($id: UUID!) { deleteProject(projectId: $id) }"


@pytest.fixture
def job(database: Database) -> Job:
    project = projects.create_project(database, 1, "P", "me", technologies={"Processing": [BASH]})
    made = jobs.create_job(database, jobs.NewJob(project.id, "J", "Processing", BASH))
    versions.add_version(database, made.id, versions.NewVersion("me", command_line="true"))
    return made


@pytest.fixture
def context(database: Database) -> Iterator[Context]:
    engine = Engine(database, Limits())
    yield Context(database, engine, Settings(data=database.folder, password="p"), platform=1, login="me")
    engine.close()


def test_an_instance_that_ends_as_its_project_is_deleted_holds_nothing_up(
    database: Database, context: Context, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = instances.create_instance(database, job.id, "me")
    listed = instances.list_instances

    def listed_just_before_the_end(*args: Any) -> list[Instance]:
        found = listed(*args)
        instances.move(database, instance.id, Status.FAILED)
        return found

    monkeypatch.setattr(instances, "list_instances", listed_just_before_the_end)
    api = projects_api()
    answer = api.execute(
        api.prepare(DELETE_PROJECT), {"query": DELETE_PROJECT, "variables": {"id": job.project_id}}, context
    )
    assert answer == {"data": {"deleteProject": True}}
    assert projects.list_projects(database, 1) == []


def test_a_simulated_instance_whose_time_is_over_as_it_is_stopped_is_not_said_to_be_both(
    database: Database, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = instances.create_instance(database, job.id, "me", simulated_ms=60_000)
    moments = iter([instance.started_at + 59_999])
    monkeypatch.setattr(instances, "now_ms", lambda: next(moments, instance.started_at + 60_001))
    stopping = instances.ask_to_stop(database, instance.id, "me")
    assert (stopping.current.status, stopping.stop_author) == (Status.KILLING, "me")
