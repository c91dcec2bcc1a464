"""The emulator serves a part of the published schemas, and nothing beside them."""

from __future__ import annotations

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    build_schema,
    get_introspection_query,
    is_specified_scalar_type,
)

from airflow_provider_saagie.emulator.web.graphql import Api, gateway_api, projects_api
from tests.support import schemas as published

OURS = {"projects": projects_api, "gateway": gateway_api}
LOCATIONS_OF_2021 = {
    "QUERY", "MUTATION", "SUBSCRIPTION", "FIELD", "FRAGMENT_DEFINITION", "FRAGMENT_SPREAD", "INLINE_FRAGMENT",
    "VARIABLE_DEFINITION", "SCHEMA", "SCALAR", "OBJECT", "FIELD_DEFINITION", "ARGUMENT_DEFINITION", "INTERFACE",
    "UNION", "ENUM", "ENUM_VALUE", "INPUT_OBJECT", "INPUT_FIELD_DEFINITION",
}  # fmt: skip


@pytest.fixture(params=sorted(OURS))
def api(request: pytest.FixtureRequest) -> Api:
    return OURS[request.param]()


def differences(ours: GraphQLSchema, theirs: GraphQLSchema) -> list[str]:
    """Everything that we serve and that is otherwise, or not there, in the published schema."""
    found: list[str] = []
    for name, our_type in ours.type_map.items():
        if name.startswith("__") or (isinstance(our_type, GraphQLScalarType) and is_specified_scalar_type(our_type)):
            continue
        their_type = theirs.type_map.get(name)
        if type(their_type) is not type(our_type):
            found.append(f"{name} is {type(their_type).__name__} there, {type(our_type).__name__} here")
        elif isinstance(our_type, GraphQLEnumType) and set(our_type.values) != set(their_type.values):
            found.append(f"{name} has other values: {set(our_type.values) ^ set(their_type.values)}")
        elif isinstance(our_type, GraphQLInputObjectType):
            found += _input_differences(name, our_type, their_type)
        elif isinstance(our_type, GraphQLObjectType | GraphQLInterfaceType):
            found += _field_differences(name, our_type, their_type)
    return found


def _input_differences(name: str, ours: GraphQLInputObjectType, theirs: GraphQLInputObjectType) -> list[str]:
    """An input is served whole: a client may send any of its fields."""
    here = {field: str(value.type) for field, value in ours.fields.items()}
    there = {field: str(value.type) for field, value in theirs.fields.items()}
    return [] if here == there else [f"{name}: {sorted(here.items() ^ there.items())}"]


def _field_differences(
    name: str, ours: GraphQLObjectType | GraphQLInterfaceType, theirs: GraphQLObjectType | GraphQLInterfaceType
) -> list[str]:
    found: list[str] = []
    if {one.name for one in ours.interfaces} != {one.name for one in theirs.interfaces}:
        found.append(f"{name} implements other interfaces")
    for field_name, field in ours.fields.items():
        other = theirs.fields.get(field_name)
        if other is None:
            found.append(f"{name}.{field_name} is not published")
            continue
        if str(field.type) != str(other.type):
            found.append(f"{name}.{field_name} is {other.type} there, {field.type} here")
        if (field.deprecation_reason is None) is not (other.deprecation_reason is None):
            found.append(f"{name}.{field_name} is deprecated in one of the two only")
        here = {argument: str(value.type) for argument, value in field.args.items()}
        there = {argument: str(value.type) for argument, value in other.args.items()}
        if here != there:
            found.append(f"{name}.{field_name} has other arguments: {sorted(here.items() ^ there.items())}")
    return found


@pytest.mark.parametrize("name", sorted(OURS))
def test_what_is_served_is_published_type_by_type(name: str) -> None:
    assert differences(OURS[name]().schema, published.schema(name)) == []


def test_the_comparison_notices_what_differs() -> None:
    theirs = build_schema(
        "type Query { a(x: Int): String b: [Int!] @deprecated c: E } enum E { V W } input I { i: Int! }"
    )
    ours = build_schema("type Query { a(x: Int!): String! b: [Int!] c: E d: Int } enum E { V } input I { i: Int }")
    assert len(differences(ours, theirs)) == 6


def test_every_mutation_on_jobs_is_served_or_known_to_be_missing() -> None:
    theirs = published.schema("projects")
    ours = projects_api().schema
    assert theirs.mutation_type is not None
    assert ours.mutation_type is not None
    missing = {
        name
        for name in theirs.mutation_type.fields
        if ("Job" in name or "Project" in name) and name not in ours.mutation_type.fields
    }
    assert missing == {"archiveJob", "archiveProject", "moveJobs"}  # each is deprecated for one that is served


def test_every_field_of_a_job_and_its_parts_is_served() -> None:
    theirs, ours = published.schema("projects"), projects_api().schema
    for name in ("Job", "JobVersion", "JobInstance", "InstanceHistory", "InstanceStatusDetails", "Logs", "Log"):
        assert set(ours.type_map[name].fields) == set(theirs.type_map[name].fields), name


def test_introspection_names_no_directive_location_that_older_clients_do_not_know(api: Api) -> None:
    query = get_introspection_query()
    answer = api.execute(api.prepare(query), {"query": query}, context=None)  # type: ignore[arg-type]
    locations = {place for one in answer["data"]["__schema"]["directives"] for place in one["locations"]}
    assert locations <= LOCATIONS_OF_2021
    assert "errors" not in answer
