"""Every call, over both transports, against the emulator."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import pytest

from airflow_provider_saagie.client import (
    definitions,
    deployment,
    instances,
    lineage,
    logs,
    projects,
    purge,
    running,
    shapes,
    versions,
)
from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.exceptions import (
    SaagieApiError,
    SaagieNotFound,
    SaagieValidationError,
    SaagieWaitTimeout,
)
from tests.unit.client.test_broken_answers import steps_of_the_client

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.testing import Emulator
    from tests.unit.client.conftest import Run

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def project_id(run: Run) -> str:
    return run(projects.get_project_id("Demo"))


def change(script: Path, **more: Any) -> JobChange:
    given = {"job_name": f"job {uuid.uuid4()}", "runtime_version": "3.11", "command_line": "python {file}"}
    return JobChange(**{**given, "file": str(script), **more})


def make(run: Run, project_id: str, script: Path, **more: Any) -> str:
    return run(deployment.create(project_id, change(script, **more)))["data"]["createJob"]["id"]


def ended(run: Run, instance_id: str) -> instances.JobInstance:
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        instance = run(instances.read_instance(instance_id))
        if instance.end_time:
            return instance
        time.sleep(0.1)
    raise AssertionError(f"still {instance}")


def run_to_the_end(run: Run, job_id: str) -> instances.JobInstance:
    return ended(run, run(instances.run(job_id))["runJob"]["id"])


def test_every_call_that_asks_something_is_made_here() -> None:
    """The two about the catalogue are made by whatever makes a job of a technology."""
    here = Path(__file__).read_text()
    asking = [name for name, source in steps_of_the_client().items() if "yield Call(" in source]
    assert len(asking) > 20
    assert [name for name in asking if f"run({name}(" not in here] == [
        "technologies.find_technology", "technologies.check_runtime",
    ]  # fmt: skip


def test_the_platform_is_read(run: Run, emulator: Emulator) -> None:
    assert run(projects.read_platform())["id"] == emulator.platform


def test_a_job_is_made_run_and_its_log_read(run: Run, project_id: str, script: Path) -> None:
    answer = run(deployment.create(project_id, change(script)))
    assert answer["data"]["createJob"]["versions"] == [{"number": 1, "__typename": "JobVersion"}]
    job_id = answer["data"]["createJob"]["id"]
    started = run(instances.run(job_id))
    assert set(started["runJob"]) == {"id", "status"}
    instance = ended(run, started["runJob"]["id"])
    assert (instance.status, instance.number, instance.run_by, instance.job_id) == ("SUCCEEDED", 1, "airflow", job_id)
    lines = run(logs.read_log(instance.id))
    assert sorted((line.stream, line.text) for line in lines) == [("STDERR", "err"), ("STDOUT", "out")]
    assert run(logs.count_log_lines(instance.id, streams=["STDOUT"])) == 1
    assert [line.text for line in run(logs.read_last_lines(instance.id, 1, streams=["STDERR"]))] == ["err"]


def test_a_run_is_described_and_listed_beside_newer_ones(run: Run, project_id: str, script: Path) -> None:
    job_id = make(run, project_id, script, release_note="first")
    first, second = (run_to_the_end(run, job_id) for _ in range(2))
    described = run(lineage.describe_run(job_id, first.id))
    assert (described.project_name, described.version_number, described.instance_number) == ("Demo", 1, 1)
    assert described.status == "SUCCEEDED"
    assert [one.id for one in run(instances.list_newer(job_id, 1))] == [second.id]


def test_the_technologies_of_a_project_are_read(run: Run, project_id: str) -> None:
    assert run(projects.get_project_technologies(project_id))["Processing"]


def test_an_instance_is_shown_as_the_reference_shows_it(run: Run, project_id: str, script: Path) -> None:
    instance = run_to_the_end(run, make(run, project_id, script))
    shown = run(instances.get_instance(instance.id))["jobInstance"]
    assert {"id", "number", "status", "history", "startTime", "endTime", "jobId", "version"} <= set(shown)
    assert shown["status"] == shown["history"]["currentStatus"]["status"] == "SUCCEEDED"
    assert set(shown["version"]) == {"number", "releaseNote", "runtimeVersion", "commandLine", "isMajor", "isCurrent"}


def test_a_job_is_shown_as_the_reference_shows_it(run: Run, project_id: str, script: Path) -> None:
    job_id = make(run, project_id, script, description="what it does")
    run_to_the_end(run, job_id)
    job = run(definitions.get_info(job_id, 1, 1, True))["job"]
    assert (job["description"], job["countJobInstance"], job["category"]) == ("what it does", 1, "Processing")
    assert job["versions"][0]["packageInfo"]["name"] == "job.py"
    assert job["instances"][0]["status"] == "SUCCEEDED"
    assert "doesUseGPU" in job["instances"][0]["version"]
    by_alias = run(definitions.get_info_by_alias(project_id, job["alias"], 1, 1, True))["jobByAlias"]
    assert by_alias == job
    listed = run(definitions.list_for_project(project_id, 1, 1, True))["jobs"]
    assert next(row for row in listed if row["id"] == job_id)["name"] == job["name"]
    summary = run(definitions.read_summary(job_id))
    assert (summary.project_id, summary.project_name, summary.last_number) == (project_id, "Demo", 1)


def test_answers_have_the_keys_that_the_shapes_promise(run: Run, project_id: str, script: Path) -> None:
    job_id = make(run, project_id, script)
    instance = run_to_the_end(run, job_id)
    job = run(definitions.get_info(job_id, 1, 1, True))["job"]
    listed = run(definitions.list_for_project(project_id, 1, 1, True))["jobs"][0]
    shown = run(instances.get_instance(instance.id))["jobInstance"]
    for answer, shape in (
        (job, shapes.Job),
        (job["versions"][0], shapes.JobVersion),
        (listed, shapes.JobOfProject),
        (shown, shapes.JobInstance),
        (run(definitions.list_for_project_minimal(project_id))["jobs"][0], shapes.JobName),
        (run(instances.run(job_id))["runJob"], get_type_hints(shapes.RunJobAnswer)["runJob"]),
        (run(deployment.edit(job_id, JobChange()))["editJob"], get_type_hints(shapes.EditJobAnswer)["editJob"]),
    ):
        assert set(answer) == set(get_type_hints(shape)), shape


def test_a_job_is_found_by_name(run: Run, project_id: str, script: Path) -> None:
    given = change(script)
    job_id = run(deployment.create(project_id, given))["data"]["createJob"]["id"]
    assert run(definitions.get_id(given.job_name, "Demo")) == job_id
    assert run(definitions.find_by_name(given.job_name, project_id)) == job_id
    assert run(definitions.find_by_name("no such job", project_id)) is None


def test_upgrading_keeps_what_is_not_given(run: Run, project_id: str, script: Path) -> None:
    job_id = make(run, project_id, script, runtime_version="3.12", command_line="python {file} a")
    answer = run(deployment.upgrade(job_id, JobChange(release_note="two")))
    assert answer == {"data": {"addJobVersion": {"number": 2, "__typename": "JobVersion"}}}
    version = run(definitions.get_info(job_id, 1, None, True))["job"]["versions"][0]
    assert (version["number"], version["runtimeVersion"], version["commandLine"], version["releaseNote"]) == (
        2,
        "3.12",
        "python {file} a",
        "two",
    )
    assert version["packageInfo"]["name"] == "job.py"


def test_editing_keeps_what_is_not_given(run: Run, project_id: str, script: Path) -> None:
    resources = {"cpu": {"request": 0.5, "limit": 2.5}, "memory": {"request": 1.0}}
    job_id = make(
        run,
        project_id,
        script,
        description="old",
        cron_scheduling="0 0 * * *",
        schedule_timezone="Europe/Paris",
        resources=resources,
        emails=["a@acme.io"],
        status_list=["KILLED"],
    )
    edited = run(deployment.edit(job_id, JobChange(description="new")))["editJob"]
    assert edited["description"] == "new"
    assert (edited["isScheduled"], edited["cronScheduling"], edited["scheduleTimezone"]) == (
        True,
        "0 0 * * *",
        "Europe/Paris",
    )
    assert edited["resources"]["cpu"] == {"request": 0.5, "limit": 2.5}
    assert edited["alerting"] == {"emails": ["a@acme.io"], "statusList": ["KILLED"]}
    off = run(deployment.edit(job_id, JobChange(is_scheduled=False, emails=[])))["editJob"]
    assert (off["isScheduled"], off["alerting"]) == (False, None)


def test_create_or_upgrade_creates_then_upgrades(run: Run, project_id: str, script: Path) -> None:
    given = change(script)
    created = run(deployment.create_or_upgrade(project_id, given))
    upgraded = run(deployment.create_or_upgrade(project_id, given))
    assert created["data"]["createJob"]["versions"][0]["number"] == 1
    assert upgraded["addJobVersion"]["number"] == 2
    assert upgraded["editJob"]["name"] == given.job_name


def test_settings_that_are_the_same_are_no_change(run: Run, project_id: str, script: Path) -> None:
    given = change(script, resources={"memory": {"limit": 1}}, emails=["a@acme.io"], description="d")
    run(deployment.create_or_upgrade(project_id, given))
    settings = run(deployment.read_settings_of(run(definitions.find_by_name(given.job_name, project_id))))
    assert not deployment.changes_settings(given, settings)
    for other in ({"description": "e"}, {"command_line": "x"}, {"emails": []}, {"resources": {"memory": {"limit": 2}}}):
        assert deployment.changes_settings(JobChange(**{**vars(given), **other}), settings), other


def test_stopping_ends_an_instance_and_names_who(run: Run, project_id: str, tmp_path: Path) -> None:
    long = tmp_path / "long.py"
    long.write_text("import time\ntime.sleep(60)\n")
    job_id = make(run, project_id, long)
    instance_id = run(instances.run(job_id))["runJob"]["id"]
    stopped = run(instances.stop(instance_id))["stopJobInstance"]
    assert {"id", "number", "status", "history", "startTime", "endTime", "jobId"} <= set(stopped)
    instance = ended(run, instance_id)
    assert (instance.status, instance.stopped_by) == ("KILLED", "airflow")


def test_instances_are_counted_listed_and_deleted(run: Run, project_id: str, script: Path) -> None:
    job_id = make(run, project_id, script)
    ids = [run_to_the_end(run, job_id).id for _ in range(4)]
    counts = run(instances.count_by_selector(job_id))["countJobInstancesBySelector"]
    assert {row["selector"]: row["count"] for row in counts}["SUCCEEDED"] == 4
    assert run(instances.count_by_date(job_id, "2100-01-01T00:00:00+00:00")) == {"countJobInstancesByDate": 4}
    assert [one.id for one in run(instances.list_instances(job_id, limit=2))] == ids[:1:-1]
    assert run(instances.delete_instances(job_id, [ids[0]])) == {
        "deleteJobInstances": [{"id": ids[0], "success": True}]
    }
    kept = run(instances.delete_instances_by_selector(job_id, "SUCCEEDED", ids[1:], [ids[1]]))
    assert kept == {"deleteJobInstancesBySelector": 1}
    assert run(instances.delete_instances_by_date(job_id, "2000-01-01T00:00:00Z", None, None)) == {
        "deleteJobInstancesByDate": 0
    }
    assert {one.id for one in run(purge.list_deletable(job_id))} == set(ids[2:])
    assert run(purge.delete_chosen(job_id, ids[2:])) == (ids[2:], [])
    assert run(definitions.delete(job_id)) == {"deleteJob": True}


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (lambda: definitions.get_info(NOBODY, None, None, False), NOBODY),
        (lambda: definitions.read_summary(NOBODY), NOBODY),
        (lambda: instances.get_instance(NOBODY), NOBODY),
        (lambda: instances.run(NOBODY), NOBODY),
        (lambda: instances.stop(NOBODY), NOBODY),
        (lambda: definitions.get_id("x", "No project"), "'Demo'"),
        (lambda: definitions.get_id("no such job", "Demo"), "no job named"),
        (lambda: definitions.get_info_by_alias(NOBODY, "x", None, None, False), "'x'"),
        (lambda: deployment.upgrade(NOBODY, JobChange()), NOBODY),
        (lambda: deployment.create(NOBODY, JobChange(job_name="a")), NOBODY),
    ],
)
def test_what_is_not_there_is_named_with_the_host(run: Run, emulator: Emulator, steps: Any, said: str) -> None:
    before = len(emulator.requests())
    with pytest.raises(SaagieNotFound) as caught:
        run(steps())
    assert said in str(caught.value)
    assert emulator.url in str(caught.value)
    assert not [row for row in emulator.requests()[before:] if row["operation"] not in ("runJob", "stopJobInstance")]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"technology": "cobol"}, "'Python'"),
        ({"technology_catalog": "Nowhere"}, "'Saagie'"),
        ({"runtime_version": "2.7"}, "'3.11'"),
        ({"category": "Cooking"}, "'Processing'"),
        ({"file": "/no/such/file.py"}, "does not exist"),
        ({"file": "/"}, "is a folder"),
        ({"job_name": " "}, "job_name"),
        ({"cron_scheduling": "every day"}, "cron_scheduling"),
        ({"cron_scheduling": "0 0 * * * *"}, "cron_scheduling"),
        ({"cron_scheduling": "0 0 * * *", "schedule_timezone": "Mars/Base"}, "schedule_timezone"),
        ({"emails": "a@b.c"}, "emails"),
        ({"emails": ["nobody"]}, "nobody"),
        ({"emails": ["a@b.c"], "status_list": ["DONE"]}, "DONE"),
        ({"status_list": ["FAILED"]}, "emails"),
        ({"resources": {"cpu": 1}}, "resources"),
        ({"resources": {"cpu": {"request": 2, "limit": 1}}}, "limit"),
        ({"extra_technology": "Python"}, "extra_technology_version"),
    ],
    ids=str,
)
def test_wrong_settings_change_nothing_and_say_what_there_is(
    run: Run, project_id: str, script: Path, emulator: Emulator, wrong: dict[str, Any], said: str
) -> None:
    before = emulator.requests()
    with pytest.raises(SaagieValidationError) as caught:
        run(deployment.create(project_id, change(script, **wrong)))
    assert said in str(caught.value)
    assert emulator.requests() == before


@pytest.mark.parametrize("date", ["2023-06-01", "2023-06-01T00:00:00", "yesterday", ""])
def test_a_date_without_a_timezone_is_refused(run: Run, date: str, emulator: Emulator) -> None:
    before = emulator.requests()
    with pytest.raises(SaagieValidationError, match="date_before"):
        run(instances.delete_instances_by_date(NOBODY, date, None, None))
    assert emulator.requests() == before


def test_versions_are_rolled_back_and_deleted(run: Run, project_id: str, script: Path) -> None:
    job_id = make(run, project_id, script)
    for _ in range(2):
        run(deployment.upgrade(job_id, JobChange()))
    rolled = run(versions.rollback(job_id, "1"))["rollbackJobVersion"]
    assert rolled["id"] == job_id
    assert {row["number"]: row["isCurrent"] for row in rolled["versions"]} == {1: True, 2: False, 3: False}
    assert run(versions.delete_versions(job_id, ["2", 3])) == {
        "deleteJobVersions": [{"number": 2, "success": True}, {"number": 3, "success": True}]
    }


def test_a_job_is_copied_and_moved(run: Run, project_id: str, script: Path, emulator: Emulator) -> None:
    job_id = make(run, project_id, script)
    copy = run(definitions.duplicate(job_id))["duplicateJob"]
    assert set(copy) == {"id", "name"}
    assert copy["id"] != job_id
    with pytest.raises(SaagieApiError, match="moveJob"):
        run(definitions.move_job(job_id, emulator.platform, NOBODY))


def test_a_platform_without_ai_refuses_in_its_own_words(run: Run, project_id: str, script: Path) -> None:
    with pytest.raises(SaagieApiError, match="editJobWithAiGeneratedDescription") as caught:
        run(definitions.generate_description_by_ai(make(run, project_id, script)))
    assert caught.value.messages


@pytest.mark.parametrize(("code", "status"), [("print(1)", "SUCCEEDED"), ("raise SystemExit(1)", "FAILED")])
def test_running_with_a_callback_gives_the_last_status(
    run: Run, project_id: str, tmp_path: Path, code: str, status: str
) -> None:
    file = tmp_path / "job.py"
    file.write_text(f"import time\ntime.sleep(0.3)\n{code}\n")
    job_id = make(run, project_id, file)
    last, instance_id = run(running.run_with_callback(job_id, 0.1, 20))
    assert last == status
    assert run(instances.read_instance(instance_id)).status == status


def test_running_with_a_callback_leaves_the_instance_at_its_timeout(run: Run, project_id: str, tmp_path: Path) -> None:
    file = tmp_path / "long.py"
    file.write_text("import time\ntime.sleep(60)\n")
    with pytest.raises(TimeoutError, match=r"still RUNNING after 0\.5 s") as caught:
        run(running.run_with_callback(make(run, project_id, file), 0.1, 0.5))
    assert isinstance(caught.value, SaagieWaitTimeout)
    assert run(instances.read_instance(caught.value.instance_id)).status == "RUNNING"
    run(instances.stop(caught.value.instance_id))


@pytest.mark.parametrize(("freq", "timeout"), [(0, -1), (-1, 5), ("a", 5), (1, -2), (1, "b"), (True, 1)])
def test_running_with_wrong_times_starts_nothing(run: Run, emulator: Emulator, freq: Any, timeout: Any) -> None:
    before = emulator.requests()
    with pytest.raises(SaagieValidationError, match=r"freq|timeout"):
        run(running.run_with_callback(NOBODY, freq, timeout))
    assert emulator.requests() == before
