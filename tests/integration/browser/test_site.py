"""The site of the docs: built with warnings as errors, whole in itself, and searched in a browser without a server."""

from __future__ import annotations

import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import expect

from tests.integration.browser.chromium import EXECUTABLE, PATIENCE, chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

pytestmark = pytest.mark.long  # half a minute

ROOT = Path(__file__).resolve().parents[3]
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


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    return {page: Links(page) for page in site.rglob("*.html")}


def test_links_and_anchors_lead_somewhere(site: Path, pages: dict[Path, Links]) -> None:
    broken = set()
    for page, found in pages.items():
        for link in found.links:
            url = urlsplit(link)
            if url.scheme in ("http", "https", "mailto"):
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            here = pages.get(target)
            if not target.is_file() or (url.fragment and here and unquote(url.fragment) not in here.anchors):
                broken.add((str(page.relative_to(site)), link))
    assert not broken


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Links]) -> None:
    assert not {load for found in pages.values() for load in found.loads if urlsplit(load).scheme or load[:2] == "//"}
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert "@import" not in text, sheet
        assert "url(http" not in text.replace('"', ""), sheet


def test_the_reference_has_the_parameters_of_the_code(site: Path) -> None:
    shown = (site / "reference" / "operators.html").read_text(encoding="utf-8")
    assert "on_lost_submit" in shown
    assert "SaagieJobEventTrigger" in shown
    assert "run_with_callback" in (site / "reference" / "hook.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(site: Path) -> Iterator[Page]:
    if EXECUTABLE is None:
        pytest.skip("there is no chromium here")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": WIDE, "height": 900})
        page.set_default_timeout(PATIENCE)
        yield page


@pytest.mark.parametrize(("words", "found"), [("on_lost_submit", "submit_once"), ("OUT_OF_MEMORY", "operators")])
def test_the_search_finds_without_a_server(page: Page, site: Path, words: str, found: str) -> None:
    page.goto((site / "index.html").as_uri())
    page.get_by_role("textbox", name="Search").fill(words)
    page.keyboard.press("Enter")
    # Hits are listed one after the other.
    expect(page.locator(f"ul.search li a[href*={found}]").first).to_be_visible()


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_its_window(page: Page, site: Path, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    wider = []
    for file in site.rglob("*.html"):
        if "files" not in file.relative_to(site).parts:
            page.goto(file.as_uri())
            if page.evaluate("document.documentElement.scrollWidth") > width:
                wider.append(file.name)
    assert not wider
