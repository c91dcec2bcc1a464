"""A job moves to another project, on this platform or another: it arrives whole, and is gone here."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client import definitions, deployment, instances, projects
from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.client.session import Session
from airflow_provider_saagie.exceptions import SaagieApiError, SaagieNotFound
from tests.unit.client.conftest import settings_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_saagie.emulator.testing import Emulator

FAR = 7
PROJECT = "mutation createProject($project: ProjectInput!) { createProject(project: $project) { id } }"
TECHNOLOGIES = "query repositories { repositories { technologies { __typename id } } }"


def ask(emulator: Emulator, url: str, query: str, **variables: Any) -> dict[str, Any]:
    request = urllib.request.Request(
        url,
        data=json.dumps({"query": query, "variables": variables}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {emulator.log_in()}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["data"]


def make_project(emulator: Emulator, platform: int, name: str) -> str:
    rows = ask(emulator, emulator.gateway_url, TECHNOLOGIES)["repositories"]
    ids = [{"id": one["id"]} for row in rows for one in row["technologies"] if one["__typename"] == "JobTechnology"]
    wish = {"name": name, "technologiesByCategory": [{"jobCategory": "Processing", "technologies": ids}]}
    url = f"{emulator.url}/projects/api/platform/{platform}/graphql"
    return ask(emulator, url, PROJECT, project=wish)["createProject"]["id"]


@pytest.fixture
def platforms(start_emulator: Callable[..., Emulator]) -> Emulator:
    """An emulator with two platforms."""
    return start_emulator("--platform", "1", "--platform", str(FAR))


def test_a_job_moves_within_a_platform_and_to_another(
    transport: Callable[..., Any], platforms: Emulator, script: Path
) -> None:
    here = settings_for(platforms)
    there = replace(here, platform_id=FAR)
    near, far = make_project(platforms, here.platform_id, "near"), make_project(platforms, FAR, "far")
    change = JobChange(
        job_name="moves", file=str(script), runtime_version="3.11", command_line="python {file}", release_note="first",
        description="goes places", resources={"memory": {"limit": 1.0}},
    )  # fmt: skip
    (demo,) = transport(here, projects.get_project_id("Demo"))
    (made,) = transport(here, deployment.create(demo, change))
    job_id = made["data"]["createJob"]["id"]
    transport(here, deployment.upgrade(job_id, JobChange(release_note="second")))
    (was,) = transport(here, definitions.get_info(job_id, None, None, False))

    (moved,) = transport(here, definitions.move_job(job_id, here.platform_id, near))
    (again,) = transport(here, definitions.move_job(moved["moveJob"], FAR, far))
    for gone in (job_id, moved["moveJob"]):
        with pytest.raises(SaagieNotFound):
            transport(here, definitions.get_info(gone, None, None, False))

    (now,) = transport(there, definitions.get_info(again["moveJob"], None, None, False))
    for field in ("name", "description", "category", "technology", "resources", "isScheduled"):
        assert now["job"][field] == was["job"][field], field
    for field in ("number", "runtimeVersion", "commandLine", "releaseNote", "isCurrent"):
        assert [one[field] for one in now["job"]["versions"]] == [one[field] for one in was["job"]["versions"]], field
    with Session(there) as session:
        for version in now["job"]["versions"]:
            assert b"".join(session.download(version["packageInfo"]["downloadUrl"])) == script.read_bytes()
    (started,) = transport(there, instances.run(again["moveJob"]))
    assert started["runJob"]["id"]


def test_a_job_that_can_t_move_stays_and_the_platform_says_why(
    transport: Callable[..., Any], platforms: Emulator, script: Path
) -> None:
    here = settings_for(platforms)
    (demo,) = transport(here, projects.get_project_id("Demo"))
    change = JobChange(job_name="stays", file=str(script), runtime_version="3.11", cron_scheduling="0 0 1 1 *")
    (made,) = transport(here, deployment.create(demo, change))
    job_id = made["data"]["createJob"]["id"]
    near = make_project(platforms, here.platform_id, "near")
    with pytest.raises(SaagieApiError, match="moveJob") as caught:  # it is scheduled
        transport(here, definitions.move_job(job_id, here.platform_id, near))
    assert caught.value.messages
    for target, platform in ((demo, here.platform_id), (near, 99)):
        transport(here, deployment.edit(job_id, JobChange(is_scheduled=False)))
        with pytest.raises(SaagieApiError, match="moveJob"):
            transport(here, definitions.move_job(job_id, platform, target))
    assert transport(here, definitions.get_info(job_id, None, None, False))[0]["job"]["name"] == "stays"
