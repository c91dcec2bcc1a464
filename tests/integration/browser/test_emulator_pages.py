"""The emulator's pages in a real browser: found from link to link, live, usable by keyboard and on a narrow screen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from airflow_provider_saagie.emulator.testing import start
from tests.integration.browser.emulator_scene import PROJECT, build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Locator, Page

    from tests.integration.browser.emulator_scene import Scene

LOADS, RUNS = "Load the warehouse", "Rebuild the index"
HOSTILE = "</samp><script>document.title = 'taken over'</script><img src=x onerror=alert(1)>"
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 375, "height": 740}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """An emulator with jobs and instances in it."""
    emulator = start(tmp_path_factory.mktemp("pages"))
    built = build(emulator)
    yield built
    built.session.close()
    emulator.stop()


@pytest.fixture(autouse=True)
def no_faults(scene: Scene) -> Iterator[None]:
    yield
    scene.emulator.clear_faults()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """A function that opens an address in a window of its own; whatever a page complains of fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_it(url: str, **settings: Any) -> Page:
        contexts.append(browser.new_context(**{"viewport": WIDE, **settings}))
        contexts[-1].set_default_timeout(10_000)
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.goto(url)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []


def log_lines(page: Page) -> Locator:
    return page.locator("#log samp")


def every_page(scene: Scene) -> list[str]:
    instances = scene.emulator.jobs()[LOADS].instances
    return [
        f"{scene.emulator.url}/projects/platform/1", scene.project, scene.job(LOADS), instances[0].url,
        instances[1].url, scene.latest(RUNS).url, f"{scene.emulator.url}/emulator",
    ]  # fmt: skip


def test_links_lead_from_the_start_to_the_log_and_back(scene: Scene, open_page: Callable[..., Page]) -> None:
    page = open_page(scene.emulator.url)
    page.get_by_role("link", name=PROJECT).click()
    page.get_by_role("link", name=LOADS).click()
    assert page.url == scene.job(LOADS)
    expect(page.get_by_role("row").filter(has_text="#4")).to_contain_text("GENERIC_ERROR: exit code 2")
    page.get_by_role("link", name="#4").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("FAILED")
    expect(log_lines(page)).to_have_text(["Reading the orders of last night", "orders.csv: no such file"])
    expect(page.locator("#log .stderr")).to_have_count(1)
    page.get_by_role("navigation").get_by_role("link", name=LOADS).click()
    assert page.url == scene.job(LOADS)


def test_a_running_instances_log_grows_and_keeps_to_its_end(scene: Scene, open_page: Callable[..., Page]) -> None:
    page = open_page(scene.latest(RUNS).url)
    expect(log_lines(page).first).to_have_text("Row group 1 of 900")
    page.evaluate("first = document.querySelector('#log div')")
    page.wait_for_function("() => document.querySelectorAll('#log samp').length > 40")
    assert page.evaluate("first.isConnected"), "lines are added, not written anew"
    numbers = [int(line.split()[2]) for line in log_lines(page).all_inner_texts()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert page.evaluate("isAtEnd(document.getElementById('log'))")
    page.evaluate("document.getElementById('log').scrollTop = 0")
    seen = log_lines(page).count()
    page.wait_for_function("seen => document.querySelectorAll('#log samp').length > seen", arg=seen)
    assert page.evaluate("document.getElementById('log').scrollTop") == 0, "who scrolled up stays there"


def test_the_page_of_an_instance_that_ends_says_so_and_rests(scene: Scene, open_page: Callable[..., Page]) -> None:
    job = scene.create("Ends soon", "echo one; sleep 2; echo last; echo key=1 >> $SAAGIE_OUTPUT_VARS_PATH")
    instance = scene.run(job, "RUNNING")
    page = open_page(next(one.url for one in scene.emulator.jobs()["Ends soon"].instances if one.id == instance))
    expect(page).to_have_title(re.compile("RUNNING"))
    expect(page).to_have_title(re.compile("SUCCEEDED"))
    expect(log_lines(page)).to_have_text(["one", "last"])
    expect(page.locator("#history")).to_contain_text("key")
    expect(page.locator("[data-live]")).to_have_count(0)


def test_a_long_log_shows_its_end_and_leads_to_the_whole(scene: Scene, open_page: Callable[..., Page]) -> None:
    instance = scene.run(scene.create("Talks a lot", "seq 1 6000"), "SUCCEEDED")
    page = open_page(scene.latest("Talks a lot").url)
    expect(log_lines(page)).to_have_count(5000)
    expect(log_lines(page).last).to_have_text("6000")
    expect(page.get_by_text("1,000 earlier lines are left out")).to_be_visible()
    page.get_by_role("link", name="the whole log as text").click()
    assert page.locator("body").inner_text().split() == [str(number) for number in range(1, 6001)]
    assert page.url.endswith(f"/emulator/instances/{instance}/log")


def test_a_deleted_instance_is_said_to_be_deleted_and_leads_to_its_job(scene: Scene, browser: Browser) -> None:
    """A page that is open while its instance is deleted says so too."""
    job = scene.create("Is cleaned up", "sleep 60")
    instance = scene.run(job, "RUNNING")
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(scene.latest("Is cleaned up").url)
        scene.emulator.set_instance(instance, "SUCCEEDED")
        delete = """
        mutation d($job: UUID!, $ids: [UUID!]!) { deleteJobInstances(jobId: $job, jobInstanceIds: $ids) { success } }
        """
        scene.emulator.graphql(delete, job=job, ids=[instance])
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("This instance was deleted")
        page.get_by_role("link", name="Go to Is cleaned up").click()
        assert page.url == scene.job("Is cleaned up")
        expect(page.get_by_text("it has not been run, or they were deleted")).to_be_visible()


def test_older_instances_are_a_page_away(scene: Scene, open_page: Callable[..., Page]) -> None:
    job = scene.create("Runs often", "true")
    for _ in range(51):
        scene.run(job)
    page = open_page(scene.job("Runs often"))
    expect(page.get_by_text("1 to 50 of 51")).to_be_visible()
    page.get_by_role("link", name="Older").click()
    expect(page.locator("#instances tbody tr")).to_have_count(1)
    expect(page.get_by_role("link", name="#1", exact=True)).to_be_visible()
    page.get_by_role("link", name="Newer").click()
    expect(page.locator("#instances tbody tr")).to_have_count(50)


def test_what_jobs_write_and_are_called_stays_text(scene: Scene, open_page: Callable[..., Page]) -> None:
    job = scene.create(HOSTILE, "printf '%s\\n' \"$0\"; exit 1", description=HOSTILE)
    scene.add_version(job, f"cat <<'X'\n{HOSTILE}\nX\nsleep 3", HOSTILE)
    scene.run(job, "RUNNING")
    page = open_page(scene.latest(HOSTILE).url)
    expect(log_lines(page)).to_have_text([HOSTILE])
    expect(page).to_have_title(re.compile("SUCCEEDED"))  # it was renewed by script meanwhile
    for url in (scene.job(HOSTILE), scene.project, f"{scene.emulator.url}/emulator"):
        page.goto(url)
        assert page.locator("script:not([src])").count() == page.locator("main img").count() == 0
        assert "taken over" not in page.title().split(">")[0]


def test_a_name_neither_turns_what_stands_beside_it_nor_pushes_it_away(
    scene: Scene, open_page: Callable[..., Page]
) -> None:
    """A right-to-left override counts to the end of the name only; a name without spaces is broken."""
    turning, endless = "turns \u202eback", "endless" * 30
    scene.run(scene.create(turning, "true"))
    scene.run(scene.create(endless, "true"))
    page = open_page(scene.latest(turning).url)
    number, badge = page.evaluate("""() => {
      const text = [...document.querySelector("h1").childNodes].find(node => node.textContent.includes("#1"));
      const range = document.createRange();
      range.selectNode(text);
      return [range.getBoundingClientRect().x, document.querySelector("h1 .status").getBoundingClientRect().x];
    }""")
    assert number < badge
    page.goto(scene.project)
    assert page.locator(".wide").evaluate("one => one.scrollWidth - one.clientWidth") == 0


def test_faults_are_switched_on_and_off_by_keyboard(scene: Scene, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{scene.emulator.url}/emulator")
    what = page.get_by_label("What goes wrong")
    what.focus()
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
    expect(what).to_have_value("status")

    job = scene.emulator.jobs()[LOADS].id
    run = "mutation runJob($id: UUID!) { runJob(jobId: $id) { id } }"
    url = f"{scene.emulator.url}/projects/api/platform/1/graphql"
    answer = scene.session.post(url, json={"query": run, "variables": {"id": job}}, timeout=10)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    expect(page.locator("#figures .wide tbody tr").first).to_contain_text("status")
    expect(row.locator("td").nth(4)).to_have_text("1")

    off = page.get_by_role("button", name="Switch status for runJob off")
    off.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#faults")).to_contain_text("None: everything works.")
    assert scene.emulator.faults() == []


def test_every_kind_of_fault_can_be_chosen_as_the_form_stands(scene: Scene, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{scene.emulator.url}/emulator")
    what = page.get_by_label("What goes wrong")
    kinds = what.locator("option").evaluate_all("options => options.map(one => one.value)")
    for number, kind in enumerate(kinds, start=1):
        what.select_option(kind)
        page.get_by_role("button", name="Switch on").click()
        expect(page.locator("#faults tbody tr")).to_have_count(number)
    assert [fault["what"] for fault in scene.emulator.faults()] == kinds
    page.get_by_role("button", name="Switch all off").click()
    expect(page.locator("#faults")).to_contain_text("None: everything works.")


def test_what_a_fault_can_not_be_is_said(scene: Scene, browser: Browser) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{scene.emulator.url}/emulator")
        page.evaluate("send('POST', { what: 'nonsense' })")
        expect(page.get_by_role("alert")).to_contain_text("'what' has to be one of")


def test_a_page_goes_on_when_the_emulator_answers_again(scene: Scene, browser: Browser) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(scene.latest(RUNS).url)
        context.set_offline(True)
        expect(page.get_by_text("The emulator does not answer.")).to_be_visible()
        context.set_offline(False)
        expect(page.get_by_text("The emulator does not answer.")).not_to_be_visible()
        before = log_lines(page).count()
        page.wait_for_function("before => document.querySelectorAll('#log samp').length > before", arg=before)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(scene: Scene, open_page: Callable[..., Page], scheme: str) -> None:
    """A contrast of 4.5 to 1, which the WCAG ask for."""
    page = open_page("about:blank", color_scheme=scheme)
    for url in every_page(scene):
        page.goto(url)
        weak = page.evaluate(CONTRAST)
        assert weak == [], url


def test_nothing_is_wider_than_a_narrow_screen(scene: Scene, open_page: Callable[..., Page]) -> None:
    page = open_page("about:blank", viewport=NARROW)
    for url in every_page(scene):
        page.goto(url)
        assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"], url
        tables = page.locator(".wide").evaluate_all("all => all.map(one => one.scrollWidth - one.clientWidth)")
        assert max(tables, default=0) <= 60, (url, tables)


def test_the_first_tab_stop_skips_to_the_content(scene: Scene, open_page: Callable[..., Page]) -> None:
    page = open_page(scene.job(LOADS))
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="#5")).to_be_focused()


def test_pages_load_nothing_from_elsewhere_and_work_without_scripts(scene: Scene, browser: Browser) -> None:
    asked: list[str] = []
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        for url in every_page(scene):
            page.goto(url)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert {url for url in asked if not url.startswith(f"{scene.emulator.url}/")} == set()


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
