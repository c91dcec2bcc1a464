"""Every operation of the client against the emulator, over both transports; missing objects and lost answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, get_type_hints

import pytest

from airflow_provider_saagie.client import (
    definitions,
    deployment,
    documents,
    instances,
    lineage,
    logs,
    projects,
    purge,
    running,
    shapes,
    versions,
)
from airflow_provider_saagie.client.async_session import AsyncSession
from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.client.session import Session
from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.exceptions import SaagieApiError, SaagieNotFound, SaagieOutcomeUnknown
from tests.support.clients import settings_for
from tests.support.errors import error_message
from tests.support.waiting import wait_until

MISSING = "00000000-0000-4000-8000-000000000000"
Run = Callable[..., Any]
Change = Callable[..., JobChange]


@pytest.fixture(params=["requests", "aiohttp"])
def either(request: pytest.FixtureRequest, run: Run, emulator: Emulator) -> Iterator[Run]:
    """A function that runs an operation over one of the two transports."""
    if request.param == "requests":
        yield run
        return
    session = AsyncSession(settings_for(emulator, extra={"retries": 0}))
    with closing(asyncio.Runner()) as runner:
        yield lambda steps: runner.run(session.run(steps))
        runner.run(session.close())


def wait_for_end(run: Run, instance_id: str) -> instances.JobInstance:
    wait_until(lambda: run(instances.read_instance(instance_id)).end_time)
    return run(instances.read_instance(instance_id))


def has_shape(row: dict[str, Any], shape: Any) -> bool:
    return set(row) == set(get_type_hints(shape))


def test_every_operation_is_served_over_each_transport(
    either: Run, emulator: Emulator, project_id: str, change: Change
) -> None:
    before = emulator.stats()["requests"]
    job_id = check_deployment(either, emulator, project_id, change)
    ids = check_instances(either, job_id)
    check_definitions(either, project_id, job_id)
    check_stop(either, project_id, change)
    check_purge(either, job_id, ids)
    check_versions(either, job_id)
    check_copy_and_deletion(either, emulator, job_id)
    sent = {name for name, count in emulator.stats()["requests"].items() if count > before.get(name, 0)}
    assert set(documents.operation_names()) <= sent


def check_deployment(run: Run, emulator: Emulator, project_id: str, change: Change) -> str:
    assert run(projects.read_platform())["id"] == emulator.platform
    assert run(projects.get_project_id("DEMO")) == project_id
    assert run(projects.get_project_technologies(project_id))["Processing"]
    given = change(release_note="first", description="what it does")
    created = run(deployment.create(project_id, given))["data"]["createJob"]
    assert created["versions"] == [{"number": 1, "__typename": "JobVersion"}]
    job_id: str = created["id"]
    upgraded = run(deployment.upgrade(job_id, JobChange(release_note="second")))
    assert upgraded == {"data": {"addJobVersion": {"number": 2, "__typename": "JobVersion"}}}
    edited = run(deployment.edit(job_id, JobChange()))["editJob"]
    assert has_shape(edited, get_type_hints(shapes.EditJobAnswer)["editJob"])
    return job_id


def check_instances(run: Run, job_id: str) -> list[str]:
    """Run the job three times; return the instances' ids, oldest first."""
    started = run(instances.run(job_id))["runJob"]
    assert has_shape(started, get_type_hints(shapes.RunJobAnswer)["runJob"])
    first = wait_for_end(run, started["id"])
    assert (first.status, first.number, first.run_by, first.job_id) == ("SUCCEEDED", 1, "airflow", job_id)
    lines = {(line.stream, line.text) for line in run(logs.read_log(first.id))}
    assert lines == {("STDERR", "err"), ("STDOUT", "out")}
    assert run(logs.count_log_lines(first.id, streams=["STDOUT"])) == 1
    assert [line.text for line in run(logs.read_last_lines(first.id, 1, streams=["STDERR"]))] == ["err"]
    later = []
    for _ in range(2):
        status, instance_id = run(running.run_with_callback(job_id, 0.05, 120))
        assert status == "SUCCEEDED"
        later.append(instance_id)
    assert {one.id for one in run(instances.list_newer(job_id, 1))} == set(later)
    assert [one.id for one in run(instances.list_instances(job_id, limit=2))] == later[::-1]
    described = run(lineage.describe_run(job_id, first.id))
    assert (described.project_name, described.version_number, described.instance_number) == ("Demo", 2, 1)
    assert described.status == "SUCCEEDED"
    shown = run(instances.get_instance(first.id))["jobInstance"]
    assert has_shape(shown, shapes.JobInstance)
    assert shown["status"] == shown["history"]["currentStatus"]["status"] == "SUCCEEDED"
    assert set(shown["version"]) == {"number", "releaseNote", "runtimeVersion", "commandLine", "isMajor", "isCurrent"}
    return [first.id, *later]


def check_definitions(run: Run, project_id: str, job_id: str) -> None:
    job = run(definitions.get_info(job_id, 1, 1, True))["job"]
    assert has_shape(job, shapes.Job)
    assert has_shape(job["versions"][0], shapes.JobVersion)
    assert (job["name"], job["description"], job["category"]) == ("a job", "what it does", "Processing")
    assert (job["countJobInstance"], len(job["instances"]), len(job["versions"])) == (3, 1, 1)
    assert job["versions"][0]["packageInfo"]["name"] == "job.sh"
    assert job["instances"][0]["status"] == "SUCCEEDED"
    assert "doesUseGPU" in job["instances"][0]["version"]
    assert run(definitions.get_info_by_alias(project_id, job["alias"], 1, 1, True)) == {"jobByAlias": job}
    (listed,) = run(definitions.list_for_project(project_id, 1, 1, True))["jobs"]
    assert has_shape(listed, shapes.JobOfProject)
    (name,) = run(definitions.list_for_project_minimal(project_id))["jobs"]
    assert has_shape(name, shapes.JobName)
    assert listed["id"] == name["id"] == run(definitions.get_id("A JOB", "demo")) == job_id
    assert run(definitions.find_by_name("a job", project_id)) == job_id
    assert run(definitions.find_by_name("no such job", project_id)) is None
    summary = run(definitions.read_summary(job_id))
    assert (summary.project_id, summary.project_name, summary.last_number) == (project_id, "Demo", 3)


def check_stop(run: Run, project_id: str, change: Change) -> None:
    created = run(deployment.create(project_id, change("endless", command_line="exec sleep infinity")))
    instance_id = run(instances.run(created["data"]["createJob"]["id"]))["runJob"]["id"]
    stopped = run(instances.stop(instance_id))["stopJobInstance"]
    assert {"id", "number", "status", "history", "startTime", "endTime", "jobId"} <= set(stopped)
    instance = wait_for_end(run, instance_id)
    assert (instance.status, instance.stopped_by) == ("KILLED", "airflow")


def check_purge(run: Run, job_id: str, ids: list[str]) -> None:
    oldest, middle, newest = ids
    counts = run(instances.count_by_selector(job_id))["countJobInstancesBySelector"]
    assert {row["selector"]: row["count"] for row in counts}["SUCCEEDED"] == 3
    assert run(instances.count_by_date(job_id, "2100-01-01T00:00:00+00:00")) == {"countJobInstancesByDate": 3}
    deleted = run(instances.delete_instances(job_id, [oldest]))
    assert deleted == {"deleteJobInstances": [{"id": oldest, "success": True}]}
    deleted = run(instances.delete_instances_by_selector(job_id, "SUCCEEDED", [middle, newest], [middle]))
    assert deleted == {"deleteJobInstancesBySelector": 1}
    deleted = run(instances.delete_instances_by_date(job_id, "2000-01-01T00:00:00Z", None, None))
    assert deleted == {"deleteJobInstancesByDate": 0}
    assert [one.id for one in run(purge.list_deletable(job_id))] == [newest]
    assert run(purge.delete_chosen(job_id, [newest])) == ([newest], [])


def check_versions(run: Run, job_id: str) -> None:
    run(deployment.upgrade(job_id, JobChange()))
    rolled = run(versions.rollback(job_id, "1"))["rollbackJobVersion"]
    assert rolled["id"] == job_id
    assert {row["number"]: row["isCurrent"] for row in rolled["versions"]} == {1: True, 2: False, 3: False}
    deleted = run(versions.delete_versions(job_id, ["2", 3]))
    assert deleted == {"deleteJobVersions": [{"number": number, "success": True} for number in (2, 3)]}


def check_copy_and_deletion(run: Run, emulator: Emulator, job_id: str) -> None:
    copy = run(definitions.duplicate(job_id))["duplicateJob"]
    assert set(copy) == {"id", "name"}
    assert copy["id"] != job_id
    with pytest.raises(SaagieApiError, match="moveJob"):
        run(definitions.move_job(job_id, emulator.platform, MISSING))
    with pytest.raises(SaagieApiError, match="editJobWithAiGeneratedDescription") as caught:  # there is no AI
        run(definitions.generate_description_by_ai(job_id))
    assert caught.value.messages
    assert run(definitions.delete(job_id)) == {"deleteJob": True}


def test_missing_object_is_named_with_the_host(run: Run, emulator: Emulator) -> None:
    for steps, named in (
        (definitions.get_info(MISSING, None, None, False), MISSING),
        (definitions.read_summary(MISSING), MISSING),
        (instances.get_instance(MISSING), MISSING),
        (instances.run(MISSING), MISSING),
        (instances.stop(MISSING), MISSING),
        (definitions.get_id("x", "No project"), "'Demo'"),
        (definitions.get_id("no such job", "Demo"), "no job named"),
        (definitions.get_info_by_alias(MISSING, "x", None, None, False), "'x'"),
        (deployment.upgrade(MISSING, JobChange()), MISSING),
        (deployment.create(MISSING, JobChange(job_name="a")), MISSING),
    ):
        message = error_message(SaagieNotFound, run, steps)
        assert named in message, steps
        assert emulator.url in message, steps
    assert {row["operation"] for row in emulator.requests()} == {"runJob", "stopJobInstance"}


def test_lost_answer_names_the_instances_of_the_job(
    run: Run, emulator: Emulator, project_id: str, change: Change
) -> None:
    job_id = run(deployment.create(project_id, change()))["data"]["createJob"]["id"]
    emulator.fault("status", "runJob", status=500)
    message = error_message(SaagieOutcomeUnknown, run, running.run(job_id))
    assert "HTTP 500" in message
    assert message.endswith("The job has no instance.")
    for number, fault in ((1, "drop"), (2, "cut")):
        emulator.fault(fault, "runJob")
        with pytest.raises(SaagieOutcomeUnknown) as caught:
            run(running.run(job_id))
        ids = [instance.id for instance in run(instances.list_instances(job_id, limit=5))]
        assert (len(ids), caught.value.operation) == (number, "runJob")
        _, _, listed = str(caught.value).partition("The job's newest instances: ")
        assert listed.startswith(f"number {number} ")
        assert ", started by airflow" in listed
        assert all(instance_id in listed for instance_id in ids)
    before = emulator.stats()["requests"]["runJob"]
    emulator.fault("status", "*", status=500, times=0, occurrence=2)  # after the login
    with Session(settings_for(emulator), sleep=lambda _: None) as session:
        message = error_message(SaagieOutcomeUnknown, session.run, running.run(job_id))
    assert "could not be read either" in message
    assert emulator.stats()["requests"]["runJob"] == before + 1
