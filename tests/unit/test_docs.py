"""The docs against the code: tables, quoted code, pictures, links, and whatever exists by name."""

from __future__ import annotations

import ast
import inspect
import json
import pkgutil
import re
import runpy
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


def equal(written: list[list[str]], expected: list[list[str]]) -> None:
    rows = "\n".join(f"| {' | '.join(row)} |" for row in expected)
    assert written == expected, f"The table should be:\n{rows}"


def test_connection_tables_equal_the_form() -> None:
    def shown(default: object) -> str:
        return "" if default is None else f"`{str(default).lower()}`"

    expected = [[field.label, f"`{field.name}`", shown(field.default), field.help] for field in EXTRA_FIELDS]
    for page in (README, DOCS / "connection.md"):
        equal(table(text_of(page).partition("made from connection_form.py")[2], "Field"), expected)


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
    equal(table(section(OPERATORS_PAGE, "## What an end means"), "Status"), expected)


def test_submit_once_table_equals_the_code() -> None:
    expected = [[found.value, *(row[one].value for one in Since)] for found, row in TABLE.items()]
    equal(table(section(DOCS / "submit_once.md", "## What a try does"), "What is stored"), expected)


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


def test_event_example_watches_its_job() -> None:
    example = runpy.run_path(str(ROOT / "example_dags" / "saagie_job_event.py"))
    (watcher,) = example["report"].watchers
    _, arguments = watcher.trigger.serialize()
    assert (arguments["job_id"], arguments["statuses"]) == (example["JOB_ID"], ["SUCCEEDED"])


def test_readme_dag_is_a_part_of_the_example() -> None:
    def arguments(code: str) -> dict[str, dict[str, str]]:
        calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
        return {
            ast.unparse(call.func): {str(keyword.arg): ast.unparse(keyword.value) for keyword in call.keywords}
            for call in calls
            if ast.unparse(call.func).startswith("Saagie")
        }

    (readme_dag,) = [code for code in blocks(README, "python") if "with DAG(" in code]
    example = arguments((ROOT / "example_dags" / "saagie_quickstart.py").read_text("utf-8"))
    shown = arguments(readme_dag)
    assert shown
    for operator, given in shown.items():
        assert given.items() <= example[operator].items()


def test_readme_figures_equal_the_measured_ones() -> None:
    measured = json.loads((DOCS / "polling.json").read_text("utf-8"))["measured"]
    medians = {(one["contender"], one["runs"]): one["medians"] for one in measured}
    ours = medians["ours", 1_000]
    rows = "\n".join(" ".join(row[:2]) for row in table(text_of(README), "What"))
    for peer, label in (("dbt_cloud", "dbt Cloud"), ("databricks", "Databricks"), ("airbyte", "Airbyte")):
        requests, cpu = (f"1/{medians[peer, 1_000][what] / ours[what]:.0f}" for what in ("requests", "cpu_ms"))
        assert f"{label}'s trigger {requests} of the requests, {cpu} of the CPU" in rows
    assert f"{medians['ours', 10_000]['cpu_ms'] / medians['bare', 10_000]['cpu_ms']:.1f} times the CPU" in rows


def test_python_blocks_compile() -> None:
    for page in PAGES:
        for code in blocks(page, "python"):
            assert compile(code, str(page), "exec")


def test_quoted_code_is_cut_from_its_file() -> None:
    for page in PAGES:
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


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_to_files_and_headings() -> None:
    for page in PAGES:
        for target in LINK.findall(prose_of(page)):
            if "://" not in target:
                path, _, anchor = target.partition("#")
                linked = (page.parent / path).resolve() if path else page
                assert linked.exists(), (page, target)
                assert not anchor or anchor in anchors(linked), (page, target)


def exists(name: str) -> bool:
    """Return whether a path, a module or a name in a module exists; ``*`` and ``…`` stand for anything."""
    if "/" in name:
        return any(ROOT.glob(name.replace("…", "*").rstrip("/")))
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError):
        return False
    return True


def test_named_files_names_and_make_targets_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        prose = prose_of(page)
        words = {word for quoted in re.findall(r"`([^`\n]+)`", prose) for word in quoted.split()}
        missing = [word for word in words if word.startswith(PATHS) and not exists(word)]
        named = set(re.findall(r"`make ([\w-]+)[^`]*`", prose))
        for code in blocks(page, "console"):
            named |= set(re.findall(r"^(?:\$ )?make ([\w-]+)", code, re.MULTILINE))
        assert (missing, named - targets) == ([], set()), page


def is_in_schema(name: str, text: str) -> bool:
    """Return whether a schema has a type, a field, or ``Type.field``."""
    kind, _, field = name.partition(".")
    if not field:
        return bool(re.search(rf"\b{kind}\b", text))
    found = re.search(rf"^(?:type|input) {kind}\b[^{{]*{{(?P<fields>.*?)^}}", text, re.MULTILINE | re.DOTALL)
    return bool(found and re.search(rf"\b{field}\b", found["fields"]))


def test_assumptions_name_code_and_schema_that_exist() -> None:
    lines = [line for line in text_of(DOCS / "assumptions.md").splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert rows
    for row in rows:
        if row[0] in ("What we rely on", "---"):
            continue
        _, where, source, certainty, _ = row
        assert source, row
        assert certainty in ("sure", "likely", "guess"), row
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
