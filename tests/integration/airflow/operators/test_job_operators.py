"""The operators that deploy, roll back and delete jobs, and stop and purge instances, with the emulator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_saagie import exceptions as errors
from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.client.versions import read_versions
from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.operators.saagie import (
    SaagieCreateOrUpgradeJobOperator,
    SaagieDeleteJobOperator,
    SaagiePurgeInstancesOperator,
    SaagieRollbackJobOperator,
    SaagieStopInstanceOperator,
)
from tests.support.executed_tasks import TaskRun, run_task
from tests.support.held_jobs import Hold
from tests.support.waiting import wait_until

MISSING = "f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"
NOTHING: dict[str, Any] = {"job_name": "nothing", "project_name": "Demo"}

pytestmark = pytest.mark.usefixtures("saagie_connection")


@pytest.fixture
def deploy(tmp_path: Path) -> Callable[..., TaskRun]:
    """A function that deploys the job `nightly` from the folder `jobs` next to the DAG's file."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "job.py").write_text("print(1)")
    required = {"job_name": "nightly", "project_name": "Demo", "file": "jobs/job.py", "runtime_version": "3.11"}
    return lambda **given: run_task(
        SaagieCreateOrUpgradeJobOperator(task_id="deploy", **{**required, **given}), dag_file=tmp_path / "dag.py"
    )


def roll_back(**given: Any) -> TaskRun:
    return run_task(SaagieRollbackJobOperator(task_id="back", **given))


def delete(**given: Any) -> TaskRun:
    return run_task(SaagieDeleteJobOperator(task_id="delete", **given))


def stop(**given: Any) -> TaskRun:
    return run_task(SaagieStopInstanceOperator(task_id="stop", **given))


def purge(**given: Any) -> TaskRun:
    return run_task(SaagiePurgeInstancesOperator(task_id="purge", **given))


@pytest.fixture
def three_versions(make_job: Any, client: SaagieClient) -> str:
    """A job with three versions, the third of which is the current one."""
    job_id: str = make_job("print(1)")
    for note in ("two", "three"):
        client.jobs.upgrade(job_id, release_note=note)
    return job_id


@pytest.fixture
def endless(make_job: Any, hold: Hold) -> str:
    """A job named `stream`, whose instances run until they are stopped."""
    return str(make_job(hold.code(), job_name="stream"))


@pytest.fixture
def start(endless: str, client: SaagieClient, emulator: Emulator) -> Callable[..., str]:
    """A function that starts an instance of the job, and sets its status."""

    def run(status: str = "") -> str:
        instance_id: str = client.jobs.run(endless)["runJob"]["id"]
        wait_until(lambda: statuses(emulator)[instance_id] == "RUNNING")
        if status:
            emulator.set_instance(instance_id, status)
        return instance_id

    return run


def read_file(client: SaagieClient, job_id: str) -> tuple[str, bytes]:
    """Return name and content of the current version's file."""
    version = client.jobs.get_info(job_id, versions_only_current=True)["job"]["versions"][0]["packageInfo"]
    assert version
    return version["name"], b"".join(client.session.download(version["downloadUrl"]))


def current(client: SaagieClient, job_id: str) -> int | None:
    return client.session.run(read_versions(job_id)).current


def job_ids(emulator: Emulator) -> list[str]:
    return [job.id for job in emulator.jobs().values()]


def statuses(emulator: Emulator) -> dict[str, str]:
    return {instance.id: instance.status for job in emulator.jobs().values() for instance in job.instances}


def stops(emulator: Emulator) -> int:
    return sum(request["operation"] == "stopJobInstance" for request in emulator.requests())


def test_deployed_job_has_settings_and_file(deploy: Any, client: SaagieClient, tmp_path: Path) -> None:
    run = deploy(description="a report", resources={"memory": {"limit": 2.0}})
    assert run.error is None
    assert run.xcoms == {"version": 1, "changed": True, "job_url": run.link, "_link_SaagieLink": run.link}
    assert run.link.endswith(f"/job/{run.result}")
    job = client.jobs.get_info(run.result)["job"]
    assert (job["description"], job["resources"]["memory"]["limit"]) == ("a report", 2.0)
    assert read_file(client, run.result) == ("job.py", b"print(1)")
    for version, path, file in ((2, "jobs/job.py", Path("jobs/job.py")), (3, "far.py", f"file://{tmp_path}/far.py")):
        (tmp_path / path).write_text(f"print({version})")
        changed = deploy(file=file)
        assert (changed.xcoms["version"], changed.xcoms["changed"]) == (version, True)
        assert read_file(client, run.result) == (Path(path).name, f"print({version})".encode())


def test_deploy_adds_version_for_each_change_only(deploy: Any, emulator: Emulator) -> None:
    settings: dict[str, Any] = {}
    deploy()
    for version, change in enumerate(
        [
            {"description": "new"},
            {"command_line": "python {file} --fast"},
            {"runtime_version": "3.12"},
            {"emails": ["a@acme.io"]},
            {"cron_scheduling": "0 1 * * *"},
            {"resources": {"cpu": {"limit": 1}}},
            {"source_url": "https://git.acme.io/1"},
        ],
        2,
    ):
        settings |= change
        run = deploy(**settings)
        assert (run.error, run.xcoms["version"], run.xcoms["changed"]) == (None, version, True), change
        before = emulator.requests()
        for same in (settings, {"runtime_version": settings.get("runtime_version", "3.11"), "release_note": "other"}):
            again = deploy(**same)
            assert (again.error, again.xcoms["version"], again.xcoms["changed"]) == (None, version, False), change
            assert again.result == run.result
        assert emulator.requests() == before
    assert deploy(**settings, skip_unchanged=False).xcoms["version"] == version + 1


def test_deploy_with_wrong_argument_changes_nothing(deploy: Any, emulator: Emulator) -> None:
    deploy()
    before = emulator.requests()
    assert "'Python'" in str(deploy(job_name="another", technology="cobol").error)
    for given, message in [
        ({"file": "jobs/missing.py"}, "jobs/missing.py"),
        ({"runtime_version": "1.5"}, "'3.11'"),
        ({"project_name": "Nowhere"}, "'Demo'"),
        ({"emails": "a@acme.io"}, "emails"),
        ({"description": "new", "cron_scheduling": "whenever"}, "whenever"),
    ]:
        for job_name in ("nightly", "another"):
            assert message in str(deploy(job_name=job_name, **given).error), (job_name, given)
    assert emulator.requests() == before


def test_rollback_makes_existing_version_current(three_versions: str, client: SaagieClient, emulator: Emulator) -> None:
    job_id = three_versions
    for given, before, version in [
        ({"version_number": 1}, 3, 1),
        ({"version_number": "3"}, 1, 3),
        ({"version_number": 3}, 3, 3),
        ({}, 3, 2),
    ]:
        run = roll_back(job_id=job_id, **given)
        assert (run.error, run.result, current(client, job_id)) == (None, version, version), given
        assert run.link.endswith(f"/job/{job_id}")
        links = {"job_url": run.link, "_link_SaagieLink": run.link}
        assert run.xcoms == {"previous_version": before, "changed": before != version, "job_id": job_id, **links}
    client.jobs.delete_versions(job_id, [3])
    assert roll_back(job_id=job_id).result == 1
    requests = emulator.requests()
    assert "no version before its current one (1)" in str(roll_back(job_id=job_id).error)
    assert "no version 9. It has: 2, 1" in str(roll_back(job_id=job_id, version_number=9).error)
    assert roll_back(job_id=job_id, version_number=1).result == 1, "it is current already"
    assert emulator.requests() == requests


def test_deleted_job_has_link_to_project(make_job: Any, emulator: Emulator) -> None:
    job_id, other = make_job("print(1)", job_name="old"), make_job("print(1)")
    run = delete(job_name="old", project_name="Demo")
    assert (run.error, run.result, run.xcoms["job_id"]) == (None, True, job_id)
    assert run.link.endswith(f"/project/{emulator.projects['Demo']}")
    assert job_ids(emulator) == [other]


def test_missing_object_is_an_error_unless_ignored(endless: str, emulator: Emulator) -> None:
    before = emulator.requests()
    for given, message in [({"job_id": MISSING}, "no job"), (NOTHING, "no job named")]:
        run = delete(**given, ignore_if_missing=True)
        assert (run.error, run.result) == (None, False), given
        for error in (delete(**given).error, stop(**given).error):
            assert type(error) is errors.SaagieNotFound
            assert message in str(error), given
    assert "no job instance" in str(stop(instance_id=MISSING).error)
    assert "'Demo'" in str(delete(job_name="nothing", project_name="Nowhere", ignore_if_missing=True).error)
    emulator.fault("status", "jobSummary", status=404)
    assert type(delete(job_id=endless, ignore_if_missing=True).error) is errors.SaagieNotFound, (
        "the platform is missing"
    )
    assert emulator.requests() == before


def test_delete_keeps_running_job_unless_it_may_stop_it(start: Any, endless: str, emulator: Emulator) -> None:
    start()
    kept = delete(job_id=endless)
    assert "1 of its instances are on their way" in str(kept.error)
    assert kept.link.endswith(f"/job/{endless}")
    assert job_ids(emulator) == [endless]
    assert delete(job_id=endless, stop_running=True).result is True
    assert job_ids(emulator) == []


def test_lost_answer_or_refusal_is_looked_up(
    three_versions: str, start: Any, make_job: Any, client: SaagieClient, emulator: Emulator
) -> None:
    """`drop` has done what the request asks for, `garbage` has not."""
    for fault, version in (("drop", 2), ("garbage", 1)):
        instance_id, deleted = start(), make_job("print(1)")
        for operation in ("rollbackJobVersion", "stopJobInstance", "deleteJob"):
            emulator.fault(fault, operation)
        assert roll_back(job_id=three_versions).result == current(client, three_versions) == version, fault
        assert stop(instance_id=instance_id).result == {instance_id: "KILLED"}, fault
        assert delete(job_id=deleted).result is True, fault
        assert deleted not in job_ids(emulator), fault
    instance_id, kept = start(), make_job("print(1)")
    for operation in ("stopJobInstance", "deleteJob"):
        emulator.fault("error", operation, times=0, message="Not today")
    run = stop(instance_id=instance_id)
    assert "Not today" in str(run.error)
    assert run.link.endswith(instance_id)
    assert "Not today" in str(delete(job_id=kept).error)
    assert kept in job_ids(emulator)


def test_retry_changes_only_job_that_it_names(
    three_versions: str, make_job: Any, client: SaagieClient, emulator: Emulator
) -> None:
    back = SaagieRollbackJobOperator(task_id="back", job_id=three_versions)
    emulator.fault("error", "rollbackJobVersion", message="Not today")
    run = TaskRun(back).execute()
    assert "Not today" in str(run.error)
    back.job_id = make_job("print(1)")  # the DAG was edited between two tries
    client.jobs.upgrade(back.job_id, release_note="two")
    assert run.execute().result == 1
    assert (current(client, three_versions), current(client, back.job_id)) == (3, 1)

    task = SaagieDeleteJobOperator(task_id="delete", job_name="old", project_name="Demo")
    job_id = make_job("print(1)", job_name="old")
    emulator.fault("drop", "deleteJob")
    emulator.fault("status", "jobSummary", occurrence=2, status=400)
    run = TaskRun(task).execute()
    assert run.error is not None
    other = make_job("print(2)", job_name="old")
    run.execute()
    assert (run.error, run.result, run.xcoms["job_id"]) == (None, True, job_id)
    run = TaskRun(task)
    emulator.fault("error", "deleteJob", message="Not today")
    assert "Not today" in str(run.execute().error)
    task.job_id, task.job_name, task.project_name = back.job_id, None, None  # the DAG was edited
    assert run.execute().xcoms["job_id"] == back.job_id
    assert job_ids(emulator) == [three_versions, other]


def test_stop_waits_for_end_of_one_or_all(start: Any, endless: str, emulator: Emulator) -> None:
    ended, one, *others = start("FAILED"), start(), start(), start()
    run = stop(instance_id=one)
    assert (run.error, run.result) == (None, {one: "KILLED"})
    assert run.link.endswith(f"/job/{endless}/instances/{one}")
    assert run.xcoms == {
        "instance_status": "KILLED",
        "instance_url": run.link,
        "job_id": endless,
        "job_url": run.link.removesuffix(f"/instances/{one}"),
        "_link_SaagieLink": run.link,
    }
    assert [statuses(emulator)[instance_id] for instance_id in (one, *others)] == ["KILLED", "RUNNING", "RUNNING"]
    run = stop(job_name="stream", project_name="Demo")
    assert (run.error, run.result) == (None, dict.fromkeys(others, "KILLED"))
    assert run.link == run.xcoms["job_url"]
    before = stops(emulator)
    assert stop(instance_id=ended).result == {ended: "FAILED"}
    assert stop(job_id=endless).result == {}
    assert stops(emulator) == before


def test_stop_without_wait_or_with_timeout(start: Any, emulator: Emulator) -> None:
    asked, killing = start(), start("KILLING")
    run = stop(instance_id=asked, wait_for_stop=False)
    assert (run.error, stops(emulator)) == (None, 1)
    assert run.result[asked] in ("KILLING", "KILLED")
    run = stop(instance_id=killing, stop_timeout=0.2)
    assert f"Asked to stop, but not ended after 0.2 s: {killing} is KILLING" in str(run.error)
    assert run.link == run.xcoms["instance_url"]
    assert stops(emulator) == 1, "it is being stopped already"


def test_purge_deletes_what_criteria_select(
    start: Any, endless: str, emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    old, older, running = start("SUCCEEDED"), start("SUCCEEDED"), start("RUNNING")
    newest = start("SUCCEEDED")
    dry = purge(job_id=endless, older_than=timedelta(0), dry_run=True)
    shown = "".join(capfd.readouterr())
    assert (dry.error, dry.result) == (None, 0)
    assert "Would delete 3 of 3" in shown
    assert all(instance_id in shown for instance_id in (old, older, newest))
    kept = purge(job_id=endless, selector="ALL", exclude=[i.upper() for i in (old, older, newest)], include=None)
    assert (kept.error, kept.result, len(statuses(emulator))) == (None, 0, 4)
    run = purge(job_id=endless, selector="SUCCEEDED", keep_last=1)
    assert (run.error, run.result, set(statuses(emulator))) == (None, 2, {running, newest})
    assert run.link.endswith(f"/job/{endless}")
    assert purge(job_id=endless, selector="ALL", include=[running]).result == 1
    assert statuses(emulator) == {running: "RUNNING"}, "unfinished instances are never deleted"
