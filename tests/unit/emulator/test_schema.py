"""The emulator serves a part of the published schemas, and nothing else."""

from __future__ import annotations

from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_introspection_query,
    is_specified_scalar_type,
)

from airflow_provider_saagie.emulator.web.graphql import gateway_api, projects_api
from tests.support import schemas as published

SERVED = {"projects": projects_api, "gateway": gateway_api}
LOCATIONS_OF_2021 = {
    "QUERY", "MUTATION", "SUBSCRIPTION", "FIELD", "FRAGMENT_DEFINITION", "FRAGMENT_SPREAD", "INLINE_FRAGMENT",
    "VARIABLE_DEFINITION", "SCHEMA", "SCALAR", "OBJECT", "FIELD_DEFINITION", "ARGUMENT_DEFINITION", "INTERFACE",
    "UNION", "ENUM", "ENUM_VALUE", "INPUT_OBJECT", "INPUT_FIELD_DEFINITION",
}  # fmt: skip


def members(kind: GraphQLNamedType | None) -> dict[str, Any]:
    """Return what a schema says of a type: its values, or its fields and interfaces."""
    if isinstance(kind, GraphQLEnumType):
        return dict.fromkeys(kind.values, "value")
    if isinstance(kind, GraphQLInputObjectType):
        return {name: str(field.type) for name, field in kind.fields.items()}
    if not isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        return {}
    members: dict[str, Any] = {"(interfaces)": {interface.name for interface in kind.interfaces}}
    for name, field in kind.fields.items():
        arguments = {argument: str(value.type) for argument, value in field.args.items()}
        members[name] = (str(field.type), arguments, field.deprecation_reason is not None)
    return members


def differences(served: GraphQLSchema, original: GraphQLSchema) -> list[str]:
    """Return what is served and not published like this.

    Fewer types, and fewer fields of an object, are not a difference. Inputs and enums are served whole, since a client
    may send any of their fields and values.
    """
    found = set()
    for name, kind in served.type_map.items():
        if name.startswith("__") or is_specified_scalar_type(kind):
            continue
        ours, theirs = members(kind), members(original.type_map.get(name))
        if type(original.type_map.get(name)) is not type(kind):
            found.add(name)
            continue
        is_whole = isinstance(kind, GraphQLEnumType | GraphQLInputObjectType)
        compared = ours.keys() | theirs.keys() if is_whole else ours.keys()
        found |= {f"{name}.{member}" for member in compared if ours.get(member) != theirs.get(member)}
    return sorted(found)


def test_served_types_are_published_like_this() -> None:
    for name, make_api in SERVED.items():
        assert differences(make_api().schema, published.schema(name)) == [], name


def test_differences_notices_each_kind_of_deviation() -> None:
    original = build_schema(
        "type Query implements N { a(x: Int): Int b: Int c: Int d: [Int] same: E unserved: Int } interface N { a: Int }"
        "enum E { V W } input I { i: Int j: Int } type K { k: Int } type Unserved { u: Int }"
    )
    served = build_schema(
        "type Query { a(x: Int!): Int b: Int! c: Int @deprecated d: [Int!] same: E new: Int } interface N { a: Int }"
        "enum E { V X } input I { i: Int! } interface K { k: Int } scalar New"
    )
    wrong = "E.W E.X I.i I.j K New Query.(interfaces) Query.a Query.b Query.c Query.d Query.new"
    assert differences(served, original) == wrong.split()


def test_jobs_are_served_whole() -> None:
    original, served = published.schema("projects"), projects_api().schema
    assert original.mutation_type is not None
    assert served.mutation_type is not None
    missing = original.mutation_type.fields.keys() - served.mutation_type.fields.keys()
    # Each of the three is deprecated for one that is served.
    replaced = {"archiveJob", "archiveProject", "moveJobs"}
    assert {name for name in missing if "Job" in name or "Project" in name} == replaced
    for name in ("Job", "JobVersion", "JobInstance", "InstanceHistory", "InstanceStatusDetails", "Logs", "Log"):
        assert set(members(served.type_map[name])) == set(members(original.type_map[name])), name


def test_introspection_names_only_locations_of_older_clients() -> None:
    query = get_introspection_query()
    for name, make_api in SERVED.items():
        api = make_api()
        answer = api.execute(api.prepare(query), {"query": query}, context=None)  # type: ignore[arg-type]
        assert "errors" not in answer, name
        for directive in answer["data"]["__schema"]["directives"]:
            assert set(directive["locations"]) <= LOCATIONS_OF_2021, (name, directive)
