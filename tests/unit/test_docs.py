"""The docs against the code: tables, quoted code, pictures, links, and whatever exists by name."""

from __future__ import annotations

import inspect
import json
import pkgutil
import re
from dataclasses import fields
from pathlib import Path
from textwrap import indent

from airflow_provider_saagie.client.status import OUTCOMES
from airflow_provider_saagie.client.submit import TABLE, Since
from airflow_provider_saagie.connection_form import EXTRA_FIELDS
from airflow_provider_saagie.operators import saagie as operators
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor
from airflow_provider_saagie.triggers.events import JobEvent
from airflow_provider_saagie.triggers.saagie import SaagieJobEventTrigger
from docs import draw_how
from tests.support.pages import DOCS, README, ROOT, blocks, prose_of, section, table, text_of
from tests.support.schemas import schema_text

PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *DOCS.glob("[!_]*/*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
QUOTED = re.compile(r"^<!-- from (?P<path>\S+) -->\n```\w*\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
PATHS = ("airflow_provider_saagie/", "docs/", "example_dags/", "scripts/", "tests/", "airflow_provider_saagie.")
OPERATORS_PAGE = DOCS / "operators.md"


def test_connection_tables_equal_the_form() -> None:
    def shown(default: object) -> str:
        return "" if default is None else f"`{str(default).lower()}`"

    expected = [[field.label, f"`{field.name}`", shown(field.default), field.help] for field in EXTRA_FIELDS]
    for page in (README, DOCS / "connection.md"):
        assert table(text_of(page).partition("made from connection_form.py")[2], "Field") == expected


def test_outcome_table_equals_the_code() -> None:
    expected = [
        [
            status.value,
            f"`{reason}`" if reason else "",
            outcome.meaning.value.removeprefix("the task "),
            f"`{outcome.error.__name__}`" if outcome.error else "",
            outcome.advice,
        ]
        for (status, reason), outcome in OUTCOMES.items()
    ]
    assert table(section(OPERATORS_PAGE, "## What an end means"), "Status") == expected


def test_submit_once_table_equals_the_code() -> None:
    expected = [[found.value, *(row[one].value for one in Since)] for found, row in TABLE.items()]
    assert table(section(DOCS / "submit_once.md", "## What a try does"), "What is stored") == expected


def test_parameter_tables_equal_the_signatures() -> None:
    for cls in (*(getattr(operators, name) for name in operators.__all__), SaagieJobInstanceSensor):
        expected = {
            f"`{name}`" + (" *t*" if name in cls.template_fields else ""): "required"
            if parameter.default is parameter.empty
            else f"`{parameter.default!r}`"
            for name, parameter in inspect.signature(cls).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY and name != "saagie_conn_id"
        }
        rows = table(section(OPERATORS_PAGE, f"## {cls.__name__}"), "Parameter")
        assert {name: default for name, default, _ in rows} == expected, cls.__name__


def test_event_trigger_tables_equal_the_code() -> None:
    text = section(OPERATORS_PAGE, "## Event-driven scheduling")
    defaults = {
        f"`{name}`": "" if parameter.default is parameter.empty else f"`{parameter.default!r}`".replace("'", '"')
        for name, parameter in inspect.signature(SaagieJobEventTrigger).parameters.items()
    }
    assert {name: default for name, default, _ in table(text, "Parameter")} == defaults
    keys = [key.strip("` ") for row in table(text, "Key") for key in row[0].split(",")]
    assert keys == [field.name for field in fields(JobEvent)]


def test_readme_figures_equal_the_measured_ones() -> None:
    measured = json.loads((DOCS / "polling.json").read_text("utf-8"))["measured"]
    medians = {(one["contender"], one["runs"]): one["medians"] for one in measured}
    ours = medians["ours", 1_000]
    rows = "\n".join(" ".join(row[:2]) for row in table(text_of(README), "What"))
    for peer, label in (("dbt_cloud", "dbt Cloud"), ("databricks", "Databricks"), ("airbyte", "Airbyte")):
        requests, cpu = (f"1/{medians[peer, 1_000][what] / ours[what]:.0f}" for what in ("requests", "cpu_ms"))
        assert f"{label}'s trigger {requests} of the requests, {cpu} of the CPU" in rows
    assert f"{medians['ours', 10_000]['cpu_ms'] / medians['bare', 10_000]['cpu_ms']:.1f} times the CPU" in rows


def test_code_compiles_and_is_cut_from_its_file() -> None:
    for page in PAGES:
        for code in blocks(page, "python"):
            assert compile(code, str(page), "exec")
        quotes = list(QUOTED.finditer(text_of(page)))
        for quote in quotes:
            file = (ROOT / quote["path"]).read_text("utf-8")
            assert any(indent(quote["code"], " " * depth) in file for depth in (0, 4)), (page, quote["code"])
        if page.parent.name == "guides" or page.name == "moving.md":  # all that they show is run by tests
            assert len(blocks(page, "python")) == len(quotes), page


def test_pictures_are_current_and_shown() -> None:
    for name, draw in draw_how.ALL.items():
        stored = (draw_how.PICTURES / f"{name}.svg").read_text("utf-8")
        assert stored == draw().svg(), f"{name}: run `python -m docs.draw_how`"
    shown = {Path(target).name for page in PAGES for target in LINK.findall(prose_of(page))}
    assert {path.name for path in draw_how.PICTURES.iterdir()} - shown == set()


def test_links_lead_to_files_and_headings() -> None:
    for page in PAGES:
        for target in LINK.findall(prose_of(page)):
            if "://" not in target:
                path, _, anchor = target.partition("#")
                linked = (page.parent / path).resolve() if path else page
                assert linked.exists(), (page, target)
                headings = re.findall(r"^#+ (.+)$", prose_of(linked), re.MULTILINE) if anchor else []
                anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
                assert not anchor or anchor in anchors, (page, target)


def test_named_files_names_and_make_targets_exist() -> None:
    """`*` and `…` in a path stand for anything."""
    targets = set(re.findall(r"^([\w-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        prose = prose_of(page)
        for name in {word for quoted in re.findall(r"`([^`\n]+)`", prose) for word in quoted.split()}:
            if name.startswith(PATHS) and "/" in name:
                assert any(ROOT.glob(name.replace("…", "*").rstrip("/"))), (page, name)
            elif name.startswith(PATHS):
                pkgutil.resolve_name(name)  # raises if there is no such module or name in it
        commands = re.findall(r"`(make [\w-]+)", prose) + "\n".join(blocks(page, "console")).splitlines()
        assert {name for each in commands for name in re.findall(r"^(?:\$ )?make ([\w-]+)", each)} <= targets, page


def is_in_schema(name: str, text: str) -> bool:
    """Return whether a schema has a type, a field, or ``Type.field``."""
    kind, _, field = name.partition(".")
    found = re.search(rf"^(?:type|input) {kind}\b[^{{]*{{(.*?)^}}", text, re.MULTILINE | re.DOTALL) if field else None
    return bool(re.search(rf"\b{field or kind}\b", found[1] if found else "" if field else text))


def test_assumptions_name_code_and_schema_that_exist() -> None:
    lines = [line for line in text_of(DOCS / "assumptions.md").splitlines() if line.startswith("| ")]
    rows = [row for line in lines if (row := line.split("|"))[1].strip() not in ("What we rely on", "---")]
    assert rows
    for row in rows:
        _, _, where, source, certainty, *_ = row
        assert source.strip(), row
        assert certainty.strip() in ("sure", "likely", "guess"), row
        code = ""
        for name in re.findall(r"`([^`]+)`", where):
            if "/" in name:  # the names that follow are in this file
                code = (ROOT / "airflow_provider_saagie" / name).read_text("utf-8")
            else:
                assert re.search(rf"\b{re.escape(name)}\b", code), row
        for part in source.split(";"):
            for schema in re.findall(r"\*(projects|gateway)\*", part):
                for name in re.findall(r"`(\w+(?:\.\w+)?)", part):
                    assert is_in_schema(name, schema_text(schema)), (name, row)
