"""A Sphinx extension: links that lead out of ``docs/`` work on the site as they do on GitHub.

Pages link to files of the repository by their paths, such as ``../tests/unit/test_docs.py``. On the site each file
that is linked to is a page of its own, which shows its text. README, changelog and the like, which lie beside
``docs/``, have pages that stand for them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
# A page of the site, and the file beside docs/ whose text it has.
TAKEN_OVER = {"changes": "CHANGELOG.md", "contributing": "CONTRIBUTING.md", "security": "SECURITY.md"}
PAGES = {ROOT / "README.md": DOCS / "index.md"} | {
    ROOT / name: DOCS / f"{page}.md" for page, name in TAKEN_OVER.items()
}
ON_THE_SITE = {".md", ".png", ".svg"}
SCHEME = "repo:"
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<=\]\()(?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?=\))")
LANGUAGES = {".py": "python", ".sh": "bash", ".json": "json", ".toml": "toml", ".md": "markdown", ".graphql": "graphql"}


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("source-read", take_over)
    app.connect("doctree-resolved", lead_to_pages)
    app.connect("html-collect-pages", show_files)
    return {"parallel_read_safe": True}


def take_over(app: Sphinx, page: str, source: list[str]) -> None:
    """Give a page its text, and its links targets that the site has."""
    base = DOCS / page
    if page in TAKEN_OVER:
        base = ROOT / TAKEN_OVER[page]
        source[0] = base.read_text(encoding="utf-8")
        app.env.note_dependency(str(base))
    source[0] = with_links(source[0], base.parent, (DOCS / page).parent)


def with_links(text: str, base: Path, folder: Path) -> str:
    """Give a text with links for the site.

    :param text: Markdown.
    :param base: the folder that its links start from.
    :param folder: the folder that they shall start from.
    """

    def target(match: re.Match[str]) -> str:
        path = (base / match["path"]).resolve()
        anchor = match["anchor"] or ""
        if path in PAGES:
            path, anchor = PAGES[path], "" if path.name == "README.md" else anchor
        if path.is_relative_to(DOCS) and path.suffix in ON_THE_SITE:
            return os.path.relpath(path, folder) + anchor
        return f"{SCHEME}{path.relative_to(ROOT)}" if path.exists() else match[0]

    parts = FENCED.split(text)
    return "".join(part if part.startswith("```") else LINK.sub(target, part) for part in parts)


def lead_to_pages(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Have a link to a file lead to the page that shows it."""
    for node in doctree.findall(nodes.reference):
        if (uri := node.get("refuri", "")).startswith(SCHEME):
            path = uri.removeprefix(SCHEME)
            linked(app).add(path)
            node["refuri"] = app.builder.get_relative_uri(page, page_of(path))


def linked(app: Sphinx) -> set[str]:
    """Give the paths that are linked to."""
    return app.__dict__.setdefault("_linked_files", set())


def page_of(path: str) -> str:
    """Name the page that shows a file."""
    return f"files/{path}"


def show_files(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Make a page of each file that is linked to, and of each folder a list."""
    for path in sorted(linked(app)):
        file = ROOT / path
        if file.is_dir():
            names = sorted(one.name for one in file.iterdir() if not one.name.startswith(("_", ".")))
            shown = f"<ul>{''.join(f'<li><code>{escape(name)}</code></li>' for name in names)}</ul>"
        else:
            text = file.read_text(encoding="utf-8")
            shown = app.builder.highlighter.highlight_block(text, LANGUAGES.get(file.suffix, "text"))
        title = f"<h1><code>{escape(path)}</code></h1>"
        yield page_of(path), {"title": path, "body": f'<section class="file">{title}{shown}</section>'}, "page.html"
