"""The composed documents against the published schema."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from airflow_provider_saagie.client.documents import watch_jobs_text, watch_logs_text, watch_text

SCHEMA = Path(__file__).parents[3].parent / "shared" / "schema" / "projects.graphqls"


@pytest.mark.skipif(not SCHEMA.exists(), reason="the published schema is not part of this repository")
@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("text_of", [watch_text, watch_jobs_text, watch_logs_text])
def test_a_batch_is_valid_for_the_published_schema(text_of: object, size: int) -> None:
    schema = build_schema(SCHEMA.read_text("utf-8"), assume_valid_sdl=True)
    assert validate(schema, parse(text_of(size))) == []  # type: ignore[operator]
