"""What the texts say is so: tables equal the code, the README's DAG runs, links lead somewhere, named files exist."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client.status import OUTCOMES
from airflow_provider_saagie.client.submit import TABLE, Since
from airflow_provider_saagie.connection_form import EXTRA_FIELDS
from airflow_provider_saagie.operators import saagie as operators
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor
from docs import draw_how
from tests.integration.airflow.operators.conftest import airflow_db, run_dag  # noqa: F401 - fixtures, found here by their names
from tests.support.pages import README, ROOT, blocks, prose_of, section, table, text_of
from tests.support.schemas import schema_text

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from tests.integration.airflow.operators.conftest import TaskResult

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("[!_]*/*.md")])
DOCUMENTED: list[type] = [*(getattr(operators, name) for name in operators.__all__), SaagieJobInstanceSensor]
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
QUOTED = re.compile(r"^<!-- from (?P<path>\S+) -->\n```\w*\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
PATHS = ("airflow_provider_saagie/", "docs/", "example_dags/", "scripts/", "tests/")
LINES_OF_THE_DAG = 10


def should_be(rows: list[list[str]]) -> str:
    return "The table should be:\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def anchors(page: Path) -> set[str]:
    """Give the anchors that GitHub makes of a page's headings."""
    found = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def readme_dag() -> str:
    return next(code for code in blocks(README, "python") if "with DAG(" in code)


def test_the_readme_begins_with_what_it_is_and_the_one_command() -> None:
    commands = blocks(README, "console")
    assert commands[0] == "make demo\n"
    before_the_picture = text_of(README).partition("![")[0]
    assert len(before_the_picture.splitlines()) < 20
    assert "make test" in text_of(README).partition("\n## ")[0]


def test_the_readmes_dag_is_ten_lines_at_most() -> None:
    assert len([line for line in readme_dag().splitlines() if line.strip()]) <= LINES_OF_THE_DAG


def test_the_readmes_dag_says_what_the_example_says() -> None:
    def given(code: str) -> dict[str, dict[str, str]]:
        calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
        return {
            ast.unparse(call.func): {str(keyword.arg): ast.unparse(keyword.value) for keyword in call.keywords}
            for call in calls
            if ast.unparse(call.func).startswith("Saagie")
        }

    example = given((ROOT / "example_dags" / "saagie_quickstart.py").read_text(encoding="utf-8"))
    for operator, arguments in given(readme_dag()).items():
        assert arguments.items() <= example[operator].items()


def test_the_readmes_dag_runs(
    tmp_path: Path, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    run: Callable[[DAG], dict[str, TaskResult]] = request.getfixturevalue("run_dag")
    file = tmp_path / "readme_dag.py"
    file.write_text(readme_dag())
    shutil.copytree(ROOT / "example_dags" / "jobs", tmp_path / "jobs")
    names: dict[str, Any] = {"__name__": "readme_dag", "__file__": str(file)}
    exec(compile(readme_dag(), str(file), "exec"), names)  # a user's own file, from our own README
    dag = names["run"].dag
    dag.fileloc, dag.relative_fileloc = str(file), file.name
    assert {task_id: result.state for task_id, result in run(dag).items()} == {"deploy": "success", "run": "success"}
    assert "[job] Hello from Saagie!" in "".join(capfd.readouterr())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_texts_compiles(page: Path) -> None:
    for code in blocks(page, "python"):
        assert compile(code, page.name, "exec")


@pytest.mark.parametrize("page", [README, ROOT / "docs" / "connection.md"], ids=lambda page: page.name)
def test_the_table_of_the_connections_fields_is_the_form(page: Path) -> None:
    def shown(default: object) -> str:
        return "" if default is None else f"`{str(default).lower()}`"

    expected = [[field.label, f"`{field.name}`", shown(field.default), field.help] for field in EXTRA_FIELDS]
    written = table(text_of(page).partition("made from connection_form.py")[2], "Field")
    assert written == expected, should_be(expected)


def test_the_table_of_outcomes_is_the_codes() -> None:
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
    written = table(section(ROOT / "docs" / "operators.md", "## What an end means"), "Status")
    assert written == expected, should_be(expected)


def test_the_table_of_submit_once_is_the_code() -> None:
    expected = [[found.value, *(row[one].value for one in Since)] for found, row in TABLE.items()]
    written = table(section(ROOT / "docs" / "submit_once.md", "## What a try does"), "What is stored")
    assert written == expected, should_be(expected)


@pytest.mark.parametrize("operator", DOCUMENTED, ids=lambda operator: operator.__name__)
def test_the_table_of_an_operators_parameters_is_its_signature(operator: type) -> None:
    signature = inspect.signature(operator)
    assert isinstance(signature, inspect.Signature)
    templated = set(operator.template_fields)  # type: ignore[attr-defined]
    expected = {
        f"`{name}`" + (" *t*" if name in templated else ""): "required"
        if parameter.default is inspect.Parameter.empty
        else f"`{parameter.default!r}`"
        for name, parameter in signature.parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name != "saagie_conn_id"
    }
    rows = table(section(ROOT / "docs" / "operators.md", f"## {operator.__name__}"), "Parameter")
    assert {name: default for name, default, _ in rows} == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_names_its_file_is_cut_from_it(page: Path) -> None:
    for quoted in QUOTED.finditer(text_of(page)):
        file = (ROOT / quoted["path"]).read_text(encoding="utf-8")
        assert any(indent(quoted["code"], " " * depth) in file for depth in (0, 4)), quoted["code"]


def test_what_the_guides_show_is_cut_from_what_tests_run() -> None:
    for page in (*(ROOT / "docs" / "guides").glob("*.md"), ROOT / "docs" / "moving.md"):
        assert len(blocks(page, "python")) == len(list(QUOTED.finditer(text_of(page)))), page.name


def test_the_readmes_figures_of_waiting_are_those_that_were_measured() -> None:
    measured = json.loads((ROOT / "docs" / "polling.json").read_text(encoding="utf-8"))["measured"]
    of = {(one["contender"], one["runs"]): one["medians"] for one in measured}
    ours = of["ours", 1_000]
    rows = "\n".join(" ".join(row[:2]) for row in table(text_of(README), "What"))
    for peer, label in (("dbt_cloud", "dbt Cloud"), ("databricks", "Databricks"), ("airbyte", "Airbyte")):
        requests, cpu = (f"1/{of[peer, 1_000][what] / ours[what]:.0f}" for what in ("requests", "cpu_ms"))
        assert f"{label}'s trigger {requests} of the requests, {cpu} of the CPU" in rows
    assert f"{of['ours', 10_000]['cpu_ms'] / of['bare', 10_000]['cpu_ms']:.1f} times the CPU" in rows


@pytest.mark.parametrize("name", draw_how.ALL)
def test_a_drawn_picture_is_what_its_program_draws(name: str) -> None:
    kept = (draw_how.PICTURES / f"{name}.svg").read_text(encoding="utf-8")
    assert kept == draw_how.ALL[name]().svg(), "python -m docs.draw_how draws it anew"


def test_each_picture_that_is_kept_is_shown() -> None:
    """One that no page shows is looked at by nobody, and grows old."""
    shown = {Path(target).name for page in PAGES for target in LINK.findall(prose_of(page))}
    assert {path.name for path in draw_how.PICTURES.iterdir()} - shown == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    missing = []
    for target in LINK.findall(prose_of(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            missing.append(target)
    assert not missing


def exists(named: str) -> bool:
    """Say whether a path, a module or one of its names is there; ``*`` and ``…`` stand for anything."""
    if "/" in named:
        pattern = named.replace("…", "*").rstrip("/")
        return bool(list(ROOT.glob(pattern))) if "*" in pattern else (ROOT / pattern).exists()
    module, names = named, []
    while module:
        try:
            found: object = importlib.import_module(module)
        except ModuleNotFoundError:
            module, _, name = module.rpartition(".")
            names.insert(0, name)
            continue
        for name in names:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_named_in_the_texts_is_there(page: Path) -> None:
    words = [word for quoted in re.findall(r"`([^`\n]+)`", prose_of(page)) for word in quoted.split()]
    named = {word for word in words if word.startswith((*PATHS, "airflow_provider_saagie."))}
    assert not {name for name in named if not exists(name)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_in_the_texts_are_in_the_makefile(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`make ([\w-]+)[^`]*`", prose_of(page)))
    for code in blocks(page, "console"):
        named |= set(re.findall(r"^(?:\$ )?make ([\w-]+)", code, re.MULTILINE))
    assert named <= targets


def assumptions() -> list[list[str]]:
    lines = [line for line in text_of(ROOT / "docs" / "assumptions.md").splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if row[0] not in ("What we rely on", "---")]


def test_each_assumption_has_a_source_and_says_how_sure_it_is() -> None:
    assert not [
        row for row in assumptions() if len(row) != 5 or not row[2] or row[3] not in ("sure", "likely", "guess")
    ]


def test_assumptions_name_code_that_is_there() -> None:
    missing = []
    for _, where, *_ in assumptions():
        text = ""
        for named in re.findall(r"`([^`]+)`", where):
            if "/" in named:  # the names that follow stand in this file
                text = (ROOT / "airflow_provider_saagie" / named).read_text(encoding="utf-8")
            elif not re.search(rf"\b{re.escape(named)}\b", text):
                missing.append(where)
    assert not missing


def test_assumptions_name_what_the_published_schemas_have() -> None:
    missing = []
    for _, _, source, *_ in assumptions():
        for part in source.split(";"):
            for schema in re.findall(r"\*(projects|gateway)\*", part):
                text = schema_text(schema)
                missing += [name for name in re.findall(r"`(\w+(?:\.\w+)?)", part) if not is_in_schema(name, text)]
    assert not missing


def is_in_schema(named: str, text: str) -> bool:
    """Say whether a type, a field or ``Type.field`` stands in a schema's text."""
    kind, _, field = named.partition(".")
    if not field:
        return bool(re.search(rf"\b{kind}\b", text))
    found = re.search(rf"^(?:type|input) {kind}\b[^{{]*{{(?P<fields>.*?)^}}", text, re.MULTILINE | re.DOTALL)
    return bool(found and re.search(rf"\b{field}\b", found["fields"]))
