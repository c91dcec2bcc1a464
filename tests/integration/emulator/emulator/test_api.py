"""The platform's API, as a client sees it."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.emulator.emulator.conftest import CREATE_JOB, LOGS, NOBODY, RUN_JOB, STOP, wait_until_gone

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.emulator.emulator.conftest import Client
    from airflow_provider_saagie.emulator.testing import Emulator

JOB = """
query job($id: UUID!) {
  job(id: $id) {
    id name alias description category isScheduled cronScheduling scheduleTimezone scheduleStatus isDeletable
    technology { id } alerting { emails statusList } resources { cpu { request limit } memory { request } }
    countJobInstance deletableState { deletable reasons } project { id } originalJobId
    versions { number isCurrent commandLine releaseNote packageInfo { name downloadUrl } dockerInfo { image }
      extraTechnology { language version } sourceUrl creator deletableState { deletable reasons } }
    instances(limit: 2) { number version { number } }
  }
}
"""
ADD_VERSION = """
mutation add($id: UUID!, $version: JobVersionInput!, $file: Upload) {
  addJobVersion(jobId: $id, jobVersion: $version, file: $file) { number packageInfo { name } }
}
"""
EDIT = "mutation edit($job: JobEditionInput!) { editJob(job: $job) { id name alias } }"


def wish(client: Client, **changes: Any) -> dict[str, Any]:
    job = {
        "projectId": client.demo_project(),
        "name": f"job {uuid.uuid4()}",
        "category": "Processing",
        "technology": {"id": client.technologies()["Python"]},
        "isScheduled": False,
        "isStreaming": False,
    }
    version = {"runtimeVersion": "3.11", "commandLine": "python {file}"}
    return {
        "job": {**job, **{name: value for name, value in changes.items() if name not in _OF_VERSION}},
        "version": {**version, **{name: value for name, value in changes.items() if name in _OF_VERSION}},
    }


_OF_VERSION = {"runtimeVersion", "commandLine", "sourceUrl", "dockerInfo", "extraTechnology"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": " "}, "must not be empty"),
        ({"category": "Cooking"}, "no job category"),
        ({"projectId": NOBODY}, NOBODY),
        ({"technology": {"id": NOBODY}}, "not allowed"),
        ({"runtimeVersion": "2.7"}, "Runtime '2.7'"),
        ({"runtimeVersion": "3.8"}, "not available"),
        ({"runtimeVersion": None}, "Runtime None"),
        ({"alias": "no-dashes"}, "alias"),
        ({"isScheduled": True}, "cronScheduling"),
        ({"sourceUrl": "ftp://x"}, "sourceUrl"),
    ],
)
def test_a_job_that_can_not_be_is_refused_and_not_half_made(
    client: Client, changes: dict[str, Any], message: str
) -> None:
    variables = wish(client, **changes)
    error = client.error(CREATE_JOB, variables)
    assert message in error["message"]
    assert error["path"] == ["createJob"]
    names = client.data('{ projectByName(name: "Demo") { jobs { name } } }')["projectByName"]["jobs"]
    assert variables["job"]["name"] not in [job["name"] for job in names]


@pytest.mark.parametrize(
    ("field", "value"),
    [("cronScheduling", "every day"), ("scheduleTimezone", "Mars/Olympus"), ("projectId", "nope"),
     ("alerting", {"emails": ["nobody"], "statusList": ["FAILED"]}),
     ("alerting", {"emails": [], "statusList": ["SLEEPING"]})],
)  # fmt: skip
def test_a_malformed_value_is_a_validation_error(client: Client, field: str, value: object) -> None:
    error = client.error(CREATE_JOB, wish(client, **{field: value}))
    assert error["extensions"]["classification"] == "ValidationError"


def test_a_taken_name_is_refused(client: Client) -> None:
    variables = wish(client)
    client.data(CREATE_JOB, variables)
    variables["job"]["name"] = variables["job"]["name"].upper()
    assert "exists already" in client.error(CREATE_JOB, variables)["message"]


def test_a_project_whose_name_is_taken_is_refused_and_the_one_that_has_it_left_alone(client: Client) -> None:
    before = client.data("{ projects { id name description jobsCount } }")
    error = client.error(
        "mutation m($project: ProjectInput!) { createProject(project: $project) { id } }", {"project": {"name": "DEMO"}}
    )
    assert "exists already" in error["message"]
    assert error["extensions"] == {"classification": "ValidationError"}
    assert client.data("{ projects { id name description jobsCount } }") == before


def test_a_job_answers_what_it_was_given(client: Client) -> None:
    variables = wish(
        client,
        description="d",
        isScheduled=True,
        cronScheduling="0 3 * * *",
        scheduleTimezone="Europe/Paris",
        alerting={"emails": ["a@example.org"], "statusList": ["FAILED", "KILLED"]},
        resources={"cpu": {"request": 0.5, "limit": 2.6}, "memory": {"request": 1.0}},
        extraTechnology={"language": "Python", "version": "3.9"},
        dockerInfo={"image": "some/image:1"},
        sourceUrl="https://example.org/commit/1",
    )
    made = client.data(CREATE_JOB, variables)["createJob"]
    job = client.data(JOB, {"id": made["id"]})["job"]
    assert (job["isScheduled"], job["cronScheduling"], job["scheduleStatus"]) == (True, "0 3 * * *", "READY")
    assert job["scheduleTimezone"] == "Europe/Paris"
    assert job["alerting"] == {"emails": ["a@example.org"], "statusList": ["FAILED", "KILLED"]}
    assert job["resources"] == {"cpu": {"request": 0.5, "limit": 2.6}, "memory": {"request": 1.0}}
    version = job["versions"][0]
    assert version["dockerInfo"] == {"image": "some/image:1"}
    assert version["extraTechnology"] == {"language": "Python", "version": "3.9"}
    assert (version["creator"], version["packageInfo"]) == ("airflow", None)
    assert client.data(
        "query a($p: UUID!, $a: String!) { jobByAlias(projectId: $p, alias: $a) { id } }",
        {"p": job["project"]["id"], "a": made["alias"]},
    )["jobByAlias"] == {"id": made["id"]}


def test_editing_changes_what_is_named_and_null_clears_what_can_be_empty(client: Client) -> None:
    variables = wish(client, description="d", alerting={"emails": [], "statusList": ["FAILED"]})
    job_id = client.data(CREATE_JOB, variables)["createJob"]["id"]
    client.data(EDIT, {"job": {"id": job_id, "name": f"renamed {job_id}"}})
    job = client.data(JOB, {"id": job_id})["job"]
    assert (job["name"], job["description"]) == (f"renamed {job_id}", "d")
    assert job["alerting"] is not None
    client.data(EDIT, {"job": {"id": job_id, "name": None, "alerting": None, "isScheduled": None}})
    job = client.data(JOB, {"id": job_id})["job"]
    assert (job["name"], job["alerting"], job["isScheduled"]) == (f"renamed {job_id}", None, False)


def test_versions_keep_or_replace_the_file_and_run_as_they_were(client: Client) -> None:
    job_id = client.job("python {file}", "print('one')")
    first = client.run(job_id)
    client.wait(first)
    again = {"runtimeVersion": "3.12", "commandLine": "python {file} again", "usePreviousArtifact": True}
    assert client.data(ADD_VERSION, {"id": job_id, "version": again})["addJobVersion"] == {
        "number": 2,
        "packageInfo": {"name": "job.py"},
    }
    other = {"runtimeVersion": "3.12", "commandLine": "python {file}"}
    client.upload(ADD_VERSION, {"id": job_id, "version": other}, "other.py", b"print('three')")
    third = client.run(job_id)
    client.wait(third)
    assert client.lines(first) == ["one"]
    assert client.lines(third) == ["three"]
    client.data("mutation back($id: UUID!) { rollbackJobVersion(jobId: $id, versionNumber: 2) { id } }", {"id": job_id})
    back = client.wait(client.run(job_id))
    assert client.lines(back["id"]) == ["one"]
    job = client.data(JOB, {"id": job_id})["job"]
    assert [(one["number"], one["isCurrent"]) for one in job["versions"]] == [(3, False), (2, True), (1, False)]
    assert [(one["number"], one["version"]["number"]) for one in job["instances"]] == [(3, 2), (2, 3)]
    without = client.data(ADD_VERSION, {"id": job_id, "version": other})["addJobVersion"]
    assert without["packageInfo"] is None


def test_an_artifact_is_downloaded_byte_for_byte_by_who_may(client: Client) -> None:
    content = bytes(range(256)) * 5_000
    variables = {**wish(client)}
    job_id = client.upload(CREATE_JOB, variables, "../../etc/pass wd.bin", content)["createJob"]["id"]
    package = client.data(JOB, {"id": job_id})["job"]["versions"][0]["packageInfo"]
    assert package["name"] == "pass_wd.bin"
    url = client.emulator.url + package["downloadUrl"]
    assert client.session.get(url, timeout=10).content == content
    assert client.session.get(url + "x", timeout=10).status_code == 404
    assert client.session.get(url.replace("version/1", "version/2"), timeout=10).status_code == 404
    assert client.session.get(url, headers={"Authorization": "Bearer x"}, timeout=10).status_code == 401


def test_what_does_not_exist_is_null_to_ask_and_an_error_to_change(client: Client) -> None:
    found = client.data(
        f'{{ job(id: "{NOBODY}") {{ id }} jobInstance(id: "{NOBODY}") {{ id }} project(id: "{NOBODY}") {{ id }} }}'
    )
    assert found == {"job": None, "jobInstance": None, "project": None}
    for document in (RUN_JOB, STOP):
        error = client.error(document, {"id": NOBODY})
        assert error["extensions"] == {"classification": "NOT_FOUND"}
        assert NOBODY in error["message"]
        assert error["path"] in (["runJob"], ["stopJobInstance"])
        assert error["locations"]
    assert client.answer(LOGS, {"id": NOBODY, "streams": ["STDOUT"]})["data"] == {"filteredLogs": None}


def test_an_instance_that_has_ended_can_not_be_stopped(client: Client) -> None:
    instance = client.wait(client.run(client.job("true", technology="Bash")))
    error = client.error(STOP, {"id": instance["id"]})
    assert error["extensions"]["classification"] == "BAD_REQUEST"


def test_log_pages_and_counts_are_by_stream(client: Client) -> None:
    command = "for i in 1 2 3; do echo out $i; done; sleep 0.3; for i in 1 2; do echo err $i >&2; done"
    instance = client.wait(client.run(client.job(command, technology="Bash")))["id"]
    page = client.data(LOGS, {"id": instance, "streams": ["STDOUT", "STDERR"], "skip": 2, "limit": 2})["filteredLogs"]
    assert page["count"] == 5
    assert page["content"] == [
        {"index": 2, "value": "out 3", "stream": "STDOUT"},
        {"index": 3, "value": "err 1", "stream": "STDERR"},
    ]
    counts = client.data(
        "query c($id: UUID!) { countFilteredLogs(jobInstanceID: $id, streams: [STDERR]) "
        "countLogs(jobInstanceID: $id) logs(jobInstanceID: $id, stream: STDERR, limit: 1) { content { value } } }",
        {"id": instance},
    )
    assert counts == {"countFilteredLogs": 2, "countLogs": 5, "logs": {"content": [{"value": "err 1"}]}}


def test_deletions_count_what_went_and_spare_what_runs(client: Client) -> None:
    job = client.job("test -f never || sleep 60", technology="Bash")
    running = client.run(job)
    quick = client.data(
        ADD_VERSION, {"id": job, "version": {"runtimeVersion": "debian12-bookworm", "commandLine": "true"}}
    )
    assert quick["addJobVersion"]["number"] == 2
    done = [client.wait(client.run(job))["id"] for _ in range(3)]
    counts = client.data(
        "query c($id: UUID!) { countJobInstancesBySelector(jobId: $id) { selector count } "
        'countJobInstancesByDate(jobId: $id, beforeAt: "2100-01-01T00:00:00+0100") }',
        {"id": job},
    )
    assert {one["selector"]: one["count"] for one in counts["countJobInstancesBySelector"]} == {
        "ALL": 3, "SUCCEEDED": 3, "FAILED": 0, "STOPPED": 0, "UNKNOWN": 0,
    }  # fmt: skip
    assert counts["countJobInstancesByDate"] == 3
    assert client.data(
        "mutation d($id: UUID!, $ids: [UUID!]) { deleteJobInstances(jobId: $id, jobInstanceIds: $ids) { id success } }",
        {"id": job, "ids": [done[0], running, NOBODY]},
    )["deleteJobInstances"] == [
        {"id": done[0], "success": True},
        {"id": running, "success": False},
        {"id": NOBODY, "success": False},
    ]
    assert client.data(
        "mutation d($id: UUID!, $keep: [UUID!]) { deleteJobInstancesBySelector(jobId: $id, selector: ALL, "
        "excludeJobInstanceIds: $keep) }",
        {"id": job, "keep": [done[1]]},
    ) == {"deleteJobInstancesBySelector": 1}
    assert client.data(
        'mutation d($id: UUID!) { deleteJobInstancesByDate(jobId: $id, beforeAt: "2000-01-01T00:00:00Z") }', {"id": job}
    ) == {"deleteJobInstancesByDate": 0}
    assert client.error("mutation d($id: UUID!) { deleteJob(jobId: $id) }", {"id": job})["message"]
    client.stop(running)
    client.wait(running)
    assert client.data("mutation d($id: UUID!) { deleteJob(jobId: $id) }", {"id": job}) == {"deleteJob": True}
    assert client.data(JOB, {"id": job})["job"] is None


def test_a_job_is_copied_inside_its_project(client: Client) -> None:
    job = client.job("python {file}", "print('copied')")
    copy = client.data("mutation c($id: UUID!) { duplicateJob(originalJobId: $id) { id name } }", {"id": job})
    found = client.data(JOB, {"id": copy["duplicateJob"]["id"]})["job"]
    assert found["originalJobId"] == job
    assert found["name"].startswith("Copy of ")
    instance = client.wait(client.run(found["id"]))
    assert client.lines(instance["id"]) == ["copied"]


def test_a_job_moves_to_another_platform(
    start_emulator: Callable[..., Emulator], client_of: Callable[[Emulator], Client]
) -> None:
    emulator = start_emulator("--platform", "1", "--platform", "7")
    client = client_of(emulator)
    job = client.job("python {file}", "print('moved')")
    emulator.platform = 7
    target = client.demo_project()
    emulator.platform = 1
    moved = client.data(
        "mutation m($id: UUID!, $p: UUID!) { moveJob(jobId: $id, targetPlatformId: 7, targetProjectId: $p) }",
        {"id": job, "p": target},
    )["moveJob"]
    assert client.data(JOB, {"id": job})["job"] is None
    assert client.data(JOB, {"id": moved})["job"] is None
    emulator.platform = 7
    instance = client.wait(client.run(moved))
    assert client.lines(instance["id"]) == ["moved"]


def test_a_file_can_not_be_sent_as_plain_text(client: Client) -> None:
    error = client.error(CREATE_JOB, {**wish(client), "file": "text"})
    assert error["extensions"]["classification"] == "ValidationError"


def test_an_instance_can_be_given_any_end_by_hand(client: Client) -> None:
    instance = client.run(client.job("echo $$; sleep 300", technology="Bash"))
    while not (lines := client.lines(instance)):
        time.sleep(0.05)
    client.emulator.set_instance(instance, "FAILED", "OUT_OF_MEMORY", "killed by the kernel")
    wait_until_gone(int(lines[0]))
    current = client.wait(instance)["history"]["currentStatus"]
    assert (current["reason"], current["details"]) == ("OUT_OF_MEMORY", "killed by the kernel")
    with pytest.raises(AssertionError, match="404"):
        client.emulator.set_instance(NOBODY, "FAILED")
    with pytest.raises(AssertionError, match=r"400.*AWAITING, REQUESTED"):
        client.emulator.set_instance(instance, "TIRED")
    with pytest.raises(AssertionError, match="400"):
        client.emulator.set_instance(instance, "FAILED", "BOREDOM")


def test_a_status_given_by_hand_stays_when_the_process_has_ended(client: Client) -> None:
    instance = client.run(client.job("echo up; sleep 300", technology="Bash"))
    client.wait_for_line(instance, "up")
    client.emulator.set_instance(instance, "UNKNOWN")
    deadline = time.monotonic() + 10
    while (client.emulator.data / "work" / instance).exists():  # it goes when all of a run is over
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert client.status(instance) == "UNKNOWN"
    client.stop(instance)
    client.wait(instance, "KILLED")


def test_the_gateway_tells_which_runtimes_there_are(client: Client) -> None:
    technology = client.technologies()["Spark"]
    found = client.data(
        """
        query t($id: UUID!, $ids: [UUID!]!) {
          technology(id: $id) {
            __typename label
            ... on SparkTechnology {
              contexts { id available technologyContexts { id jobContexts { id } } }
            }
          }
          technologiesByIds(ids: $ids) { id label }
        }
        """,
        {"id": technology, "ids": [technology, NOBODY]},
        url=client.emulator.gateway_url,
    )
    assert found["technology"]["__typename"] == "SparkTechnology"
    assert found["technology"]["contexts"][0]["technologyContexts"][1]["jobContexts"][0] == {"id": "3.9"}
    assert found["technologiesByIds"] == [{"id": technology, "label": "Spark"}]


class TestSimulation:
    """`--simulate`: nothing runs, time alone decides."""

    def test_instances_pass_through_their_life_and_can_be_stopped_counted_and_deleted(
        self, start_emulator: Callable[..., Emulator], client_of: Callable[[Emulator], Client]
    ) -> None:
        emulator = start_emulator("--simulate", "--simulate-seconds", "1")
        client = client_of(emulator)
        job = client.job("rm -rf /nothing", technology="Spark")
        one, two = client.run(job), client.run(job)
        assert client.status(one) in ("AWAITING", "REQUESTED", "QUEUED", "RUNNING")
        client.stop(two)
        assert client.wait(two)["history"]["currentStatus"]["status"] == "KILLED"
        done = client.wait(one)
        assert [record["status"] for record in done["history"]["statuses"]] == [
            "AWAITING", "REQUESTED", "QUEUED", "RUNNING", "SUCCEEDED",
        ]  # fmt: skip
        assert client.data(
            "mutation d($id: UUID!) { deleteJobInstancesBySelector(jobId: $id, selector: SUCCEEDED) }", {"id": job}
        ) == {"deleteJobInstancesBySelector": 1}
        assert client.data("mutation d($id: UUID!) { deleteJob(jobId: $id) }", {"id": job}) == {"deleteJob": True}
