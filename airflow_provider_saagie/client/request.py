"""A request as gql's transports take it, with a text that is made once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gql import GraphQLRequest

if TYPE_CHECKING:
    from airflow_provider_saagie.client.documents import Document

__all__ = ["PreparedRequest"]


class PreparedRequest(GraphQLRequest):
    """A document with its variables.

    gql would print the document anew for each request, which takes half as long as the rest of a call.

    :param doc: the document.
    :param variables: its variables; where a file goes along, a ``FileVar`` among them.
    """

    def __init__(self, doc: Document, variables: Mapping[str, Any]) -> None:
        super().__init__(doc.node, variable_values=dict(variables), operation_name=doc.name)
        self._text = doc.text

    @property
    def payload(self) -> dict[str, Any]:
        """The request's body; gql replaces the files in it."""
        return {"query": self._text, "operationName": self.operation_name, "variables": self.variable_values}
