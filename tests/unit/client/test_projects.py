"""Names are found to the letter, else in any case: Saagie lets no two jobs or projects differ by case alone."""

from __future__ import annotations

from airflow_provider_saagie.client import definitions, projects
from airflow_provider_saagie.exceptions import SaagieNotFound
from tests.support.clients import drive
from tests.support.errors import error_message

ID = "5f5fce22-2152-4a01-8c6a-4c2eb4808b6d"


def test_named_prefers_the_exact_name_to_another_case() -> None:
    rows = [{"id": "1", "name": "Straße"}, {"id": "2", "name": "a job"}, {"id": "3", "name": "A Job"}, {"id": "4"}]
    for name, found in (("a job", "2"), ("A Job", "3"), ("A JOB", "2"), ("STRASSE", "1"), ("none", None), ("a", None)):
        row = projects.named(rows, name)
        assert (row and row["id"]) == found, name


def test_null_list_of_jobs_is_a_missing_project() -> None:
    for steps in (definitions.list_for_project_minimal(ID), definitions.list_for_project(ID, None, None, False)):
        assert "no project" in error_message(SaagieNotFound, drive, steps, lambda _: {"jobs": None})
