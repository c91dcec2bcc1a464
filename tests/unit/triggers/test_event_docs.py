"""The docs' section on event-driven scheduling against the code and the example."""

from __future__ import annotations

import inspect
import runpy
from dataclasses import fields

from airflow_provider_saagie.triggers.events import JobEvent
from airflow_provider_saagie.triggers.saagie import SaagieJobEventTrigger
from tests.support.pages import DOCS, ROOT, blocks_in, section

EXAMPLE = ROOT / "example_dags" / "saagie_job_event.py"
SECTION = section(DOCS / "operators.md", "## Event-driven scheduling")


def test_the_snippet_is_cut_from_the_example() -> None:
    (snippet,) = blocks_in(SECTION, "python")
    assert snippet in EXAMPLE.read_text("utf-8")


def test_the_examples_dag_runs_on_the_ends_of_its_job() -> None:
    example = runpy.run_path(str(EXAMPLE))
    (watcher,) = example["report"].watchers
    _, arguments = watcher.trigger.serialize()
    assert (arguments["job_id"], arguments["statuses"]) == (example["JOB_ID"], ["SUCCEEDED"])


def test_each_parameter_stands_there_with_its_default() -> None:
    rows = {cells[1].strip(" `"): cells[2].strip() for line in SECTION.splitlines() if (cells := line.split("|"))[1:]}
    for name, parameter in inspect.signature(SaagieJobEventTrigger).parameters.items():
        default = "" if parameter.default is parameter.empty else f"`{parameter.default!r}`".replace("'", '"')
        assert rows[name] == default


def test_each_key_of_the_payload_stands_there() -> None:
    for field in fields(JobEvent):
        assert f"`{field.name}`" in SECTION
