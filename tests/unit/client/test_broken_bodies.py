"""Every call, over both transports, is answered by what is no sound answer: only our errors come out.

The server counts: no change is sent twice, but where the platform surely has not made it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_saagie.client import core, definitions, deployment, instances, outcomes, running
from airflow_provider_saagie.client.async_session import AsyncSession
from airflow_provider_saagie.client.documents import document
from airflow_provider_saagie.client.session import PIECE, Session
from airflow_provider_saagie.client.settings import Settings, read_settings
from airflow_provider_saagie.exceptions import (
    SaagieApiError,
    SaagieAuthError,
    SaagieConnectionError,
    SaagieError,
    SaagieNotFound,
    SaagieOutcomeUnknown,
    SaagieProtocolError,
)
from tests.support import raw_server as scripting
from tests.support.raw_server import Scripted, http, scripted_server
from tests.unit.client.test_broken_answers import EVERY_CALL, ID, drive

Transport = Callable[..., list[Any]]
ROOT = Path(__file__).parents[3]
JUNK = b"\x00junk\xff" * (10 * 1024 * 1024 // 6)
RETRIES = 2
TECHNOLOGY = {"__typename": "JobTechnology", "id": ID, "label": "Python", "available": True}
# What the calls read before they change something.
GOOD_READS: dict[str, dict[str, Any]] = {
    "projectTechnologies": {
        "project": {"id": ID, "technologiesByCategory": [{"jobCategory": "Processing", "technologies": [{"id": ID}]}]}
    },
    "repositories": {"repositories": [{"id": ID, "name": "Saagie", "technologies": [TECHNOLOGY]}]},
    "technologyContexts": {"technology": {**TECHNOLOGY, "contexts": [{"id": "3.11", "available": True}]}},
    "jobSettings": {"job": {"id": ID, "name": "a", "technology": {"id": ID}, "versions": [{"number": 1}]}},
    "projects": {"projects": [{"id": ID, "name": "a"}]},
    "jobNames": {"jobs": [{"id": ID, "name": "a"}]},
    "deletableInstances": {"job": {"instances": []}},
}
# The operation that each call changes something by; all others only read, but for those in READ_BACK.
CHANGES = {
    "run": "runJob",
    "stop": "stopJobInstance",
    "create": "createJob",
    "upgrade": "addJobVersion",
    "upgrade_by_name": "addJobVersion",
    "edit": "editJob",
    "create_or_upgrade": "addJobVersion",
    "delete": "deleteJob",
    "duplicate": "duplicateJob",
    "move_job": "moveJob",
    "rollback": "rollbackJobVersion",
    "delete_versions": "deleteJobVersions",
    "delete_instances": "deleteJobInstances",
    "delete_by_selector": "deleteJobInstancesBySelector",
    "delete_by_date": "deleteJobInstancesByDate",
    "delete_chosen": "deleteJobInstances",
    "generate_description": "editJobWithAiGeneratedDescription",
}
# These look what a lost answer has come to, and so may ask twice: tests of the operators that use them hold it.
READ_BACK = {"make_current", "make_job"}
CALLS = {**EVERY_CALL, "generate_description": lambda: definitions.generate_description_by_ai(ID)}


def graphql(answer: object) -> bytes:
    return http(200, json.dumps(answer).encode())


LOST, REFUSED = SaagieOutcomeUnknown, SaagieError
# An answer; what it makes of a change; how often a change may be sent at most.
BROKEN: dict[str, tuple[bytes, type[SaagieError], int]] = {
    "errors without data": (graphql({"errors": [{"message": "no"}]}), SaagieApiError, 1),
    "errors beside null": (graphql({"data": None, "errors": [{"message": "no"}]}), SaagieApiError, 1),
    "errors that are a number": (graphql({"errors": 5}), SaagieApiError, 1),
    "errors that are an object": (graphql({"data": None, "errors": {"message": "no"}}), SaagieApiError, 1),
    "neither": (graphql({}), LOST, 1),
    "data that is a number": (graphql({"data": 5}), LOST, 1),
    "data that is a list": (graphql({"data": [5]}), LOST, 1),
    "brackets without end": (http(200, b"[" * 200_000), LOST, 1),
    "data that is null": (graphql({"data": None}), LOST, 1),
    "a list": (graphql([]), LOST, 1),
    "a text": (graphql("x"), LOST, 1),
    "HTML": (http(200, b"<html>Sign in</html>", content_type="text/html"), LOST, 1),
    "HTML that says it is JSON": (http(200, b"<html>Sign in</html>"), LOST, 1),
    "cut JSON": (http(200, b'{"data": {"'), LOST, 1),
    "an empty body": (http(200, b""), LOST, 1),
    "no content": (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", LOST, 1),
    "no answer": (b"", LOST, 1),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-", LOST, 1),
    "half a body": (http(200, b'{"data": {}}')[:-4], LOST, 1),
    "no HTTP": (b"\x00\x01\x02\r\n\r\n", LOST, 1),
    "a redirect": (http(307, b"", "Location: http://127.0.0.1:9/"), SaagieProtocolError, 1),
    "a redirect to nowhere": (http(302, b""), SaagieProtocolError, 1),
    "400": (http(400, b""), SaagieApiError, 1),
    "401 for ever": (http(401, b""), SaagieAuthError, 2),
    "403": (http(403, b"no"), SaagieAuthError, 1),
    "429": (http(429, b""), SaagieConnectionError, RETRIES + 1),
    "429 with Retry-After": (http(429, b"", "Retry-After: 1"), SaagieConnectionError, RETRIES + 1),
    "429 for an hour": (http(429, b"", "Retry-After: 3600"), SaagieConnectionError, 1),
    "500": (http(500, b"x"), LOST, 1),
    "503 with Retry-After": (http(503, b"", "Retry-After: 1"), LOST, 1),
}


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted_server() as script:
        script.of = {operation: graphql({"data": data}) for operation, data in GOOD_READS.items()}
        yield script


def settings_of(server: Scripted) -> Settings:
    extra = {"realm": "r", "platform_id": 1, "retries": RETRIES, "timeout": 5}
    return read_settings(host=f"http://127.0.0.1:{server.port}", login="me", password="pw", extra=extra)


def test_each_call_is_known_to_change_or_to_read() -> None:
    changing = {name for name in CALLS if name in CHANGES}
    assert all(document(CHANGES[name]).is_mutation for name in changing)
    assert changing == set(CHANGES)


@pytest.mark.parametrize("name", BROKEN)
def test_a_change_that_is_answered_by_it_is_our_error_and_not_made_twice(
    transport: Transport, server: Scripted, name: str
) -> None:
    answer, kind, most = BROKEN[name]
    for call, operation in CHANGES.items():
        server.answers = [answer]
        server.asked.clear()
        with pytest.raises(SaagieError) as caught:
            transport(settings_of(server), CALLS[call]())
        assert isinstance(caught.value, kind), (call, caught.value)
        assert server.asked[operation] == most, (call, server.asked)
        assert len(str(caught.value)) < 1000
        assert operation in str(caught.value), call


@pytest.mark.parametrize(
    "started", [5, [], {}, {"id": 5}, {"id": float("nan")}, {"id": ID, "history": [1]}, {"id": ID, "history": "x"}]
)
def test_a_run_that_is_answered_in_another_shape_may_have_started(
    transport: Transport, server: Scripted, started: object
) -> None:
    server.answers = [graphql({"data": {"runJob": started}})]
    with pytest.raises(SaagieOutcomeUnknown, match=r"runJob.*may have happened: look at"):
        transport(settings_of(server), running.run(ID))
    assert server.asked["runJob"] == 1


@pytest.mark.parametrize("name", BROKEN)
def test_a_read_that_is_answered_by_it_is_our_error(transport: Transport, server: Scripted, name: str) -> None:
    answer, kind, most = BROKEN[name]
    for call in CALLS.keys() - CHANGES.keys() - READ_BACK:
        server.answers, server.of = [answer], {}
        server.asked.clear()
        with pytest.raises(SaagieError) as caught:
            transport(settings_of(server), CALLS[call]())
        assert not isinstance(caught.value, SaagieOutcomeUnknown), call
        if kind is not LOST:
            assert isinstance(caught.value, kind), (call, caught.value)
        times = [count for operation, count in server.asked.items() if operation != "login"]
        assert len(times) == 1, (call, server.asked)
        assert most <= times[0] <= RETRIES + 1, (call, server.asked)
        assert len(str(caught.value)) < 1000


def test_calls_share_one_connection_and_one_login_and_ask_for_no_schema(transport: Transport, server: Scripted) -> None:
    server.answers = [graphql({"data": {"jobInstance": {"id": ID}}})]
    transport(settings_of(server), *[instances.get_instance(ID) for _ in range(5)])
    assert server.asked == {"login": 1, "jobInstance": 5}
    assert server.connections == 1
    assert b"__schema" not in server.seen


FORKING = """
import os, sys
from airflow_provider_saagie.client import instances
from airflow_provider_saagie.client.session import Session
from airflow_provider_saagie.client.settings import read_settings
extra = {"realm": "r", "platform_id": 1}
session = Session(read_settings(host=sys.argv[1], login="me", password="secret", extra=extra))
session.run(instances.get_instance(sys.argv[2]))
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
session.run(instances.get_instance(sys.argv[2]))
"""


def test_a_process_that_is_forked_reads_no_answer_of_its_parent(server: Scripted) -> None:
    """It keeps the token, but asks over a connection of its own."""
    server.answers = [graphql({"data": {"jobInstance": {"id": ID}}})]
    host = f"http://127.0.0.1:{server.port}"
    subprocess.run([sys.executable, "-c", FORKING, host, ID], check=True, timeout=60, cwd=ROOT)
    assert server.asked == {"login": 1, "jobInstance": 2}
    assert server.connections == 2


def test_a_token_that_runs_out_in_a_loop_is_renewed(transport: Transport, server: Scripted) -> None:
    """Once for each time that it runs out, and the loop goes on."""
    rows = [{"id": ID, "history": {"currentStatus": {"status": one}}} for one in ("RUNNING", "RUNNING", "SUCCEEDED")]
    first, *later = [graphql({"data": {"jobInstance": row}}) for row in rows]
    server.of["runJob"] = graphql({"data": {"runJob": {"id": ID}}})
    server.answers = [first, http(401, b""), later[0], http(401, b""), later[1]]
    assert transport(settings_of(server), running.run_with_callback(ID, 1, -1)) == [("SUCCEEDED", ID)]
    assert server.asked == {"login": 3, "runJob": 1, "watchedInstance": 5}


@pytest.mark.parametrize(
    ("status", "content_type"),
    [(200, "application/json"), (200, "application/octet-stream"), (400, "application/json"), (500, "text/html")],
)
def test_ten_mebibytes_of_junk_are_a_short_error(
    transport: Transport, server: Scripted, status: int, content_type: str
) -> None:
    server.answers = [http(status, JUNK, content_type=content_type)]
    with pytest.raises(SaagieApiError if status == 400 else SaagieOutcomeUnknown) as caught:
        transport(settings_of(server), instances.run(ID))
    assert server.asked["runJob"] == 1
    assert len(str(caught.value)) < 1000


def test_a_login_that_is_answered_by_junk_is_a_short_error(
    transport: Transport, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripting, "LOGIN_ANSWER", http(200, JUNK, content_type="text/plain"))
    with pytest.raises(SaagieProtocolError, match="no token") as caught:
        transport(settings_of(server), instances.run(ID))
    assert len(str(caught.value)) < 1000
    assert server.asked == {"login": 1}


LOGIN = scripting.LOGIN_ANSWER


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(cut=st.integers(0, len(LOGIN) - 1))
def test_a_login_cut_at_any_byte_is_no_token(transport: Transport, cut: int) -> None:
    with pytest.MonkeyPatch.context() as patch, scripted_server() as server:
        patch.setattr(scripting, "LOGIN_ANSWER", LOGIN[:cut])
        with pytest.raises(SaagieError, match="login"):
            transport(settings_of(server), instances.run(ID))
        assert set(server.asked) == {"login"}


@pytest.mark.parametrize("status", [400, 500])
def test_brackets_without_end_are_quoted_as_any_other_junk(transport: Transport, server: Scripted, status: int) -> None:
    server.answers = [http(status, b"[" * 200_000)]
    with pytest.raises(SaagieError, match=rf"HTTP {status}.*\[\[\["):
        transport(settings_of(server), definitions.get_info(ID, None, None, False))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http(500, b"x" * 999)[:-9], SaagieConnectionError),
        (http(404, b"no gzip", "Content-Encoding: gzip"), SaagieConnectionError),
        (http(500, b""), SaagieConnectionError),
        (http(404, b"[" * 200_000), SaagieNotFound),
        (http(200, b"<html>Sign in", content_type="text/html"), SaagieProtocolError),
        # As long as a file: the beginning will do, and nobody waits for the rest.
        (b"HTTP/1.1 500 X\r\nContent-Length: 9000000000\r\n\r\n" + b"x" * PIECE, SaagieConnectionError),
    ],
)
def test_a_download_that_is_answered_by_an_error_page_is_our_error_however_that_ends(
    server: Scripted, answer: bytes, kind: type[SaagieError]
) -> None:
    server.answers = [answer]
    with Session(settings_of(server), sleep=lambda _: None) as session, pytest.raises(kind, match="download") as caught:
        list(session.download("/a/file"))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http(500, b""), SaagieOutcomeUnknown),
        (http(403, b""), SaagieAuthError),
        (graphql({"errors": [{"message": "no such cron"}]}), SaagieApiError),
        (graphql({"data": {"editJob": None}}), SaagieOutcomeUnknown),
    ],
)
def test_a_change_in_two_parts_says_what_is_done(
    transport: Transport, server: Scripted, answer: bytes, kind: type[SaagieError]
) -> None:
    """`create_or_upgrade` adds a version and then edits: the version is there when the edit fails."""
    server.of["addJobVersion"] = graphql({"data": {"addJobVersion": {"number": 2}}})
    server.answers = [answer]
    with pytest.raises(kind, match=rf"editJob.*{ID} has got its version 2"):
        transport(settings_of(server), deployment.create_or_upgrade(ID, deployment.JobChange(job_name="a")))
    assert (server.asked["addJobVersion"], server.asked["editJob"]) == (1, 1)


@pytest.mark.parametrize("answer", [{"number": None}, {"number": "2"}, {}, 2, []])
def test_an_added_version_that_the_answer_does_not_name_is_not_known(
    transport: Transport, server: Scripted, answer: object
) -> None:
    server.of["addJobVersion"] = graphql({"data": {"addJobVersion": answer}})
    with pytest.raises(SaagieOutcomeUnknown, match="addJobVersion"):
        transport(settings_of(server), deployment.create_or_upgrade(ID, deployment.JobChange(job_name="a")))
    assert (server.asked["addJobVersion"], server.asked["editJob"]) == (1, 0)


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"errors": 5}', b'{"data": 5, "errors": true}'])
def test_a_batch_that_is_answered_by_it_has_an_outcome(server: Scripted, body: bytes) -> None:
    """The watcher sends its own text, and takes outcomes as they are."""
    server.answers = [http(200, body)]

    async def ask() -> outcomes.Outcome:
        async with AsyncSession(settings_of(server)) as session:
            return await session.send_text("watchInstances", "query watchInstances { platform { id } }", {})

    outcome = asyncio.run(ask())
    with pytest.raises(SaagieError, match="watchInstances"):
        core.meaning("watchInstances", outcome, settings_of(server), is_mutation=False)


def test_instances_that_start_meanwhile_are_counted_once() -> None:
    """They move the pages: the last of the first page is the first of the second."""
    pages = [range(200, 100, -1), range(101, 1, -1), range(1, 0, -1)]
    rows = [[{"id": f"instance {number}", "number": number} for number in page] for page in pages]
    supply = iter(rows)
    found = drive(instances.list_newer(ID, 0), lambda _: {"job": {"instances": next(supply)}})
    assert sorted(one.number for one in found) == list(range(1, 201))
