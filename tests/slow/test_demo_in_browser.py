"""figclip demo in a real browser: every tab, wide and narrow, with keys, light and dark."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from PIL import Image

from tests.slow.demo_page import EVENTS, OWN, RunningPage, running_page
from tests.videos import draw_video

pytestmark = pytest.mark.slow

playwright = pytest.importorskip("playwright.sync_api")
BROWSER = next(filter(None, map(which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (1280, 390)
TABS = ("Who does what", "Search", "Annotations")
WAIT_MS = 60_000
WIDE = """() => [...document.querySelectorAll("gradio-app *")]
  .filter((one) => one.checkVisibility() && !one.closest(".visually-hidden, .sr-only"))
  .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((one) => `${one.tagName}.${one.className}`)"""


@dataclass
class Opened:
    """A page in a browser, and what its console and its network said."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open_tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()

    def measure(self, script: str) -> Any:
        return self.page.evaluate(script)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if BROWSER is None:
        pytest.skip("no chromium is installed")
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def running(folder: Path) -> Generator[RunningPage]:
    with running_page(folder, *OWN) as page:
        yield page


@pytest.fixture(scope="module")
def chromium(folder: Path) -> Generator[Any]:
    del folder  # skips where there is none
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(chromium: Any, url: str, *, width: int = 1280, scheme: str = "light") -> Generator[Any]:
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(WAIT_MS)
    seen = Opened(page)
    page.on("console", lambda one: seen.said.append(one.text))
    page.on("pageerror", lambda one: seen.said.append(str(one)))
    page.on("request", lambda one: seen.asked.append(one.url))
    page.goto(url)
    page.wait_for_selector("#compare")
    yield seen
    assert seen.said == []
    assert all(one.startswith((url, "data:", "blob:")) for one in seen.asked)
    page.close()


@pytest.fixture(params=WIDTHS)
def at(request: pytest.FixtureRequest, chromium: Any, running: RunningPage) -> Generator[Opened]:
    with opened(chromium, running.url, width=request.param) as seen:
        yield seen
        # Of each test, as it left the page.
        assert seen.measure(WIDE) == []
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert seen.measure(overflow) == 0


def test_examples_are_there_at_first(at: Opened):
    page = at.page
    assert page.get_by_label("Sentences, one a line").input_value().count("\n") == 1
    assert page.locator(".bar-row").count() == 4
    page.wait_for_function("document.querySelector('.shown video').videoWidth > 0")
    page.wait_for_function(
        "[...document.querySelectorAll('.strip img')].every((one) => one.naturalWidth > 0)"
    )
    at.open_tab("Search")
    page.get_by_text("to search in").wait_for()
    assert page.locator(".swaps button:visible").count() > 0
    at.open_tab("Annotations")
    assert page.locator(".timeline .event:visible").count() == len(EVENTS)


def test_another_example_and_a_swap(at: Opened):
    page = at.page
    before = page.get_by_label("Sentences, one a line").input_value()
    page.locator(".strip button").nth(1).click()
    page.locator(".strip button[aria-pressed=true]").nth(0).wait_for()
    page.wait_for_function(
        f"document.querySelector('#sentences textarea').value !== {json.dumps(before)}"
    )
    page.get_by_label("Sentences, one a line").fill("a man pushes a woman")
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("One sentence alone says little").wait_for()
    page.get_by_role("button", name="Swap who acts").click()
    page.locator(".sentences li").nth(1).wait_for()
    written = page.get_by_label("Sentences, one a line").input_value()
    assert written == "a man pushes a woman\na woman pushes a man"
    assert page.locator(".bar-row").count() == 4


def test_texts_of_others_are_texts(at: Opened):
    hostile = '<img src=x onerror="document.title=1"> <script>document.title=1</script> \u202e'
    page = at.page
    page.get_by_label("Sentences, one a line").fill(f"{hostile}\n{{{{7*7}}}} ${{7*7}}")
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("document.title=1").first.wait_for()
    assert page.locator(".comparison img, .comparison script").count() == 0
    assert page.get_by_text("{{7*7}} ${7*7}").count() and page.title() != "1"
    page.get_by_label("Sentences, one a line").fill("\n".join(map(str, range(200))))
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("alert").get_by_text("200 sentences are too many").wait_for()


def test_one_s_own_picture_and_clip(at: Opened, tmp_path: Path):
    page = at.page
    Image.new("RGB", (900, 300), "red").save(tmp_path / "a.png")
    page.set_input_files("[data-upload]", str(tmp_path / "a.png"))
    page.locator(".shown img").wait_for()
    clip = draw_video(tmp_path / "a\u202e<b>.mp4", stamps=range(20))
    page.set_input_files("[data-upload]", str(clip))
    page.wait_for_function("document.querySelector('.shown video')?.videoWidth > 0")


def test_moments_are_found_and_play(at: Opened):
    page = at.page
    at.open_tab("Search")
    page.get_by_label("What happens").fill("a man pushes a woman")
    page.get_by_role("button", name="Swap it for me").click()
    page.locator(".moments li").nth(0).wait_for()
    assert page.get_by_label("What it must not be").input_value().startswith("a woman pushes a man")
    moment = page.locator("[data-play]").nth(0)
    moment.click()
    page.wait_for_function("document.querySelector('.moment video').currentTime > 0")
    assert moment.get_attribute("aria-pressed") == "true"
    moment.click()
    page.wait_for_function("document.querySelector('.moment video').paused")
    page.get_by_label("What happens").fill("two men talk")
    page.get_by_role("button", name="Swap it for me").click()
    page.get_by_role("alert").get_by_text("Write one yourself").wait_for()


def test_annotations_are_changed_checked_and_saved(at: Opened, running: RunningPage):
    page = at.page
    at.open_tab("Annotations")
    page.get_by_label("Ends at (s)").fill("-1")
    page.get_by_role("button", name="Check").click()
    page.get_by_role("alert").get_by_text("Event 1, end_s: is -1, outside 0").wait_for()
    page.get_by_label("Ends at (s)").fill("1.5")
    page.get_by_role("button", name="Add event").click()
    page.wait_for_function("document.querySelectorAll('.timeline .event').length === 3")
    page.get_by_label("Verb").fill("wave")
    page.locator(".timeline .event").nth(1).click()
    page.wait_for_function("document.querySelector('#verb textarea').value === 'pull'")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    first, second = map(json.loads, running.annotations.read_text().splitlines())
    assert [one["verb"] for one in first["events"]] == ["push", "pull", "wave"]
    assert first["events"][0]["end_s"] == 1.5 and second["events"] == EVENTS
    page.locator(".timeline .event").nth(2).click()
    page.wait_for_function("document.querySelector('#verb textarea').value === 'wave'")
    page.get_by_role("button", name="Remove event").click()
    page.wait_for_function("document.querySelectorAll('.timeline .event').length === 2")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()


def test_a_video_that_a_link_leads_to_is_not_shown(at: Opened):
    page = at.page
    at.open_tab("Annotations")
    page.get_by_label("Video", exact=True).click()
    page.get_by_role("option", name="link.mp4").click()
    page.get_by_text("The video is not in the folder of videos.").wait_for()


def test_keys_are_enough(chromium: Any, running: RunningPage):
    with opened(chromium, running.url) as seen:
        page = seen.page
        page.get_by_label("Sentences, one a line").focus()
        page.keyboard.press("Control+A")
        page.keyboard.type("a man pushes a woman")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.get_by_text("One sentence alone").wait_for()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Swap who acts"
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        page.locator(".bar-row").nth(3).wait_for()
        assert page.evaluate("document.activeElement !== document.body")
        page.get_by_role("tab", name="Search").focus()
        page.keyboard.press("Enter")
        page.get_by_label("What happens").focus()
        page.keyboard.type("a man pushes a woman")
        page.keyboard.press("Enter")
        page.locator(".moments li").nth(0).wait_for()


def test_light_and_dark_follow_the_reader(chromium: Any, running: RunningPage):
    papers = {}
    for scheme in ("light", "dark"):
        with opened(chromium, running.url, scheme=scheme) as seen:
            script = "getComputedStyle(document.querySelector('.gradio-container')).backgroundColor"
            papers[scheme] = seen.measure(script)
    assert papers == {"light": "rgb(251, 250, 247)", "dark": "rgb(19, 21, 24)"}


def test_what_is_refused_is_said_beside_the_button(chromium: Any, running: RunningPage):
    with opened(chromium, running.url) as seen:
        page = seen.page
        page.set_input_files(
            "[data-upload]",
            {"name": "a.png", "mimeType": "image/png", "buffer": b"<script>1</script>"},
        )
        page.get_by_text("This is no picture or video that can be read here").wait_for()
        assert page.locator(".upload-note.problem").count() == 1
        # The browser itself tells its console of every answer of that kind.
        assert all("422" in one for one in seen.said)
        seen.said.clear()


def test_it_says_that_it_works(chromium: Any, running: RunningPage):
    with opened(chromium, running.url) as seen:
        page = seen.page
        page.route(re.compile("queue/join"), lambda route: None)  # no answer comes
        page.get_by_role("button", name="Compare").click()
        page.wait_for_function(
            "getComputedStyle(document.querySelector('.comparison').parentElement.parentElement)"
            ".opacity < 1"
        )
        page.unroute(re.compile("queue/join"))


def test_a_page_without_anything_says_how_to_begin(chromium: Any, folder: Path, tmp_path: Path):
    (tmp_path / "run").symlink_to(folder / "run")  # no world lies beside it
    with running_page(tmp_path) as page, opened(chromium, page.url, width=390) as seen:
        shown = seen.page
        shown.get_by_text("Choose a picture or a short clip to begin").wait_for()
        seen.open_tab("Search")
        shown.get_by_text("There is nothing to search in yet").wait_for()
        seen.open_tab("Annotations")
        shown.get_by_text("There are no annotations here yet").wait_for()
        assert seen.measure(WIDE) == []
