"""Test the emulator's GraphQL API over its app, with simulated instances, and which requests it takes."""

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_saagie.emulator.states import Status
from airflow_provider_saagie.emulator.store import instances, logs
from tests.support import emulator_client as api
from tests.support.emulator_client import NOBODY, Client

JOB = """
query job($id: UUID!) {
  job(id: $id) {
    id name alias description isScheduled cronScheduling scheduleTimezone scheduleStatus
    alerting { emails statusList } resources { cpu { request limit } memory { request } }
    project { id } countJobInstance isDeletable deletableState { deletable reasons }
    versions { number isCurrent commandLine packageInfo { name downloadUrl } dockerInfo { image }
      extraTechnology { language version } creator }
    instances { number }
  }
}
"""
GATEWAY = "{ repositories { name } }"
NAMES = '{ projectByName(name: "Demo") { jobs { name } } }'


def job_of(client: Client, job: str) -> dict[str, Any]:
    return client.data(JOB, id=job)["job"]


def test_impossible_job_is_refused_and_not_created(client: Client) -> None:
    validation = "ValidationError"
    for changes, classification, message in (
        ({"name": " "}, validation, "must not be empty"),
        ({"category": "Cooking"}, validation, "no job category"),
        ({"projectId": NOBODY}, "NOT_FOUND", NOBODY),
        ({"technology": {"id": NOBODY}}, validation, "not allowed"),
        ({"runtimeVersion": "debian9"}, validation, "Runtime 'debian9'"),
        ({"runtimeVersion": "debian10-buster"}, validation, "not available"),
        ({"alias": "no-dashes"}, validation, "alias"),
        ({"isScheduled": True}, validation, "cronScheduling"),
        ({"sourceUrl": "ftp://x"}, validation, "sourceUrl"),
        ({"cronScheduling": "every day"}, validation, "every day"),
        ({"scheduleTimezone": "Mars/Olympus"}, validation, "Mars/Olympus"),
        ({"projectId": "nope"}, validation, "nope"),
        ({"alerting": {"emails": ["nobody"], "statusList": ["FAILED"]}}, validation, "nobody"),
        ({"alerting": {"emails": [], "statusList": ["SLEEPING"]}}, validation, "SLEEPING"),
    ):
        error = client.error(api.CREATE_JOB, **client.wish(**changes))
        assert error["extensions"]["classification"] == classification, (changes, error)
        assert message in error["message"], (changes, error)
    error = client.error(api.CREATE_JOB, **client.wish(), file="text")
    assert error["extensions"]["classification"] == validation
    assert client.data(NAMES)["projectByName"]["jobs"] == []


def test_project_has_the_settings_it_was_created_with(client: Client) -> None:
    allowed = [{"jobCategory": "Processing", "technologies": [{"id": api.TECHNOLOGIES["bash"]}]}]
    groups = [{"name": "g", "role": "ROLE_PROJECT_EDITOR"}]
    wish = {"name": "P", "description": "d", "technologiesByCategory": allowed, "authorizedGroups": groups}
    id_ = client.data(api.CREATE_PROJECT, project=wish)["createProject"]["id"]
    document = """
    query p($id: UUID!) {
      project(id: $id) { name description jobsCount technologiesByCategory { jobCategory technologies { id } } }
      rights(projectId: $id) { name role }
    }
    """
    found = client.data(document, id=id_)
    rest = [{"jobCategory": category, "technologies": []} for category in ("Extraction", "Smart App")]
    project = found["project"]
    assert sorted(project.pop("technologiesByCategory"), key=str) == sorted([*allowed, *rest], key=str)
    assert project == {"name": "P", "description": "d", "jobsCount": 0}
    assert found["rights"] == groups
    unknown = [{"jobCategory": "Processing", "technologies": [{"id": NOBODY}]}]
    for changes, message in (
        ({"name": "DEMO"}, "exists already"),
        ({"technologiesByCategory": [allowed[0] | {"jobCategory": "Cooking"}]}, "no job category"),
        ({"technologiesByCategory": unknown}, NOBODY),
    ):
        error = client.error(api.CREATE_PROJECT, project={"name": "Q", **changes})
        assert (message in error["message"], error["extensions"]) == (True, {"classification": "ValidationError"}), (
            error
        )


def test_job_has_the_settings_it_was_created_with(client: Client) -> None:
    of_job = {
        "description": "d", "isScheduled": True, "cronScheduling": "0 3 * * *", "scheduleTimezone": "Europe/Paris",
        "alerting": {"emails": ["a@example.org"], "statusList": ["FAILED", "KILLED"]},
        "resources": {"cpu": {"request": 0.5, "limit": 2.6}, "memory": {"request": 1.0}},
    }  # fmt: skip
    of_version = {"extraTechnology": {"language": "Python", "version": "3.9"}, "dockerInfo": {"image": "some/image:1"}}
    url = {"sourceUrl": "https://example.org/commit/1"}
    made = client.data(api.CREATE_JOB, **client.wish(**of_job, **of_version, **url))["createJob"]
    job = job_of(client, made["id"])
    (version,) = job["versions"]
    assert job == job | of_job
    assert version == version | of_version
    assert (job["scheduleStatus"], version["creator"], version["packageInfo"]) == ("READY", "airflow", None)
    by_alias = "query a($p: UUID!, $a: String!) { jobByAlias(projectId: $p, alias: $a) { id } }"
    assert client.data(by_alias, p=job["project"]["id"], a=made["alias"])["jobByAlias"] == {"id": made["id"]}
    never = job_of(client, client.job(isScheduled=True, cronScheduling="0 0 30 2 *"))
    assert never["scheduleStatus"] == "IMPOSSIBLE_TO_SCHEDULE"


def test_edit_changes_given_fields_and_null_clears_optional_ones(client: Client) -> None:
    job = client.job(description="d", alerting={"emails": [], "statusList": ["FAILED"]})
    client.data(api.EDIT_JOB, job={"id": job, "name": "renamed"})
    edited = job_of(client, job)
    assert (edited["name"], edited["description"], edited["alerting"] is None) == ("renamed", "d", False)
    client.data(api.EDIT_JOB, job={"id": job, "name": None, "alerting": None, "isScheduled": None})
    edited = job_of(client, job)
    assert (edited["name"], edited["alerting"], edited["isScheduled"]) == ("renamed", None, False)


def test_artifact_is_downloaded_byte_for_byte_by_its_users(client: Client) -> None:
    content = bytes(range(256)) * 4_000
    made = client.data(api.CREATE_JOB, upload=("../../etc/pass wd.bin", content), **client.wish())["createJob"]
    package = job_of(client, made["id"])["versions"][0]["packageInfo"]
    url = package["downloadUrl"]
    assert package["name"] == "pass_wd.bin"
    assert client.http.get(url).content == content
    for other, headers, status in (
        (url + "x", {}, 404),
        (url.replace("version/1", "version/2"), {}, 404),
        (url.replace("platform/1", "platform/7"), {}, 404),
        (url, {"Authorization": "Bearer x"}, 401),
    ):
        assert client.http.get(other, headers=headers).status_code == status, other


def test_missing_objects_are_null_to_queries_and_errors_to_mutations(client: Client) -> None:
    fields = ("job", "jobInstance", "project")
    found = client.data("{" + " ".join(f'{one}(id: "{NOBODY}") {{ id }}' for one in fields) + "}")
    assert found == dict.fromkeys(fields)
    assert client.answer(api.LOGS, id=NOBODY, streams=["STDOUT"])["data"] == {"filteredLogs": None}
    for document, path in ((api.RUN_JOB, "runJob"), (api.STOP, "stopJobInstance")):
        error = client.error(document, id=NOBODY)
        assert error["extensions"] == {"classification": "NOT_FOUND"}
        assert error["path"] == [path]
        assert NOBODY in error["message"]
        assert error["locations"]


def test_log_pages_and_counts_are_by_stream(client: Client) -> None:
    instance = client.start("true")
    out, err = "STDOUT", "STDERR"
    for written in [(out, "out 1"), (out, "out 2"), (err, "err 1")], [(out, "out 3"), (err, "err 2")]:
        logs.append_lines(client.database, instance, logs.next_index(client.database, instance), written)
    page = client.data(api.LOGS, id=instance, streams=["STDOUT", "STDERR"], skip=2, limit=2)["filteredLogs"]
    assert page["count"] == 5
    assert page["content"] == [
        {"index": 2, "value": "err 1", "stream": "STDERR"},
        {"index": 3, "value": "out 3", "stream": "STDOUT"},
    ]
    counts = client.data(
        "query c($id: UUID!) { countFilteredLogs(jobInstanceID: $id, streams: [STDERR]) "
        "countLogs(jobInstanceID: $id) logs(jobInstanceID: $id, stream: STDERR, limit: 1) { content { value } } }",
        id=instance,
    )
    assert counts == {"countFilteredLogs": 2, "countLogs": 5, "logs": {"content": [{"value": "err 1"}]}}


def test_deletions_count_finished_instances_and_spare_others(client: Client) -> None:
    job = client.job()
    running, *done = (client.run(job) for _ in range(5))
    for instance, status in zip(done, ("SUCCEEDED", "FAILED", "ERROR", "KILLED"), strict=True):
        client.set_instance(instance, status)
    counts = client.data(
        "query c($id: UUID!) { countJobInstancesBySelector(jobId: $id) { selector count } "
        'countJobInstancesByDate(jobId: $id, beforeAt: "2100-01-01T00:00:00+0100") }',
        id=job,
    )
    assert {one["selector"]: one["count"] for one in counts["countJobInstancesBySelector"]} == {
        "ALL": 4, "SUCCEEDED": 1, "FAILED": 2, "STOPPED": 1, "UNKNOWN": 0,
    }  # fmt: skip
    assert counts["countJobInstancesByDate"] == 4
    by_id = "mutation d($id: UUID!, $ids: [UUID!]) { deleteJobInstances(jobId: $id, jobInstanceIds: $ids) { success } }"
    deleted = client.data(by_id, id=job, ids=[done[0], running, NOBODY])["deleteJobInstances"]
    assert [one["success"] for one in deleted] == [True, False, False]
    by_selector = (
        "mutation d($id: UUID!, $keep: [UUID!]) "
        "{ deleteJobInstancesBySelector(jobId: $id, selector: ALL, excludeJobInstanceIds: $keep) }"
    )
    assert client.data(by_selector, id=job, keep=[done[1]]) == {"deleteJobInstancesBySelector": 2}
    by_date = "mutation d($id: UUID!, $at: DateTime!) { deleteJobInstancesByDate(jobId: $id, beforeAt: $at) }"
    for moment, count in (("2000-01-01T00:00:00Z", 0), ("2100-01-01T00:00:00Z", 1)):
        assert client.data(by_date, id=job, at=moment) == {"deleteJobInstancesByDate": count}
    left = job_of(client, job)
    assert (left["countJobInstance"], left["isDeletable"], left["deletableState"]["deletable"]) == (1, False, False)
    assert [one["number"] for one in left["instances"]] == [1]
    assert client.error(api.DELETE_JOB, id=job)["message"]
    logs.append_lines(client.database, running, 0, [("STDOUT", "x")])
    client.set_instance(running, "FAILED")
    assert client.error(api.STOP, id=running)["extensions"]["classification"] == "BAD_REQUEST"
    assert client.data(api.DELETE_JOB, id=job) == {"deleteJob": True}
    assert job_of(client, job) is None
    assert logs.count_lines(client.database, running, ["STDOUT"]) == 0


def test_job_moves_to_another_platform_with_its_file(client: Client) -> None:
    job = client.job("bash {file}", "echo moved")
    client.platform = 7
    target = client.project()
    client.platform = 1
    move = "mutation m($id: UUID!, $p: UUID!) { moveJob(jobId: $id, targetPlatformId: 7, targetProjectId: $p) }"
    moved = client.data(move, id=job, p=target)["moveJob"]
    assert [job_of(client, one) for one in (job, moved)] == [None, None]
    client.platform = 7
    (version,) = job_of(client, moved)["versions"]
    assert client.http.get(version["packageInfo"]["downloadUrl"]).text == "echo moved"
    assert client.run(moved)


def test_instance_set_by_hand_has_the_given_end(client: Client) -> None:
    instance = client.start("true")
    end = {"reason": "OUT_OF_MEMORY", "details": "killed by the kernel"}
    assert client.set_instance(instance, "FAILED", **end).json() == {"id": instance, "status": "FAILED", **end}
    assert client.current(instance) == ("FAILED", "OUT_OF_MEMORY", "killed by the kernel")
    for wanted, status, more, code, message in (
        (NOBODY, "FAILED", {}, 404, NOBODY),
        (instance, "TIRED", {}, 400, "AWAITING, REQUESTED"),
        (instance, "FAILED", {"reason": "BOREDOM"}, 400, "OUT_OF_MEMORY"),
    ):
        refused = client.set_instance(wanted, status, **more)
        assert refused.status_code == code, (status, more)
        assert message in refused.text


def test_technologies_have_runtimes_and_are_allowed_to_fresh_projects(client: Client) -> None:
    document = """
    query t($id: UUID!, $ids: [UUID!]!) {
      technology(id: $id) {
        __typename ... on SparkTechnology { contexts { technologyContexts { jobContexts { id } } } }
      }
      technologiesByIds(ids: $ids) { id label }
    }
    """
    spark = api.TECHNOLOGIES["spark"]
    variables = {"id": spark, "ids": [spark, NOBODY]}
    found = api.data_of(client.http.post("/gateway/api/graphql", json={"query": document, "variables": variables}))
    assert found["technology"]["__typename"] == "SparkTechnology"
    assert found["technology"]["contexts"][0]["technologyContexts"][1]["jobContexts"][0] == {"id": "3.9"}
    assert found["technologiesByIds"] == [{"id": spark, "label": "Spark"}]
    document = '{ projectByName(name: "demo") { technologiesByCategory { jobCategory technologies { id } } } }'
    for client.platform in (1, 7):
        allowed = client.data(document)["projectByName"]["technologiesByCategory"]
        counted = {one["jobCategory"]: len(one["technologies"]) for one in allowed}
        assert counted == {"Extraction": 6, "Processing": 6, "Smart App": 6}


def test_simulated_instances_pass_through_their_life(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    job = client.job("rm -rf /nothing", kind="spark")
    ended, stopped = client.run(job), client.run(job)
    assert client.current(ended)[0] in ("AWAITING", "REQUESTED", "QUEUED", "RUNNING")
    client.stop(stopped)
    real = instances.now_ms
    monkeypatch.setattr(instances, "now_ms", lambda: real() + 86_400_000)
    assert [client.current(one)[0] for one in (ended, stopped)] == ["SUCCEEDED", "KILLED"]
    assert client.statuses(ended) == ["AWAITING", "REQUESTED", "QUEUED", "RUNNING", "SUCCEEDED"]
    purge = "mutation d($id: UUID!) { deleteJobInstancesBySelector(jobId: $id, selector: SUCCEEDED) }"
    assert client.data(purge, id=job) == {"deleteJobInstancesBySelector": 1}
    assert client.data(api.DELETE_JOB, id=job) == {"deleteJob": True}


def test_project_is_deleted_although_an_instance_ends_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api.client_of_app(tmp_path / "data") as client:
        instance = instances.create_instance(client.database, client.job(), "me")
        list_instances = instances.list_instances

        def list_before_the_end(*args: Any) -> Any:
            found = list_instances(*args)
            instances.move(client.database, instance.id, Status.FAILED)
            return found

        monkeypatch.setattr(instances, "list_instances", list_before_the_end)
        assert client.data(api.DELETE_PROJECT, id=client.project()) == {"deleteProject": True}
        assert client.data("{ projects { id } }")["projects"] == []


def test_failing_field_leaves_others_of_a_batch_alone(client: Client) -> None:
    instance = client.start("true")
    document = (
        "query b($a: UUID!, $b: UUID!) { a: jobInstance(id: $a) { id } "
        "b: filteredLogs(jobInstanceID: $b, streams: [STDOUT]) { count } }"
    )
    answer = client.answer(document, a=instance, b=NOBODY)
    assert answer["data"] == {"a": {"id": instance}, "b": None}
    assert [error["path"] for error in answer["errors"]] == [["b"]]


def test_paths_have_an_existing_platform_and_perhaps_more_slashes(client: Client) -> None:
    for path, query in (
        ("//projects//api/platform/1/graphql", "{ projects { id } }"),
        ("//gateway/api/graphql", GATEWAY),
    ):
        assert api.data_of(client.http.post(api.URL + path, json={"query": query})), path
    for client.platform in (0, 8):
        answer = client.send("{ platform { id } }", {})
        assert answer.json() == {"error": f"Platform {client.platform} does not exist", "status": 404}


def test_body_that_is_not_a_graphql_request_is_bad(client: Client) -> None:
    surrogates = ('{"query": "{a}", "operationName": "\\ud800"}', '{"query": "{a}", "variables": {"\\udfff": 1}}')
    shapes = ("", "[]", "{", '{"query": 1}', '{"query": "{a}", "variables": []}', '{"q": "{a}"}', "[" * 100_000)
    for body in (*shapes, *surrogates):
        answer = client.http.post(client.graphql_path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, body[:50]
        assert answer.json()["error"], body[:50]
    query, upload = {"query": "{ platform { id } }"}, {"query": "mutation($f: Upload) { x }"}
    for parts in (
        {"operations": "{", "map": "{}"},
        {"operations": json.dumps(query)},
        {"operations": json.dumps(upload), "map": json.dumps({"0": ["variables.f"]})},
        {"operations": "[]", "map": "{}"},
        {"operations": "[1]", "map": json.dumps({"0": []})},
    ):
        files = {name: (None, value) for name, value in parts.items()}
        assert client.http.post(client.graphql_path, files=files).status_code == 400, parts


def test_document_that_can_not_be_executed_is_an_error(client: Client) -> None:
    for document, classification in (
        ("{", "InvalidSyntax"),
        ("{" * 10_000, "InvalidSyntax"),
        ("{ nothing }", "ValidationError"),
        ('{ job(id: "x") { id } }', "ValidationError"),
        ("query a { platform { id } } query b { platform { id } }", "ValidationError"),
        ("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }", "ValidationError"),
    ):
        answer = client.answer(document)
        assert answer["data"] is None, document[:50]
        assert answer["errors"][0]["extensions"]["classification"] == classification, document[:50]


def test_fragment_is_visited_once_however_often_it_is_spread(client: Client) -> None:
    """Visiting each path would be 2 to the power of 40 visits."""
    doubling = "".join(f" fragment F{one} on Query {{ ...F{one + 1} ...F{one + 1} }}" for one in range(40))
    document = "{ ...F0 }" + doubling + " fragment F40 on Query { platform { id } }"
    assert client.data(document)["platform"] == {"id": 1}
    assert client.stats()["operations"]["platform"]
