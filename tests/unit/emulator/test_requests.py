"""Test which requests the emulator takes, how it refuses others, and batch documents."""

import json

from tests.support.emulator_client import NOBODY, URL, Client, data_of


def test_failing_field_leaves_others_of_a_batch_alone(client: Client) -> None:
    instance = client.start("true")
    document = (
        "query b($a: UUID!, $b: UUID!) { a: jobInstance(id: $a) { id } "
        "b: filteredLogs(jobInstanceID: $b, streams: [STDOUT]) { count } }"
    )
    answer = client.answer(document, a=instance, b=NOBODY)
    assert answer["data"] == {"a": {"id": instance}, "b": None}
    assert [error["path"] for error in answer["errors"]] == [["b"]]


def test_hundred_instances_fit_into_one_document(client: Client) -> None:
    runs = " ".join(f"r{n}: runJob(jobId: $id) {{ id }}" for n in range(100))
    ids = [one["id"] for one in client.data(f"mutation many($id: UUID!) {{ {runs} }}", id=client.job()).values()]
    names = ", ".join(f"$i{n}: UUID!" for n in range(100))
    fields = " ".join(f"i{n}: jobInstance(id: $i{n}) {{ id number }}" for n in range(100))
    found = client.data(f"query many({names}) {{ {fields} }}", **{f"i{n}": one for n, one in enumerate(ids)})
    assert [(one["id"], one["number"]) for one in found.values()] == list(zip(ids, range(1, 101), strict=True))


def test_missing_platform_is_not_found(client: Client) -> None:
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
        ("", "InvalidSyntax"),
        ("{" * 10_000, "InvalidSyntax"),
        ("{ nothing }", "ValidationError"),
        ("{ job { id } }", "ValidationError"),
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


def test_two_slashes_are_one(client: Client) -> None:
    for path, document in (
        ("//projects//api/platform/1/graphql", "{ platform { id } }"),
        ("//gateway/api/graphql", "{ repositories { name } }"),
    ):
        assert data_of(client.http.post(URL + path, json={"query": document})), path
