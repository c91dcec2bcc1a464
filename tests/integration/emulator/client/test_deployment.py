"""Making, changing and moving jobs on the emulator: what is not given stays as the platform has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_saagie.client import definitions, deployment
from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.exceptions import SaagieApiError, SaagieNotFound, SaagieValidationError
from tests.support.clients import client_for
from tests.support.errors import error_message

Run = Callable[..., Any]
Change = Callable[..., JobChange]
FAR = 7  # the number of another platform
SETTINGS: dict[str, Any] = {
    "description": "what it does", "technology": "spark", "runtime_version": "3.5", "release_note": "first",
    "command_line": "spark-submit {file}", "docker_info": {"image": "acme/spark:1"}, "extra_technology": "Python",
    "extra_technology_version": "3.10", "cron_scheduling": "0 0 1 1 *", "schedule_timezone": "Europe/Paris",
    "resources": {"cpu": {"request": 0.5, "limit": 2.5}, "memory": {"request": 1.0}}, "emails": ["a@acme.io"],
    "status_list": ["KILLED"],
}  # fmt: skip


def create(run: Run, project_id: str, change: JobChange) -> str:
    job_id: str = run(deployment.create(project_id, change))["data"]["createJob"]["id"]
    return job_id


def test_upgrade_keeps_what_is_not_given(run: Run, project_id: str, change: Change) -> None:
    def read_version() -> dict[str, Any]:
        version = run(definitions.get_info(job_id, 1, 1, True))["job"]["versions"][0]
        kept = ("runtimeVersion", "commandLine", "extraTechnology", "dockerInfo")
        return {**{name: version[name] for name in kept}, "file": (version["packageInfo"] or {}).get("name")}

    job_id = create(run, project_id, change(**SETTINGS))
    before = read_version()
    python = {"language": "Python", "version": "3.10"}
    docker = {"image": "acme/spark:1", "dockerCredentialsId": None}
    assert before == {
        "runtimeVersion": "3.5", "commandLine": "spark-submit {file}", "extraTechnology": python, "dockerInfo": docker,
        "file": "job.sh",
    }  # fmt: skip
    newer = {"extra_technology": "Python", "extra_technology_version": "3.11"}
    for given, expected in (
        *((kept, {}) for kept in ({"release_note": "two"}, {"command_line": ""}, {"docker_info": {}})),
        ({"extra_technology": ""}, {}),
        ({"docker_info": {"image": "b"}}, {"dockerInfo": docker | {"image": "b"}}),
        (newer, {"extraTechnology": python | {"version": "3.11"}}),
        ({"use_previous_artifact": False}, {"file": None}),
    ):
        run(deployment.upgrade(job_id, JobChange(**given)))
        before |= expected  # the next version starts from this one
        assert read_version() == before, given


def test_edit_keeps_what_is_not_given(run: Run, project_id: str, change: Change) -> None:
    def edit(**given: Any) -> dict[str, Any]:
        edited: dict[str, Any] = run(deployment.edit(job_id, JobChange(**given)))["editJob"]
        return edited

    job_id = create(run, project_id, change(**SETTINGS))
    before = edit()
    has = {
        "name": "a job", "description": "what it does", "isScheduled": True, "cronScheduling": "0 0 1 1 *",
        "scheduleTimezone": "Europe/Paris", "alerting": {"emails": ["a@acme.io"], "statusList": ["KILLED"]},
    }  # fmt: skip
    assert {name: before[name] for name in has} == has
    assert before["resources"]["cpu"] == SETTINGS["resources"]["cpu"]
    for given, expected in (
        *((kept, {}) for kept in ({}, {"job_name": ""}, {"resources": {}}, {"emails": ""})),
        ({"schedule_timezone": "Asia/Tokyo"}, {}),  # it counts only with a schedule
        ({"is_scheduled": True, "schedule_timezone": "Asia/Tokyo"}, {}),
        ({"status_list": ["FAILED"]}, {"alerting": {"emails": ["a@acme.io"], "statusList": ["FAILED"]}}),
        ({"description": "new"}, {"description": "new"}),
        ({"description": ""}, {"description": ""}),
        ({"cron_scheduling": "5 5 1 1 *"}, {"cronScheduling": "5 5 1 1 *", "scheduleTimezone": "UTC"}),
        ({"is_scheduled": False}, {"isScheduled": False}),
        ({"emails": []}, {"alerting": None}),
    ):
        before |= expected  # the next edit starts from this one
        assert edit(**given) == before, given


def test_create_or_upgrade_takes_a_job_in_another_case(run: Run, project_id: str, change: Change) -> None:
    created = run(deployment.create_or_upgrade(project_id, change("a job")))["data"]["createJob"]
    upgraded = run(deployment.create_or_upgrade(project_id, change("A Job")))
    assert created["versions"][0]["number"] == 1
    assert (upgraded["addJobVersion"]["number"], upgraded["editJob"]["name"]) == (2, "A Job")
    assert run(definitions.get_id("A JOB", "demo")) == created["id"]


def test_create_lists_what_the_catalogue_has(run: Run, emulator: Emulator, project_id: str, change: Change) -> None:
    for wrong, listed in (
        ({"technology": "cobol"}, "'Python'"),
        ({"technology_catalog": "Nowhere"}, "'Saagie'"),
        ({"technology": "python", "runtime_version": "2.7"}, "'3.11'"),
        ({"category": "Cooking"}, "'Processing'"),
    ):
        message = error_message(SaagieValidationError, run, deployment.create(project_id, change(**wrong)))
        assert listed in message, wrong
    assert emulator.requests() == []


def test_job_moves_within_a_platform_and_to_another(start_emulator: Callable[..., Emulator], script: Path) -> None:
    emulator = start_emulator("--platform", str(FAR))
    emulator.begin(["Demo", "target"])
    demo, near, far = emulator.projects["Demo"], emulator.projects["target"], emulator.on(FAR).projects["target"]
    with client_for(emulator) as client, client_for(emulator.on(FAR)) as far_client:
        job_id = client.jobs.create(
            "moves", demo, str(script), "goes places", runtime_version="3.11", command_line="python {file}",
            release_note="first", resources={"memory": {"limit": 1.0}}, cron_scheduling="0 0 1 1 *",
        )["data"]["createJob"]["id"]  # fmt: skip
        client.jobs.upgrade(job_id, release_note="second")

        with pytest.raises(SaagieApiError, match="moveJob") as caught:  # it is scheduled
            client.jobs.move_job(job_id, emulator.platform, near)
        assert caught.value.messages
        client.jobs.edit(job_id, is_scheduled=False)
        for platform, project in ((emulator.platform, demo), (99, near)):
            with pytest.raises(SaagieApiError, match="moveJob"):
                client.jobs.move_job(job_id, platform, project)
        before: Any = client.jobs.get_info(job_id)["job"]
        moved = client.jobs.move_job(job_id, emulator.platform, near)["moveJob"]
        moved_again = client.jobs.move_job(moved, FAR, far)["moveJob"]
        for gone in (job_id, moved):
            with pytest.raises(SaagieNotFound):
                client.jobs.get_info(gone)
        after: Any = far_client.jobs.get_info(moved_again)["job"]
        for field in ("name", "description", "category", "technology", "resources", "isScheduled"):
            assert after[field] == before[field], field
        assert len(after["versions"]) == len(before["versions"]) == 2
        for version, moved_from in zip(after["versions"], before["versions"], strict=True):
            for field in ("number", "runtimeVersion", "commandLine", "releaseNote", "isCurrent"):
                assert version[field] == moved_from[field], field
            copy = b"".join(far_client.session.download(version["packageInfo"]["downloadUrl"]))
            assert copy == script.read_bytes()
        assert far_client.jobs.run(moved_again)["runJob"]["id"]
