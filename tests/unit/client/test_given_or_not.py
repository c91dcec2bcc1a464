"""What is not given stays as the platform has it; what can be known without the platform is checked first."""

from __future__ import annotations

import uuid
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client import definitions, deployment, projects
from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.exceptions import SaagieNotFound, SaagieProtocolError, SaagieValidationError

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_saagie.client.settings import Settings
    from airflow_provider_saagie.emulator.testing import Emulator
    from tests.unit.client.conftest import Run

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def job_id(run: Run, script: Path) -> str:
    change = JobChange(
        job_name=f"job {uuid.uuid4()}",
        file=str(script),
        description="what it does",
        technology="spark",
        runtime_version="3.5",
        command_line="spark-submit {file}",
        extra_technology="Python",
        extra_technology_version="3.10",
        cron_scheduling="0 0 1 1 *",
        schedule_timezone="Europe/Paris",
        resources={"cpu": {"request": 0.5, "limit": 1.0}},
        emails=["a@acme.io"],
        status_list=["KILLED"],
        docker_info={"image": "acme/spark:1"},
    )
    project_id = run(projects.get_project_id("Demo"))
    return run(deployment.create(project_id, change))["data"]["createJob"]["id"]


def version(run: Run, job_id: str) -> dict[str, Any]:
    return run(definitions.get_info(job_id, 1, 1, True))["job"]["versions"][0]


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({}, "commandLine", "spark-submit {file}"),
        ({"command_line": ""}, "commandLine", "spark-submit {file}"),
        ({"docker_info": {}}, "dockerInfo", {"image": "acme/spark:1", "dockerCredentialsId": None}),
        ({"docker_info": {"image": "b"}}, "dockerInfo", {"image": "b", "dockerCredentialsId": None}),
        ({"extra_technology": ""}, "extraTechnology", {"language": "Python", "version": "3.10"}),
        (
            {"extra_technology": "Python", "extra_technology_version": "3.11"},
            "extraTechnology",
            {"language": "Python", "version": "3.11"},
        ),
        ({"use_previous_artifact": False}, "packageInfo", None),
    ],
    ids=str,
)
def test_a_new_version_keeps_what_is_not_given(
    run: Run, job_id: str, change: dict[str, Any], field: str, value: Any
) -> None:
    run(deployment.upgrade(job_id, JobChange(**change)))
    assert version(run, job_id)[field] == value


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {}),
        ({"schedule_timezone": "Asia/Tokyo"}, {}),  # it counts only with a schedule
        ({"is_scheduled": True, "schedule_timezone": "Asia/Tokyo"}, {}),
        ({"is_scheduled": False}, {"isScheduled": False}),
        ({"cron_scheduling": "5 5 1 1 *"}, {"cronScheduling": "5 5 1 1 *", "scheduleTimezone": "UTC"}),
        ({"job_name": ""}, {}),
        ({"description": ""}, {"description": ""}),
        ({"resources": {}}, {}),
        ({"emails": []}, {"alerting": None}),
        ({"emails": ""}, {}),
        ({"status_list": ["FAILED"]}, {"alerting": {"emails": ["a@acme.io"], "statusList": ["FAILED"]}}),
    ],
    ids=str,
)
def test_an_edit_keeps_what_is_not_given(run: Run, job_id: str, change: dict[str, Any], expected: Any) -> None:
    before = run(deployment.edit(job_id, JobChange()))["editJob"]
    after = run(deployment.edit(job_id, JobChange(**change)))["editJob"]
    assert before["scheduleTimezone"] == "Europe/Paris"
    assert after == before | expected


@pytest.mark.parametrize(
    "call",
    [
        lambda jobs: jobs.upgrade(NOBODY, docker_info={"dockerCredentialsId": NOBODY}),
        lambda jobs: jobs.upgrade(NOBODY, extra_technology_version="3.11"),
        lambda jobs: jobs.upgrade(NOBODY, file="/no/such/file"),
        lambda jobs: jobs.create_or_upgrade("a", NOBODY, file="/no/such/file"),
    ],
)
def test_what_is_incomplete_or_not_there_is_refused_before_anything_is_sent(
    settings: Settings, emulator: Emulator, call: Any
) -> None:
    before = emulator.stats()["operations"]
    with SaagieClient(settings) as client, pytest.raises(SaagieValidationError):
        call(client.jobs)
    assert emulator.stats()["operations"] == before


def test_the_deprecated_count_warns_once_in_a_loop(settings: Settings, job_id: str) -> None:
    with SaagieClient(settings) as client, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        counted = [client.jobs.count_instances_by_status(job_id) for _ in range(3)]
        assert counted == [client.jobs.count_deletable_instances_by_status(job_id)] * 3
    (warning,) = caught
    assert warning.category is DeprecationWarning
    assert "use count_deletable_instances_by_status" in str(warning.message)


def test_an_artifact_that_is_gone_is_not_called_a_platform_that_is_missing(settings: Settings) -> None:
    with SaagieClient(settings) as client, pytest.raises(SaagieNotFound, match="has no such file any more"):
        list(client.session.download("/projects/api/platform/1/no/such/file.py"))


def test_an_artifact_that_is_elsewhere_is_not_followed(
    settings: Settings, emulator: Emulator, run: Run, job_id: str
) -> None:
    emulator.fault("redirect", "artifact", times=0, location="http://127.0.0.1:1/elsewhere")
    url = version(run, job_id)["packageInfo"]["downloadUrl"]
    with (
        SaagieClient(settings) as client,
        pytest.raises(SaagieProtocolError, match=r"redirects to http://127\.0\.0\.1:1/"),
    ):
        list(client.session.download(url))
