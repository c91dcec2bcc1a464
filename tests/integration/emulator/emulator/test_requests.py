"""What a request may be, and how it is refused; what a request for many things is answered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.integration.emulator.emulator.conftest import NOBODY

if TYPE_CHECKING:
    from tests.integration.emulator.emulator.conftest import Client


def test_one_bad_field_leaves_the_others_of_a_batch_alone(client: Client) -> None:
    instance = client.run(client.job("true", technology="Bash"))
    answer = client.answer(
        "query b($a: UUID!, $b: UUID!) { a: jobInstance(id: $a) { id } "
        "b: filteredLogs(jobInstanceID: $b, streams: [STDOUT]) { count } }",
        {"a": instance, "b": NOBODY},
    )
    assert answer["data"] == {"a": {"id": instance}, "b": None}
    assert [error["path"] for error in answer["errors"]] == [["b"]]


def test_a_hundred_instances_are_answered_in_one_document(client: Client) -> None:
    job = client.job("true", technology="Bash")
    runs = client.data(
        "mutation many($id: UUID!) {" + " ".join(f"r{n}: runJob(jobId: $id) {{ id }}" for n in range(100)) + "}",
        {"id": job},
    )
    ids = [one["id"] for one in runs.values()]
    document = (
        "query many("
        + ", ".join(f"$i{n}: UUID!" for n in range(100))
        + ") {"
        + " ".join(f"i{n}: jobInstance(id: $i{n}) {{ id number }}" for n in range(100))
        + "}"
    )
    found = client.data(document, {f"i{n}": one for n, one in enumerate(ids)})
    assert [one["id"] for one in found.values()] == ids
    assert [one["number"] for one in found.values()] == list(range(1, 101))
    for one in ids:
        client.wait(one)


@pytest.mark.parametrize("number", [0, 8])
def test_a_platform_that_is_not_there_is_not_found(client: Client, number: int) -> None:
    url = f"{client.emulator.url}/projects/api/platform/{number}/graphql"
    answer = client.session.post(url, json={"query": "{ platform { id } }"}, timeout=10)
    assert answer.json() == {"error": f"Platform {number} does not exist", "status": 404}


@pytest.mark.parametrize(
    "body",
    [
        "", "[]", "{", '{"query": 1}', '{"query": "{a}", "variables": []}', '{"q": "{a}"}', "[" * 100_000,
        '{"query": "{a}", "operationName": "\\ud800"}', '{"query": "{a}", "variables": {"\\udfff": 1}}',
    ],
)  # fmt: skip
def test_what_is_no_graphql_request_is_a_bad_request(client: Client, body: str) -> None:
    answer = client.session.post(
        client.emulator.graphql_url, data=body, headers={"Content-Type": "application/json"}, timeout=10
    )
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("document", "classification"),
    [
        ("{", "InvalidSyntax"),
        ("", "InvalidSyntax"),
        ("{ nothing }", "ValidationError"),
        ("{ job { id } }", "ValidationError"),
        ('{ job(id: "x") { id } }', "ValidationError"),
        ("query a { platform { id } } query b { platform { id } }", "ValidationError"),
        ("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }", "ValidationError"),
        ("{" * 10_000, "InvalidSyntax"),
    ],
)
def test_a_document_that_can_not_be_carried_out_is_an_error(client: Client, document: str, classification: str) -> None:
    answer = client.answer(document)
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"]["classification"] == classification


def test_fragments_that_spread_each_other_twice_are_looked_into_once(client: Client) -> None:
    """One look for each way to them would be 2 to the power of 40 looks."""
    doubling = "".join(f" fragment F{one} on Query {{ ...F{one + 1} ...F{one + 1} }}" for one in range(40))
    document = "{ ...F0 }" + doubling + " fragment F40 on Query { platform { id } }"
    assert client.data(document)["platform"] == {"id": 1}
    assert client.emulator.stats()["operations"]["platform"]


@pytest.mark.parametrize(
    "parts",
    [
        {"operations": "{", "map": "{}"},
        {"operations": json.dumps({"query": "{ platform { id } }"})},
        {"operations": json.dumps({"query": "mutation($f: Upload) { x }"}), "map": json.dumps({"0": ["variables.f"]})},
        {"operations": "[]", "map": "{}"},
        {"operations": "[1]", "map": json.dumps({"0": []})},
    ],
)
def test_a_broken_multipart_request_is_a_bad_request(client: Client, parts: dict[str, str]) -> None:
    files = {name: (None, value) for name, value in parts.items()}
    answer = client.session.post(client.emulator.graphql_url, files=files, timeout=10)
    assert answer.status_code == 400


def test_two_slashes_are_served_as_one(client: Client) -> None:
    url = client.emulator.url
    assert client.data("{ platform { id } }", url=f"{url}//projects//api/platform/1/graphql")["platform"] == {"id": 1}
    assert client.data("{ repositories { name } }", url=f"{url}//gateway/api/graphql")
