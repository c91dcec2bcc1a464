"""The example that maps over jobs: tests/system/stack runs it; here, that it parses, and that the docs show it as it is."""

from __future__ import annotations

import importlib.util
from textwrap import indent

import pytest

from tests.support.pages import DOCS, ROOT, blocks_in, section

EXAMPLE = ROOT / "example_dags" / "saagie_many_jobs.py"


@pytest.mark.parametrize("heading", ["## Many jobs at a time", "## What a job hands on"])
def test_the_docs_show_the_example_as_it_stands(heading: str) -> None:
    (shown,) = blocks_in(section(DOCS / "operators.md", heading), "python")
    assert indent(shown, "    ") in EXAMPLE.read_text()


def test_the_example_maps_what_it_says() -> None:
    spec = importlib.util.spec_from_file_location("saagie_many_jobs", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    dag = example.run.dag
    tasks = {task.task_id: task for task in dag.tasks}
    assert set(tasks) == {"deploy", "run", "shares", "describe"}
    assert [name for name, task in tasks.items() if task.is_mapped] == ["deploy", "run", "describe"]
    assert tasks["describe"].upstream_task_ids == {"shares"}
    assert tasks["shares"].upstream_task_ids == {"deploy", "run"}
    assert tasks["run"].pool == "saagie"
