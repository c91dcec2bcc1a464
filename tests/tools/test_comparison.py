"""The page that compares: each claim says how it is known, and what was read is still where the page says."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.pages import DOCS, ROOT, table, text_of

PAGE = text_of(DOCS / "comparison.md")
PEERS = ROOT / ".venv-peers"  # for the benchmark: scripts/peers_env.sh makes it
SHOWN = re.compile(r"\]\((\.\./tests/|benchmarks\.md#)")
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
CLAIMS = table(PAGE, "What")
READ = {number: (module, re.findall(r"`([A-Za-z_.]+)`", what)) for number, _, module, what in table(PAGE, "Read")}


def numbers(text: str) -> set[str]:
    return {number.translate(RAISED) for number in re.findall("[⁰¹²³⁴⁵⁶⁷⁸⁹]+", text)}


@pytest.mark.parametrize("row", CLAIMS, ids=lambda row: row[0])
def test_each_claim_says_how_it_is_known(row: list[str]) -> None:
    ours, *theirs = row[1:]
    assert SHOWN.search(ours), "of ours nothing is only read"
    assert all(numbers(claim) for claim in theirs)


def test_each_raised_number_leads_to_what_was_read() -> None:
    assert numbers(PAGE) == READ.keys()


def test_the_versions_that_were_read_are_those_of_the_benchmark() -> None:
    pinned = re.findall(
        r"apache-airflow-providers-([a-z-]+)==([\d.]+)", (ROOT / "scripts" / "peers_env.sh").read_text()
    )
    assert len(pinned) == 3
    for name, version in pinned:
        assert re.search(rf"{name.replace('-', ' ')}\s+{re.escape(version)}", PAGE, re.IGNORECASE), name


@pytest.mark.parametrize("number", READ)
def test_what_was_read_is_where_the_page_says(number: str) -> None:
    if not PEERS.exists():
        pytest.skip("the other providers are not here: scripts/peers_env.sh installs them")
    module, names = READ[number]
    (file,) = PEERS.glob(f"lib/*/site-packages/airflow/providers/{module.strip('`')}")
    defined = names_in(ast.parse(file.read_text()))
    own = [name for name in names if name.startswith("_") or name.partition(".")[0] in defined]
    assert own
    assert set(own) <= defined


def names_in(module: ast.Module) -> set[str]:
    """Give the functions and classes of a module, and the methods by their class."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    top = [one for one in module.body if isinstance(one, kinds)]
    methods = {
        f"{one.name}.{inner.name}" for one in top for inner in getattr(one, "body", []) if isinstance(inner, kinds)
    }
    return {one.name for one in top} | methods
