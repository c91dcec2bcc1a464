"""The emulator serves a part of the published schemas, and nothing else."""

from __future__ import annotations

from typing import Any

from graphql import BreakingChangeType, find_breaking_changes, find_dangerous_changes, get_introspection_query

from airflow_provider_saagie.emulator.web.graphql import gateway_api, projects_api
from tests.support import schemas as published

SERVED = {"projects": projects_api, "gateway": gateway_api}
KINDS = (BreakingChangeType.FIELD_CHANGED_KIND, BreakingChangeType.ARG_CHANGED_KIND)
LOCATIONS_OF_2021 = {
    "QUERY", "MUTATION", "SUBSCRIPTION", "FIELD", "FRAGMENT_DEFINITION", "FRAGMENT_SPREAD", "INLINE_FRAGMENT",
    "VARIABLE_DEFINITION", "SCHEMA", "SCALAR", "OBJECT", "FIELD_DEFINITION", "ARGUMENT_DEFINITION", "INTERFACE",
    "UNION", "ENUM", "ENUM_VALUE", "INPUT_OBJECT", "INPUT_FIELD_DEFINITION",
}  # fmt: skip


def fields(kind: Any) -> dict[str, Any]:
    return getattr(kind, "fields", {})


def test_served_types_are_published_like_this() -> None:
    """Fewer types and fields are no difference, but inputs and enums are whole: a client may send any part of them."""
    for name, make_api in SERVED.items():
        served, original = make_api().schema, published.schema(name)
        changes = [
            *find_breaking_changes(served, original),
            *find_dangerous_changes(served, original),
            *(change for change in find_breaking_changes(original, served) if change.type in KINDS),
        ]
        assert [change.description for change in changes] == [], name
        for kind in filter(lambda kind: not kind.name.startswith("__"), served.type_map.values()):
            theirs = fields(original.type_map[kind.name])
            for field, described in fields(kind).items():
                assert bool(described.deprecation_reason) == bool(theirs[field].deprecation_reason), (kind, field)


def test_jobs_are_served_whole() -> None:
    original, served = published.schema("projects"), projects_api().schema
    assert original.mutation_type is not None
    assert served.mutation_type is not None
    missing = original.mutation_type.fields.keys() - served.mutation_type.fields.keys()
    # Each of the three is deprecated for one that is served.
    replaced = {"archiveJob", "archiveProject", "moveJobs"}
    assert {name for name in missing if "Job" in name or "Project" in name} == replaced
    for name in ("Job", "JobVersion", "JobInstance", "InstanceHistory", "InstanceStatusDetails", "Logs", "Log"):
        assert fields(served.type_map[name]).keys() == fields(original.type_map[name]).keys() != set(), name


def test_introspection_names_only_locations_of_older_clients() -> None:
    query = get_introspection_query()
    for name, make_api in SERVED.items():
        api = make_api()
        answer = api.execute(api.prepare(query), {"query": query}, context=None)  # type: ignore[arg-type]
        assert "errors" not in answer, name
        for directive in answer["data"]["__schema"]["directives"]:
            assert set(directive["locations"]) <= LOCATIONS_OF_2021, (name, directive)
