"""The pages for people: they are there, show what is asked for, and escape everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

if TYPE_CHECKING:
    from tests.unit.emulator.conftest import Client

HOSTILE = "<script>alert('x')</script>\"&"


def get(client: Client, path: str) -> requests.Response:
    return requests.get(client.emulator.url + path, timeout=10)


def test_the_pages_lead_from_the_platform_to_the_log(client: Client) -> None:
    job = client.job("echo shown", technology="Bash")
    instance = client.wait(client.run(job))["id"]
    project = client.demo_project()
    name = client.data("query n($id: UUID!) { job(id: $id) { name } }", {"id": job})["job"]["name"]
    platform_path = "/projects/platform/1"
    project_path = f"{platform_path}/project/{project}"
    job_path = f"{project_path}/job/{job}"
    instance_path = f"{job_path}/instances/{instance}"
    assert f'href="{project_path}"' in get(client, "/").text
    assert f'href="{job_path}"' in get(client, project_path).text
    page = get(client, job_path).text
    assert name in page
    assert f'href="{instance_path}"' in page
    assert "echo shown" in page
    page = get(client, instance_path).text
    assert "SUCCEEDED" in page
    assert "<samp>shown</samp>" in page
    assert "data-live" not in page


def test_everything_is_escaped(client: Client) -> None:
    job = client.job(
        f"echo '{HOSTILE.replace(chr(39), '')}'; exit 1", technology="Bash", name=HOSTILE, description=HOSTILE
    )
    instance = client.wait(client.run(job))["id"]
    project = client.demo_project()
    for path in ("", f"/instances/{instance}"):
        text = get(client, f"/projects/platform/1/project/{project}/job/{job}{path}").text
        assert "<script>alert" not in text
        assert "&lt;script&gt;" in text
    assert "<script>alert" not in get(client, f"/projects/platform/1/project/{project}").text
    client.data("mutation d($id: UUID!) { deleteJob(jobId: $id) }", {"id": job})


@pytest.mark.parametrize(
    "path",
    ["/projects/platform/2", "/projects/platform/1/project/x", "/projects/platform/1/project/x/job/y",
     "/projects/platform/1/project/x/job/y/instances/<b>", "/emulator/static/../app.py",
     "/emulator/static/%2e%2e/app.py"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(client: Client, path: str) -> None:
    answer = get(client, path)
    assert answer.status_code == 404
    assert "<b>" not in answer.text


def test_the_pages_forbid_what_they_do_not_need(client: Client) -> None:
    policy = get(client, "/projects/platform/1").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
