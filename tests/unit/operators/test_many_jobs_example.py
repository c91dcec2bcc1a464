"""The example that maps over jobs: tests/airflow runs it; here, that it parses, and that the docs show it as it is."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from textwrap import indent

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "example_dags" / "saagie_many_jobs.py"


def section(heading: str) -> str:
    text = (ROOT / "docs" / "operators.md").read_text()
    return text.partition(f"\n{heading}\n")[2].partition("\n## ")[0]


def test_the_docs_show_the_example_as_it_stands() -> None:
    shown = re.findall(r"^```python\n(.*?)^```$", section("## Many jobs at a time"), re.M | re.S)
    assert len(shown) == 2
    example = EXAMPLE.read_text()
    for code in shown:
        assert indent(code, "    ") in example


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
