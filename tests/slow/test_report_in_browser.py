"""The report in a real browser: nothing on its console, nothing wider than the window."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from figclip.evaluation.sources import parse_source
from figclip.reporting.report import write_report
from tests.reporting.written_films import write_film_heads
from tests.reporting.written_heads import write_heads
from tests.reporting.written_runs import write_run, write_strength, write_summary

pytestmark = pytest.mark.slow

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
WIDTHS = (1280, 375)
LATER = "--virtual-time-budget=2000"
"""Two seconds after the page has loaded, not at once."""

PROBE = """
<script>
addEventListener("load", () => {
  const root = document.documentElement;
  const clips = [...document.querySelectorAll("video")];
  const wide = [...document.querySelectorAll("body *")].filter((one) =>
    !one.closest(".table-box, .skip, svg") &&
    one.getBoundingClientRect().right > root.clientWidth + 1);
  parent.document.documentElement.dataset.probe = JSON.stringify({
    inner: innerWidth,
    overflow: root.scrollWidth - root.clientWidth,
    wide: wide.map((one) => `${one.tagName}.${one.className}`),
    paper: getComputedStyle(document.body).backgroundColor,
    clips: clips.map((clip) => clip.videoWidth),
    buttons: [...document.querySelectorAll(".toggle")].map((one) => one.ariaLabel),
  });
});
</script>
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if BROWSER is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    written = write_run(tmp_path_factory.mktemp("run"))
    write_summary(written)
    write_strength(written)
    situations = write_heads(written.folder / "situations")
    films = write_film_heads(written.folder / "captioning")
    return write_report(
        written.run,
        data=[written.data, parse_source(f"vidsitu:{situations.store}"), films.source],
        store=written.store,
        heads=[situations.run, films.run],
    )


def browse(page: Path, *, width: int, options: tuple[str, ...] = ()) -> tuple[str, list[str]]:
    """The page's elements after its scripts have run, and the lines of its console."""
    assert BROWSER is not None
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--autoplay-policy=no-user-gesture-required",
        f"--window-size={width},800", *options,
        "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def probe(report: Path, *, width: int, options: tuple[str, ...] = ()) -> dict[str, Any]:
    """Measures of the page, by a script that its policy would not let in.

    The page is put into a frame: no window of a browser is as narrow as a phone.
    """
    html = report.read_text(encoding="utf-8")
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    assert len(policy.findall(html)) == 1
    # The load event waits for clips that are to be loaded at once.
    html = policy.sub("", html).replace('preload="none"', 'preload="auto"')
    html = html.replace("</head>", f"{PROBE}</head>")
    frame = report.with_name("framed.html")
    frame.write_text(
        f'<!doctype html><iframe width="{width}" height="800" style="border: 0" '
        f'srcdoc="{escape(html)}"></iframe>',
        encoding="utf-8",
    )
    dom, console = browse(frame, width=1400, options=options)
    assert console == []
    (measures,) = re.findall(r'<html[^>]* data-probe="([^"]*)"', dom)
    return json.loads(unescape(measures))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_console_stays_empty(report: Path, width: int):
    _, console = browse(report, width=width, options=(LATER,))
    assert console == []


def test_a_page_that_reaches_out_is_noticed(report: Path):
    page = report.with_name("reaching.html")
    page.write_text(
        report.read_text(encoding="utf-8").replace(
            "</body>", '<img src="https://example.org/a.png" alt="x"></body>'
        ),
        encoding="utf-8",
    )
    _, console = browse(page, width=1280, options=(LATER,))
    assert len(console) == 1 and "Content Security Policy" in console[0]


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(report: Path, width: int):
    found = probe(report, width=width)
    assert found["inner"] == width
    assert found["overflow"] == 0 and found["wide"] == []


def test_a_page_that_is_too_wide_is_noticed(report: Path):
    page = report.with_name("wide.html")
    wide = '<p class="wide" style="width: 500px">x</p></body>'
    page.write_text(report.read_text(encoding="utf-8").replace("</body>", wide), encoding="utf-8")
    found = probe(page, width=375)
    assert found["overflow"] > 100 and found["wide"] == ["P.wide"]


def test_clips_play_and_have_a_button(report: Path):
    found = probe(report, width=1280)
    assert found["clips"] == [224]
    assert found["buttons"] in (["Play clip 1"], ["Pause clip 1"])


def test_light_and_dark_follow_the_reader(report: Path):
    papers = {
        scheme: probe(
            report, width=1280, options=(f"--blink-settings=preferredColorScheme={scheme}",)
        )["paper"]
        for scheme in (0, 1)
    }
    assert papers == {0: "rgb(19, 21, 24)", 1: "rgb(251, 250, 247)"}
