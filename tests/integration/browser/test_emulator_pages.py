"""The emulator's pages in a browser: navigation, live updates, faults, hostile names, contrast and narrow screens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from airflow_provider_saagie.emulator.testing import start
from tests.support.chromium import LIMIT
from tests.support.emulator_client import RUN_JOB
from tests.support.emulator_scene import PROJECT, Scene, build
from tests.support.held_jobs import Hold

LOADS, RUNS = "Load the warehouse", "Rebuild the index"
HOSTILE = "</samp><script>document.title = 'taken over'</script><img src=x onerror=alert(1)>"
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 375, "height": 740}
AWAY = "The emulator does not answer."
DELETE = "mutation d($job: UUID!, $ids: [UUID!]!) { deleteJobInstances(jobId: $job, jobInstanceIds: $ids) { success } }"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """An emulator with jobs and instances in it."""
    emulator = start(tmp_path_factory.mktemp("pages"))
    built = build(emulator)
    yield built
    built.client.http.close()
    emulator.stop()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport=WIDE) as context:
        context.set_default_timeout(LIMIT)
        yield context


@pytest.fixture(scope="module")
def complaints() -> list[str]:
    """What pages have reported: uncaught errors, and errors and warnings on the console."""
    return []


@pytest.fixture(scope="module")
def shared_page(context: BrowserContext, complaints: list[str]) -> Page:
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
    return page


@pytest.fixture
def page(shared_page: Page, complaints: list[str]) -> Iterator[Page]:
    """The one page; a test fails if the page has complained."""
    yield shared_page
    shared_page.goto("about:blank")
    assert complaints == []


@contextmanager
def offline(page: Page, complaints: list[str]) -> Iterator[None]:
    """Take the network from the page for the length of a block; its complaints about that don't count."""
    page.context.set_offline(True)
    expect(page.get_by_text(AWAY)).to_be_visible()
    yield
    page.context.set_offline(False)
    expect(page.get_by_text(AWAY)).not_to_be_visible()
    complaints.clear()


def log_lines(page: Page) -> Locator:
    return page.locator("#log samp")


def every_page(scene: Scene) -> list[str]:
    instances = scene.emulator.jobs()[LOADS].instances
    return [
        f"{scene.emulator.url}/projects/platform/1", scene.project, scene.job(LOADS), instances[0].url,
        instances[1].url, scene.latest(RUNS).url, f"{scene.emulator.url}/emulator",
    ]  # fmt: skip


def test_navigation_leads_to_log_and_back(scene: Scene, page: Page) -> None:
    page.goto(scene.emulator.url)
    page.get_by_role("link", name=PROJECT).click()
    page.get_by_role("link", name=LOADS).click()
    page.wait_for_url(scene.job(LOADS))
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="#5")).to_be_focused()
    expect(page.get_by_role("row").filter(has_text="#4")).to_contain_text("GENERIC_ERROR: exit code 2")
    page.get_by_role("link", name="#4").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("FAILED")
    expect(log_lines(page)).to_have_text(["Reading the orders of last night", "orders.csv: no such file"])
    expect(page.locator("#log .stderr")).to_have_count(1)
    page.get_by_role("navigation").get_by_role("link", name=LOADS).click()
    page.wait_for_url(scene.job(LOADS))


def test_live_page_follows_instance_to_its_end(scene: Scene, page: Page, complaints: list[str], tmp_path: Path) -> None:
    steps = [Hold(tmp_path / f"step {number}") for number in range(4)]
    blocks = [f"seq {60 * n + 1} {60 * n + 60}; while [ ! -e '{step.file}' ]; do sleep 0.02; done"
              for n, step in enumerate(steps)]  # fmt: skip
    job = scene.create("Goes on", "; ".join([*blocks, "echo last", "echo key=1 >> $SAAGIE_OUTPUT_VARS_PATH"]))
    page.goto(scene.run(job, "RUNNING").url)
    expect(log_lines(page)).to_have_count(60)
    expect(page).to_have_title(re.compile("RUNNING"))
    page.evaluate("first = document.querySelector('#log div')")
    page.wait_for_function("isAtEnd(document.getElementById('log'))")
    steps[0].release()
    expect(log_lines(page)).to_have_count(120)
    assert page.evaluate("first.isConnected"), "the lines were written again, not added"
    assert page.evaluate("isAtEnd(document.getElementById('log'))")
    page.evaluate("document.getElementById('log').scrollTop = 0")
    steps[1].release()
    expect(log_lines(page)).to_have_count(180)
    assert page.evaluate("document.getElementById('log').scrollTop") == 0, "the reader had scrolled up"
    with offline(page, complaints):
        steps[2].release()
    expect(log_lines(page)).to_have_count(240)
    steps[3].release()
    expect(page).to_have_title(re.compile("SUCCEEDED"))
    expect(log_lines(page)).to_have_text([*map(str, range(1, 241)), "last"])
    expect(page.locator("#history")).to_contain_text("key")
    expect(page.locator("[data-live]")).to_have_count(0)


def test_long_log_shows_end_and_links_to_whole(scene: Scene, page: Page) -> None:
    instance = scene.run(scene.create("Talks a lot", "seq 1 6000"), "SUCCEEDED")
    page.goto(instance.url)
    expect(log_lines(page)).to_have_count(5000)
    expect(log_lines(page).last).to_have_text("6000")
    expect(page.get_by_text("1,000 earlier lines are left out")).to_be_visible()
    page.get_by_role("link", name="the whole log as text").click()
    page.wait_for_url(f"**/emulator/instances/{instance.id}/log")
    assert page.locator("body").inner_text().split() == [str(number) for number in range(1, 6001)]


def test_page_of_deleted_instance_links_to_job(scene: Scene, page: Page, complaints: list[str]) -> None:
    """The instance is deleted while its page is open."""
    job = scene.create("Is cleaned up", "sleep 600")
    instance = scene.run(job, "RUNNING")
    page.goto(instance.url)
    with offline(page, complaints):  # so that the page doesn't see the end of the instance
        scene.emulator.set_instance(instance.id, "SUCCEEDED")
        scene.emulator.graphql(DELETE, job=job, ids=[instance.id])
    expect(page.get_by_role("heading", level=1)).to_have_text("This instance was deleted")
    page.get_by_role("link", name="Go to Is cleaned up").click()
    page.wait_for_url(scene.job("Is cleaned up"))
    expect(page.get_by_text("it has not been run, or they were deleted")).to_be_visible()
    complaints.clear()  # 404 is the answer that the page was to show


def test_older_instances_are_on_second_page(scene: Scene, page: Page) -> None:
    job = scene.create("Runs often", "true")
    fields = " ".join(f"run{number}: runJob(jobId: $id) {{ id }}" for number in range(51))
    scene.client.data(f"mutation runJob($id: UUID!) {{ {fields} }}", id=job)
    page.goto(scene.job("Runs often"))
    expect(page.get_by_text("1 to 50 of 51")).to_be_visible()
    page.get_by_role("link", name="Older").click()
    expect(page.locator("#instances tbody tr")).to_have_count(1)
    expect(page.get_by_role("link", name="#1", exact=True)).to_be_visible()
    page.get_by_role("link", name="Newer").click()
    expect(page.locator("#instances tbody tr")).to_have_count(50)


def test_hostile_names_and_logs_stay_text(scene: Scene, page: Page, hold: Hold) -> None:
    """Also a right-to-left override, which counts to the end of the name only, and a name without spaces."""
    turning, endless = "turns \u202eback", "endless" * 30
    job = scene.create(HOSTILE, "true", description=HOSTILE)
    scene.client.add_version(
        job, f"cat <<'X'\n{HOSTILE}\nX\nwhile [ ! -e '{hold.file}' ]; do sleep 0.02; done", releaseNote=HOSTILE
    )
    page.goto(scene.run(job, "RUNNING").url)
    expect(log_lines(page)).to_have_text([HOSTILE])
    hold.release()
    expect(page).to_have_title(re.compile("SUCCEEDED"))  # the page's script has written the text again
    for url in (page.url, scene.job(HOSTILE), scene.project, f"{scene.emulator.url}/emulator"):
        page.goto(url)
        assert page.locator("script:not([src])").count() == page.locator("main img").count() == 0, url
        assert "taken over" not in page.title().split(">")[0], url

    page.goto(scene.run(scene.create(turning, "true"), "SUCCEEDED").url)
    number, badge = page.evaluate("""() => {
      const text = [...document.querySelector("h1").childNodes].find(node => node.textContent.includes("#1"));
      const range = document.createRange();
      range.selectNode(text);
      return [range.getBoundingClientRect().x, document.querySelector("h1 .status").getBoundingClientRect().x];
    }""")
    assert number < badge
    scene.create(endless, "true")
    page.goto(scene.project)
    expect(page.get_by_text(endless)).to_be_visible()
    assert page.locator(".wide").evaluate("table => table.scrollWidth - table.clientWidth") == 0


def test_faults_are_switched_by_keyboard(scene: Scene, page: Page) -> None:
    page.goto(f"{scene.emulator.url}/emulator")
    kind = page.get_by_label("What goes wrong")
    kind.focus()
    page.keyboard.type("status")
    expect(page.get_by_role("spinbutton", name="HTTP status")).to_be_visible()
    expect(page.get_by_label("Seconds", exact=True).first).not_to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("runJob")
    page.get_by_label("How many").fill("2")
    page.get_by_role("spinbutton", name="HTTP status").fill("429")
    page.get_by_label("Retry-After").fill("7")
    page.keyboard.press("Enter")
    row = page.locator("#faults tbody tr")
    expect(row).to_contain_text("requests 1 to 2")
    expect(row).to_contain_text("status 429, retry_after 7")
    expect(kind).to_have_value("status")

    response = scene.client.send(RUN_JOB, {"id": scene.emulator.jobs()[LOADS].id})
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
    expect(page.locator("#figures .wide tbody tr").first).to_contain_text("status")
    expect(row.locator("td").nth(4)).to_have_text("1")

    page.get_by_role("button", name="Switch status for runJob off").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#faults")).to_contain_text("None: everything works.")
    assert scene.emulator.faults() == []


def test_fault_form_accepts_every_kind_and_shows_errors(scene: Scene, page: Page, complaints: list[str]) -> None:
    page.goto(f"{scene.emulator.url}/emulator")
    select = page.get_by_label("What goes wrong")
    kinds = select.locator("option").evaluate_all("options => options.map(option => option.value)")
    for number, kind in enumerate(kinds, start=1):
        select.select_option(kind)
        page.get_by_role("button", name="Switch on").click()
        expect(page.locator("#faults tbody tr")).to_have_count(number)
    assert [fault["what"] for fault in scene.emulator.faults()] == kinds
    page.get_by_role("button", name="Switch all off").click()
    expect(page.locator("#faults")).to_contain_text("None: everything works.")
    assert complaints == []
    page.evaluate("send('POST', { what: 'nonsense' })")
    expect(page.get_by_role("alert")).to_contain_text("'what' has to be one of")
    complaints.clear()  # the status 400


def test_pages_are_legible_and_fit_a_narrow_screen(scene: Scene, page: Page) -> None:
    """A contrast of 4.5 to 1, which the WCAG ask for, in light and dark."""
    for url in every_page(scene):
        page.set_viewport_size(WIDE)
        page.goto(url)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            assert page.evaluate(CONTRAST) == [], (url, scheme)
        page.set_viewport_size(NARROW)
        assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"], url
        tables = page.locator(".wide").evaluate_all("all => all.map(table => table.scrollWidth - table.clientWidth)")
        assert max(tables, default=0) <= 60, (url, tables)


def test_pages_need_no_script_and_no_other_host(scene: Scene, browser: Browser) -> None:
    requested: list[str] = []
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.on("request", lambda request: requested.append(request.url))
        for url in every_page(scene):
            page.goto(url)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert not [url for url in requested if not url.startswith(f"{scene.emulator.url}/")]


CONTRAST = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => channels(color).slice(0, 3).map((one) => one / 255)
    .map((one) => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, index) => sum + one * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if ((channels(color)[3] ?? 1) > 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const weak = [];
  for (const element of document.querySelectorAll("body *")) {
    const says = [...element.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    if (!says || !element.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) weak.push(`${element.tagName} ${element.className}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(weak)];
}"""
