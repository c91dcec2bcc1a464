"""The site of the docs: built with warnings as errors, complete without a server or another host, and searchable."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.chromium import LIMIT
from tests.support.pages import ROOT

pytestmark = pytest.mark.long  # half a minute

WIDE, NARROW = 1280, 390  # pixels


class Links(HTMLParser):
    """What a page links to, what it loads, and the anchors that it has."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in ("script", "img", "iframe", "source") and "src" in given:
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.loads.append(given.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        ["make", "--no-print-directory", "docs", f"SITE={folder}"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "html"


def test_site_is_complete_and_has_reference(site: Path) -> None:
    pages = {page: Links(page) for page in site.rglob("*.html")}
    broken = set()
    for page, found in pages.items():
        for link in found.links:
            url = urlsplit(link)
            if url.scheme in ("http", "https", "mailto"):
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            linked = pages.get(target)
            if not target.is_file() or (url.fragment and linked and unquote(url.fragment) not in linked.anchors):
                broken.add((str(page.relative_to(site)), link))
    assert not broken
    assert not {load for found in pages.values() for load in found.loads if urlsplit(load).scheme or load[:2] == "//"}
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert "@import" not in text, sheet
        assert "url(http" not in text.replace('"', ""), sheet
    for page_name, name in (("operators", "on_lost_submit"), ("operators", "SaagieJobEventTrigger"),
                            ("hook", "run_with_callback")):  # fmt: skip
        assert name in (site / "reference" / f"{page_name}.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        context.set_default_timeout(LIMIT)
        yield context.new_page()


def test_search_finds_pages_without_server(page: Page, site: Path) -> None:
    for words, found in (("on_lost_submit", "submit_once"), ("OUT_OF_MEMORY", "operators")):
        page.goto((site / "index.html").as_uri())
        page.get_by_role("textbox", name="Search").fill(words)
        page.keyboard.press("Enter")
        expect(page.locator(f"ul.search li a[href*={found}]").first).to_be_visible()


def test_no_page_is_wider_than_its_window(page: Page, site: Path) -> None:
    wider = []
    for file in site.rglob("*.html"):
        if "files" in file.relative_to(site).parts:
            continue
        page.goto(file.as_uri())
        for width, scheme in itertools.product((WIDE, NARROW), ("light", "dark")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            if page.evaluate("document.documentElement.scrollWidth") > width:
                wider.append((file.name, width, scheme))
    assert not wider
