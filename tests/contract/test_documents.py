"""Every document validates against the published schema of its endpoint, without deprecated fields."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import GraphQLSchema, NoDeprecatedCustomRule, build_schema, parse, specified_rules, validate

from airflow_provider_saagie.client import documents

SHARED = Path(__file__).resolve().parents[3] / "shared" / "schema"


@pytest.fixture(scope="module")
def schemas() -> dict[bool, GraphQLSchema]:
    """The published schemas: True for the gateway's, False for the projects'."""
    if not SHARED.is_dir():
        pytest.skip("the published schemas are not here: ../shared/schema")
    return {
        at_gateway: build_schema((SHARED / f"{name}.graphqls").read_text())
        for at_gateway, name in ((True, "gateway"), (False, "projects"))
    }


# The published schema does not have it any more; older platforms do, and the reference names it.
NOT_PUBLISHED = {"editJobWithAiGeneratedDescription"}


@pytest.mark.parametrize("name", sorted(set(documents.operation_names()) - NOT_PUBLISHED))
def test_the_document_is_valid_and_uses_nothing_deprecated(name: str, schemas: dict[bool, GraphQLSchema]) -> None:
    document = documents.document(name)
    assert validate(schemas[document.at_gateway], document.node, [*specified_rules, NoDeprecatedCustomRule]) == []


@pytest.mark.parametrize("size", [1, 2, 100])
def test_the_watchers_document_is_valid_at_any_size(size: int, schemas: dict[bool, GraphQLSchema]) -> None:
    node = parse(documents.watch_text(size))
    assert validate(schemas[False], node, [*specified_rules, NoDeprecatedCustomRule]) == []


def test_every_status_and_reason_of_the_schema_has_an_outcome(schemas: dict[bool, GraphQLSchema]) -> None:
    from airflow_provider_saagie.client.instances import JobInstance
    from airflow_provider_saagie.client.status import OUTCOMES, InstanceStatus, outcome_of

    statuses = set(schemas[False].type_map["InstanceStatus"].values)  # type: ignore[attr-defined]
    reasons = set(schemas[False].type_map["StatusReason"].values)  # type: ignore[attr-defined]
    assert statuses == set(InstanceStatus.__members__)
    assert {reason for _, reason in OUTCOMES if reason} == reasons
    for status in InstanceStatus:
        for reason in (None, *reasons):
            if status.is_final:
                instance = JobInstance(id="i", number=1, job_id="j", status=status, reason=reason)
                assert (outcome_of(instance).error is None) == status.is_good
