"""The pages for people: they are there, show what is asked for, and escape everything."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

import pytest
import requests

from airflow_provider_saagie.emulator.faults import KINDS
from airflow_provider_saagie.emulator.web.figures import TEXTS

if TYPE_CHECKING:
    from tests.integration.emulator.emulator.conftest import Client

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


def test_a_deleted_instance_is_said_to_be_deleted(client: Client) -> None:
    job = client.job("true", technology="Bash", name=f"<b>{uuid.uuid4()}")
    job_path = f"/projects/platform/1/project/{client.demo_project()}/job/{job}"
    answer = get(client, f"{job_path}/instances/{uuid.uuid4()}")
    assert answer.status_code == 404
    assert "This instance was deleted" in answer.text
    assert f'href="{job_path}"' in answer.text
    assert "<b>" not in answer.text


def test_an_instance_is_not_shown_under_another_job(client: Client) -> None:
    instance = client.wait(client.run(client.job("true", technology="Bash")))["id"]
    other = client.job("true", technology="Bash")
    path = f"/projects/platform/1/project/{client.demo_project()}/job/{other}/instances/{instance}"
    assert get(client, path).status_code == 404


def test_the_whole_log_is_there_as_text(client: Client) -> None:
    instance = client.wait(client.run(client.job("echo '<b>'; echo two >&2", technology="Bash")))["id"]
    answer = get(client, f"/emulator/instances/{instance}/log")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert sorted(answer.text.splitlines()) == ["<b>", "two"]
    assert get(client, f"/emulator/instances/{uuid.uuid4()}/log").status_code == 404


def test_a_very_long_line_is_cut_on_the_page_and_whole_as_text(client: Client) -> None:
    job = client.job("printf '%012000d\\n' 7", technology="Bash")
    instance = client.wait(client.run(job))["id"]
    page = client.emulator.url + f"/projects/platform/1/project/{client.demo_project()}/job/{job}/instances/{instance}"
    assert "0… (10,000 more characters)" in client.session.get(page, timeout=10).text
    whole = client.session.get(f"{client.emulator.url}/emulator/instances/{instance}/log", timeout=10).text
    assert whole == "0" * 11_999 + "7\n"


@pytest.mark.parametrize(("cron", "said"), [("0 0 30 2 *", "never due"), ("0 0 1 1 *", "next <time")])
def test_a_schedule_says_when_it_is_due_next(client: Client, cron: str, said: str) -> None:
    job = client.job("true", technology="Bash", isScheduled=True, cronScheduling=cron, scheduleTimezone="Asia/Tokyo")
    page = f"{client.emulator.url}/projects/platform/1/project/{client.demo_project()}/job/{job}"
    shown = client.session.get(page, timeout=10).text
    assert f"<code>{cron}</code> Asia/Tokyo, {said}" in shown


def test_only_lines_from_a_number_on_are_sent_to_a_page_that_has_the_others(client: Client) -> None:
    job = client.job("seq 1 5", technology="Bash")
    instance = client.wait(client.run(job))["id"]
    path = f"/projects/platform/1/project/{client.demo_project()}/job/{job}/instances/{instance}"
    text = get(client, f"{path}?from=3").text
    assert [number for number in range(1, 6) if f"<samp>{number}</samp>" in text] == [4, 5]
    assert 'data-next="5"' in text
    for nonsense in ("x", "-1", "9" * 30, "²"):
        assert "<samp>1</samp>" in get(client, f"{path}?from={nonsense}").text


def test_a_password_among_the_outputs_is_not_shown(client: Client) -> None:
    job = client.job("printf 'DB_PASSWORD=hunter2\\nROWS=7\\n' > $SAAGIE_OUTPUT_VARS_PATH", technology="Bash")
    instance = client.wait(client.run(job))["id"]
    text = get(client, f"/projects/platform/1/project/{client.demo_project()}/job/{job}/instances/{instance}").text
    assert "hunter2" not in text
    assert re.findall("<dt>(.*?)</dt><dd><code>(.*?)</code>", text.split("<h2>Outputs</h2>")[1]) == [
        ("DB_PASSWORD", "(a password)"),
        ("ROWS", "7"),
    ]


def test_every_kind_of_fault_is_explained() -> None:
    assert list(TEXTS) == list(KINDS)


def test_the_page_of_faults_shows_them_and_the_mutations(client: Client) -> None:
    client.emulator.fault("status", "runJob", status=503, times=2, body=HOSTILE)
    job = client.job("true", technology="Bash", name=f"{HOSTILE} {uuid.uuid4()}")
    text = get(client, "/emulator").text
    assert "requests 1 to 2" in text
    assert "createJob" in text
    assert "<script>alert" not in text
    client.data("mutation d($id: UUID!) { deleteJob(jobId: $id) }", {"id": job})


def test_one_fault_is_switched_off_and_the_others_stay(client: Client) -> None:
    client.emulator.fault("drop", "runJob")
    client.emulator.fault("delay", "jobs", seconds=1)
    first, second = client.emulator.faults()
    client.emulator.control("DELETE", f"faults/{first['id']}")
    assert client.emulator.faults() == [second]
    answer = requests.delete(f"{client.emulator.url}/emulator/faults/{first['id']}", timeout=10)
    assert answer.status_code == 404


def test_an_outage_that_is_over_is_listed_as_spent(client: Client) -> None:
    client.emulator.fault("outage", seconds=0)
    client.emulator.fault("outage", seconds=60)
    assert [fault["spent"] for fault in client.emulator.faults()] == [True, False]


def test_who_looks_on_is_neither_struck_nor_counted(client: Client) -> None:
    before = client.emulator.stats()["total"], client.emulator.requests()
    client.emulator.fault("outage", seconds=60)
    client.session.headers["Saagie-Emulator-Observer"] = "1"
    client.job("true", technology="Bash")
    assert (client.emulator.stats()["total"], client.emulator.requests()) == before
