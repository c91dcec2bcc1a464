"""Every document validates against the published schema of its endpoint, without deprecated fields."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from graphql import GraphQLSchema, NoDeprecatedCustomRule, parse, specified_rules, validate

from airflow_provider_saagie.client import documents
from tests.support import schemas as published


@pytest.fixture(scope="module")
def schemas() -> dict[bool, GraphQLSchema]:
    """The published schemas: True for the gateway's, False for the projects'."""
    return published.schemas()


# The published schema does not have it any more; older platforms do, and the reference names it.
NOT_PUBLISHED = {"editJobWithAiGeneratedDescription"}


@pytest.mark.parametrize("name", sorted(set(documents.operation_names()) - NOT_PUBLISHED))
def test_the_document_is_valid_and_uses_nothing_deprecated(name: str, schemas: dict[bool, GraphQLSchema]) -> None:
    document = documents.document(name)
    assert validate(schemas[document.at_gateway], document.node, [*specified_rules, NoDeprecatedCustomRule]) == []


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("text_of", [documents.watch_text, documents.watch_jobs_text, documents.watch_logs_text])
def test_the_watchers_documents_are_valid_at_any_size(
    text_of: Callable[[int], str], size: int, schemas: dict[bool, GraphQLSchema]
) -> None:
    assert validate(schemas[False], parse(text_of(size)), [*specified_rules, NoDeprecatedCustomRule]) == []


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
