"""The example DAG that maps over jobs parses, and the docs show it as it is; `tests/system/stack` runs it."""

from __future__ import annotations

import runpy
from textwrap import indent

from tests.support.pages import DOCS, ROOT, blocks_in, section

EXAMPLE = ROOT / "example_dags" / "saagie_many_jobs.py"


def test_many_jobs_example_maps_its_tasks() -> None:
    dag = runpy.run_path(str(EXAMPLE), run_name="saagie_many_jobs")["run"].dag
    tasks = {task.task_id: task for task in dag.tasks}
    assert set(tasks) == {"deploy", "run", "shares", "describe"}
    assert [name for name, task in tasks.items() if task.is_mapped] == ["deploy", "run", "describe"]
    assert tasks["describe"].upstream_task_ids == {"shares"}
    assert tasks["shares"].upstream_task_ids == {"deploy", "run"}
    assert tasks["run"].pool == "saagie"
    for heading in ("## Many jobs at a time", "## What a job hands on"):
        (shown,) = blocks_in(section(DOCS / "operators.md", heading), "python")
        assert indent(shown, "    ") in EXAMPLE.read_text(), heading
