"""The pages of the docs as tests read them: their text, their blocks of code, their tables."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
FENCE = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    """Give a page without its blocks of code."""
    return FENCE.sub("", text_of(page))


def blocks(page: Path, language: str) -> list[str]:
    return blocks_in(text_of(page), language)


def blocks_in(text: str, language: str) -> list[str]:
    return [match["code"] for match in FENCE.finditer(text) if match["language"] == language]


def section(page: Path, heading: str) -> str:
    """Give what stands below a heading, up to the next one of its level or above."""
    level = heading.partition(" ")[0]
    _, found, rest = f"\n{text_of(page)}".partition(f"\n{heading}\n")
    assert found, f"{page.name} has no heading {heading!r}"
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def table(text: str, first_cell: str) -> list[list[str]]:
    """Give the rows of the table whose header begins with a cell, the header left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {first_cell} |"))
    rows = []
    for line in lines[start + 2 :]:
        if line.startswith("| --- |"):
            return rows[:-1]  # the next table's header
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
