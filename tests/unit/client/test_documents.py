"""The GraphQL documents are valid against the published schemas of their endpoints, without deprecated fields."""

from __future__ import annotations

from graphql import GraphQLError, GraphQLSchema, NoDeprecatedCustomRule, parse, specified_rules, validate

from airflow_provider_saagie.client import documents
from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.status import OUTCOMES, InstanceStatus, outcome_of
from tests.support import schemas as published

RULES = [*specified_rules, NoDeprecatedCustomRule]
# The published schema no longer has it; older platforms do, and the reference names it.
NOT_PUBLISHED = {"editJobWithAiGeneratedDescription"}


def test_documents_are_valid_and_use_nothing_deprecated() -> None:
    schemas = published.schemas()
    names = set(documents.operation_names())
    assert names > NOT_PUBLISHED
    errors: dict[str, list[GraphQLError]] = {}
    for document in map(documents.document, sorted(names - NOT_PUBLISHED)):
        errors[document.name] = validate(schemas[document.at_gateway], document.node, RULES)
    assert {name: found for name, found in errors.items() if found} == {}


def test_watch_documents_are_valid_at_any_size() -> None:
    schema: GraphQLSchema = published.schemas()[False]
    for write in (documents.watch_text, documents.watch_jobs_text, documents.watch_logs_text):
        for size in (1, 2, 100):
            assert validate(schema, parse(write(size)), RULES) == [], (write.__name__, size)


def test_published_statuses_and_reasons_have_an_outcome() -> None:
    types = published.schemas()[False].type_map
    reasons = set(types["StatusReason"].values)  # type: ignore[attr-defined]
    assert set(types["InstanceStatus"].values) == set(InstanceStatus.__members__)  # type: ignore[attr-defined]
    assert {reason for _, reason in OUTCOMES if reason} == reasons
    for status in filter(lambda status: status.is_final, InstanceStatus):
        for reason in (None, *reasons):
            instance = JobInstance(id="i", number=1, job_id="j", status=status, reason=reason)
            assert (outcome_of(instance).error is None) == status.is_good, (status, reason)
