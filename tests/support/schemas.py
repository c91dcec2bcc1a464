"""What Saagie publishes and is not ours to ship: it is read from `../shared` beside the checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_schema

SHARED = Path(__file__).resolve().parents[3] / "shared"


def schema_text(name: str) -> str:
    """Give a published schema, `projects` or `gateway`; the test is skipped where it is not here."""
    file = SHARED / "schema" / f"{name}.graphqls"
    if not file.is_file():
        pytest.skip(f"the published schema is not here: ../shared/schema/{file.name}")
    return file.read_text(encoding="utf-8")


@cache
def schema(name: str) -> GraphQLSchema:
    return build_schema(schema_text(name))


def schemas() -> dict[bool, GraphQLSchema]:
    """Give both: True for the gateway's, False for the projects'."""
    return {True: schema("gateway"), False: schema("projects")}
