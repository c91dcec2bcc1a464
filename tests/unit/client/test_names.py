"""Names are found to the letter, else in any case: Saagie lets no two jobs or projects differ by case alone."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client import definitions, deployment, projects
from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.exceptions import SaagieNotFound
from tests.unit.client.test_broken_answers import drive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.client.conftest import Run

JOBS = [{"id": "1", "name": "Straße"}, {"id": "2", "name": "a job"}, {"id": "3", "name": "A Job"}, {"id": "4"}]


@pytest.mark.parametrize(
    ("name", "found"), [("a job", "2"), ("A Job", "3"), ("A JOB", "2"), ("STRASSE", "1"), ("none", None), ("a", None)]
)
def test_the_name_to_the_letter_is_taken_before_one_in_another_case(name: str, found: str | None) -> None:
    row = projects.named(JOBS, name)
    assert (row and row["id"]) == found


def test_a_job_in_another_case_is_upgraded_and_renamed_instead_of_refused(run: Run, script: Path) -> None:
    name, project_id = f"Job {uuid.uuid4()}", run(projects.get_project_id("DEMO"))
    change = {"file": str(script), "runtime_version": "3.11", "command_line": "python {file}"}
    made = run(deployment.create_or_upgrade(project_id, JobChange(job_name=name.lower(), **change)))
    answer = run(deployment.create_or_upgrade(project_id, JobChange(job_name=name, **change)))
    assert (answer["addJobVersion"]["number"], answer["editJob"]["name"]) == (2, name)
    assert run(definitions.get_id(name.upper(), "demo")) == made["data"]["createJob"]["id"]


@pytest.mark.parametrize(
    "steps",
    [
        lambda: definitions.list_for_project_minimal(str(uuid.UUID(int=1))),
        lambda: definitions.list_for_project(str(uuid.UUID(int=1)), None, None, False),
    ],
)
def test_a_list_that_is_null_is_a_project_that_is_not_there(steps: Any) -> None:
    with pytest.raises(SaagieNotFound, match="no project"):
        drive(steps(), lambda _: {"jobs": None})
