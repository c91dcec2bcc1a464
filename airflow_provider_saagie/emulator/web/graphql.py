"""Carries out GraphQL documents: parsed and validated once, executed often."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ariadne import graphql_sync, load_schema_from_path, make_executable_schema
from graphql import (
    DirectiveLocation,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLDirective,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
    validate,
)

from airflow_provider_saagie.emulator.errors import EmulatorError
from airflow_provider_saagie.emulator.resolvers import catalogue, instances, jobs, logs, projects, purge, versions
from airflow_provider_saagie.emulator.resolvers.scalars import GATEWAY_SCALARS, SCALARS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_saagie.emulator.resolvers.context import Context

log = logging.getLogger(__name__)

_SCHEMAS = Path(__file__).parent.parent / "schema"
_KEPT_DOCUMENTS = 200
_LONGEST_KEPT = 200_000  # characters; a request for 100 instances has some 20,000

# Directive locations of the GraphQL specification of 2021. An introspection that names a newer one breaks clients
# that carry graphql-core 3.2, and so the official client.
_KNOWN_LOCATIONS = frozenset(DirectiveLocation) - {
    location for location in DirectiveLocation if location.name == "DIRECTIVE_DEFINITION"
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document that was parsed and validated.

    :param document: what is executed; None where it can't be parsed.
    :param errors: why it can't be executed.
    :param fields: the names of the fields at its top.
    :param operations: the names of its operations.
    :param mutates: whether it holds a mutation.
    """

    document: DocumentNode | None
    errors: tuple[GraphQLError, ...]
    fields: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    mutates: bool = False


class Api:
    """A GraphQL schema with its resolvers.

    :param schema: the executable schema.
    """

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self._prepared: OrderedDict[str, Prepared] = OrderedDict()
        self._lock = threading.Lock()

    def remembered(self, text: str) -> Prepared | None:
        """Find a document that was prepared before.

        :param text: the document.
        :return: what came of it, or None.
        """
        with self._lock:
            found = self._prepared.get(text)
            if found is not None:
                self._prepared.move_to_end(text)
            return found

    def prepare(self, text: str) -> Prepared:
        """Parse and validate a document, which takes a while for a long one, and remember it unless it is very long.

        :param text: the document.
        :return: what came of it.
        """
        found = self._prepare(text)
        if len(text) > _LONGEST_KEPT:
            return found
        with self._lock:
            self._prepared[text] = found
            if len(self._prepared) > _KEPT_DOCUMENTS:
                self._prepared.popitem(last=False)
        return found

    def execute(self, prepared: Prepared, data: dict[str, Any], context: Context) -> dict[str, Any]:
        """Carry a document out.

        :param prepared: what `prepare` returned.
        :param data: the request: variables and operationName are read.
        :param context: what resolvers are given.
        :return: the answer.
        """
        if prepared.document is None or prepared.errors:
            return {"errors": [format_error(one) for one in prepared.errors], "data": None}
        _, answer = graphql_sync(
            self.schema,
            data,
            context_value=context,
            query_document=prepared.document,
            query_validator=lambda *_, **__: [],  # it was validated when it was prepared
            error_formatter=format_error,
            logger=_SILENT,
        )
        answer.setdefault("data", None)
        return answer

    def _prepare(self, text: str) -> Prepared:
        try:
            document = parse(text)
        except GraphQLSyntaxError as error:
            return Prepared(None, (error,))
        operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
        return Prepared(
            document=document,
            errors=tuple(validate(self.schema, document)),
            fields=tuple(name for one in operations for name in _field_names(document, one.selection_set)),
            operations=tuple(one.name.value for one in operations if one.name),
            mutates=any(one.operation is OperationType.MUTATION for one in operations),
        )


def projects_api() -> Api:
    """Make the API of a platform's projects.

    :return: the API.
    """
    nouns = (projects, jobs, versions, instances, purge, logs)
    return Api(_schema("projects.graphql", [*SCALARS, *(one for noun in nouns for one in noun.BINDABLES)]))


def gateway_api() -> Api:
    """Make the API of the technology catalogue.

    :return: the API.
    """
    return Api(_schema("gateway.graphql", [*GATEWAY_SCALARS, *catalogue.BINDABLES]))


def format_error(error: GraphQLError, debug: bool = False) -> dict[str, Any]:  # noqa: ARG001, ariadne calls it so
    """Write an error in the platform's form.

    :param error: what went wrong.
    :param debug: not heeded.
    :return: message, path, locations, and the classification among the extensions.
    """
    cause = error.original_error
    if isinstance(error, GraphQLSyntaxError):
        message, classification = error.message, "InvalidSyntax"
    elif isinstance(cause, EmulatorError):
        message, classification = str(cause), cause.classification
    elif cause is None or isinstance(cause, GraphQLError | ValueError):
        message, classification = error.message, "ValidationError"
    else:
        log.error("An unforeseen error at %s", error.path, exc_info=cause)
        message, classification = "Something went wrong in the emulator; its own log says what", "INTERNAL_ERROR"
    return {
        "message": message,
        "path": error.path,
        "locations": [{"line": one.line, "column": one.column} for one in error.locations or ()],
        "extensions": {"classification": classification},
    }


def _schema(file: str, bindables: Sequence[Any]) -> GraphQLSchema:
    schema = make_executable_schema(load_schema_from_path(str(_SCHEMAS / file)), *bindables, convert_names_case=True)
    schema.directives = tuple(
        GraphQLDirective(
            name=one.name,
            locations=[location for location in one.locations if location in _KNOWN_LOCATIONS],
            args=one.args,
            is_repeatable=one.is_repeatable,
            description=one.description,
        )
        for one in schema.directives
    )
    return schema


def _field_names(document: DocumentNode, selection: SelectionSetNode) -> list[str]:
    """Name the fields at the top; each fragment is looked into once, however often and in what circles it is spread."""
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    names: dict[str, None] = {}
    waiting = list(reversed(selection.selections))
    while waiting:
        node = waiting.pop()
        if isinstance(node, FieldNode):
            names[node.name.value] = None
            continue
        inner = fragments.pop(node.name.value, None) if isinstance(node, FragmentSpreadNode) else node
        if isinstance(inner, FragmentDefinitionNode | InlineFragmentNode):
            waiting.extend(reversed(inner.selection_set.selections))
    return list(names)


_SILENT = logging.getLogger(__name__ + ".ariadne")  # ariadne logs each refusal with a traceback; format_error logs ours
_SILENT.setLevel(logging.CRITICAL + 1)
