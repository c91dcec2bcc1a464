"""Test the emulator's pages: they show what the store has, and escape it."""

import re
import uuid
from typing import NamedTuple

import pytest

from airflow_provider_saagie.emulator.faults import KINDS
from airflow_provider_saagie.emulator.store import instances, logs
from airflow_provider_saagie.emulator.web.figures import TEXTS
from tests.support.emulator_client import Client

HOSTILE = "<script>alert('x')</script>\"&"
PLATFORM = "/projects/platform/1"


class Pages(NamedTuple):
    """A project, a job with a hostile name and a finished instance, and the paths of their pages."""

    client: Client
    project: str
    job: str
    instance: str
    instance_id: str

    def text(self, path: str, status: int = 200) -> str:
        answer = self.client.http.get(path)
        assert answer.status_code == status, path
        return answer.text


@pytest.fixture
def pages(client: Client) -> Pages:
    job = client.job("echo shown", name=HOSTILE, description=HOSTILE)
    instance = client.run(job)
    written = [("STDOUT", str(number)) for number in range(1, 4)] + [("STDERR", HOSTILE), ("STDOUT", "0" * 12_000)]
    logs.append_lines(client.database, instance, 0, written)
    instances.set_outputs(client.database, instance, {"DB_PASSWORD": "hunter2", "ROWS": "7"})
    client.set_instance(instance, "SUCCEEDED")
    project = f"{PLATFORM}/project/{client.project()}"
    return Pages(client, project, f"{project}/job/{job}", f"{project}/job/{job}/instances/{instance}", instance)


def test_pages_link_and_escape_everything_and_allow_no_script(pages: Pages) -> None:
    for path, link in ((PLATFORM, pages.project), (pages.project, pages.job), (pages.job, pages.instance)):
        assert f'href="{link}"' in pages.text(path), path
        assert "<script>alert" not in pages.text(link), link
        assert "&lt;script&gt;" in pages.text(link), link
    assert pages.client.http.get("/").headers["Location"] == PLATFORM
    assert "echo shown" in pages.text(pages.job)
    policy = pages.client.http.get(PLATFORM).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_missing_things_are_not_found(pages: Pages) -> None:
    for path in (
        "/projects/platform/2",
        f"{PLATFORM}/project/x",
        f"{PLATFORM}/project/x/job/y",
        f"{PLATFORM}/project/x/job/y/instances/<b>",
        f"/emulator/instances/{uuid.uuid4()}/log",
    ):
        assert "<b>" not in pages.text(path, 404), path
    text = pages.text(f"{pages.job}/instances/{uuid.uuid4()}", 404)
    assert "This instance was deleted" in text
    assert f'href="{pages.job}"' in text
    assert "<script>alert" not in text
    other = f"{pages.project}/job/{pages.client.job()}"
    pages.text(f"{other}/instances/{pages.instance_id}", 404)


def test_long_lines_are_cut_on_the_page_and_whole_in_the_text(pages: Pages) -> None:
    text = pages.text(pages.instance)
    assert "0… (10,000 more characters)" in text
    assert "SUCCEEDED" in text
    assert "data-live" not in text
    answer = pages.client.http.get(f"/emulator/instances/{pages.instance_id}/log")
    assert answer.text.splitlines() == ["1", "2", "3", HOSTILE, "0" * 12_000]
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    text = pages.text(f"{pages.instance}?from=2")
    assert [number for number in range(1, 4) if f"<samp>{number}</samp>" in text] == [3]
    assert 'data-next="5"' in text
    for nonsense in ("x", "-1", "9" * 30, "²"):
        assert "<samp>1</samp>" in pages.text(f"{pages.instance}?from={nonsense}"), nonsense


def test_password_outputs_are_hidden(pages: Pages) -> None:
    text = pages.text(pages.instance)
    assert "hunter2" not in text
    shown = re.findall("<dt>(.*?)</dt><dd><code>(.*?)</code>", text.split("<h2>Outputs</h2>")[1])
    assert shown == [("DB_PASSWORD", "(a password)"), ("ROWS", "7")]
    assert pages.client.instance(pages.instance_id)["executionVariablesOutput"] == [
        {"key": "DB_PASSWORD", "value": None, "isPassword": True},
        {"key": "ROWS", "value": "7", "isPassword": False},
    ]


def test_job_page_shows_when_it_is_due(pages: Pages) -> None:
    for cron, due in (("0 0 30 2 *", "never due"), ("0 0 1 1 *", "next <time")):
        job = pages.client.job(isScheduled=True, cronScheduling=cron, scheduleTimezone="Asia/Tokyo")
        assert f"<code>{cron}</code> Asia/Tokyo, {due}" in pages.text(f"{pages.project}/job/{job}")


def test_fault_page_shows_faults_and_mutations(pages: Pages) -> None:
    pages.client.fault("status", "runJob", status=503, times=2, body=HOSTILE)
    text = pages.text("/emulator")
    assert "requests 1 to 2" in text
    assert "createJob" in text
    assert "<script>alert" not in text
    assert list(TEXTS) == list(KINDS)
