"""`report.html`: one file about a run, without network, for people who have ten seconds."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from figclip.checkpoint import RunFolder, write_atomically
from figclip.data_sources import DataSource
from figclip.errors import DataError
from figclip.reporting import charts, claims, numbers
from figclip.reporting.examples import Outcome, pick_examples
from figclip.reporting.json_files import damage_named
from figclip.reporting.report_data import RunFiles, read_run_files, report_data
from figclip.reporting.training_captions import CaptionedVideo, caption_training_video
from figclip.reporting.word_changes import changed_words

MAX_BYTES = 4_000_000
"""Of the page. Clips are bounded in `examples`; only very long texts could exceed it."""

OUTCOME_WORDS: dict[Outcome, str] = {
    "both": "both right",
    "gained": "only adapted right",
    "lost": "only base right",
    "failed": "both wrong",
}
"""In the order of the bar."""

_PAGE = "reporting/page"


def write_report(
    run: Path,
    *,
    data: Sequence[DataSource] = (),
    store: Path | None = None,
    out: Path | None = None,
) -> Path:
    """Write the report of a run from its files; no model is loaded.

    The same files give the same page. What is not there is named on the page instead.

    Args:
        run: Run folder.
        data: Sets of true and false captions that `figclip eval` scored, to show clips of.
        store: A frame store it was trained on, to show captions of.
        out: The file; None: `report.html` in the run folder.

    Returns:
        The file.

    Raises:
        DataError, CheckpointError, ConfigError, ModelError: a file of the run is damaged, or there
            is none at all.
        AnnotationError, VideoError, StoreError: `data` or `store` cannot be used.
    """
    read = read_run_files(run)
    captioned = None if store is None else _captioned(store, read)
    examples = pick_examples(data, read.results) if data else None
    script = _page_file("report.js")
    report = report_data(read)
    html = (
        _environment()
        .get_template("report.html.j2")
        .render(
            data=report,
            examples=examples,
            captioned=captioned,
            captions_absent=_captions_absent(read),
            outcome_words=OUTCOME_WORDS,
            several_seeds=read.summary is not None and len(read.summary.seeds) > 1,
            stage_durations=[numbers.duration(seconds) for _, seconds in report.stages],
            css=Markup(_page_file("report.css")),
            script=Markup(script),
            script_hash=_content_hash(script),
            version=version("figclip"),
        )
    )
    content = html.encode()
    file = out or run / "report.html"
    if len(content) > MAX_BYTES:
        raise DataError(
            f"would have {len(content):,} bytes, more than {MAX_BYTES:,}",
            where=str(file),
            fix="Give fewer --data, or none",
        )
    write_atomically(file, content)
    return file


def _environment() -> Environment:
    """Templates that escape every text but SVG, style and script of our own."""
    environment = Environment(
        loader=PackageLoader("figclip", _PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    functions: dict[str, Any] = {
        "percent": numbers.percent,
        "plain": numbers.plain,
        "span": numbers.span,
        "duration": numbers.duration,
        "direction": numbers.direction,
        "claim": claims.claim,
        "caution": claims.caution,
        "picture": charts.picture,
        "dumbbell": charts.dumbbell,
        "outcome_bar": charts.outcome_bar,
        "stage_bars": charts.stage_bars,
        "line_chart": charts.line_chart,
        "changed_words": changed_words,
        "test_name": _test_name,
    }
    environment.globals.update(functions)
    return environment


def _page_file(name: str) -> str:
    """A file of the page, as it is in the package."""
    return files("figclip").joinpath(_PAGE, name).read_text(encoding="utf-8")


def _content_hash(script: str) -> str:
    """What the page's policy allows to run, and nothing else."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _test_name(test: str) -> str:
    """Names of parts and files in words."""
    return test.replace("_", " ").replace("-", ", ")


def _captioned(store: Path, read: RunFiles) -> CaptionedVideo | None:
    """A training video with its texts; None where the run's files do not say what these were."""
    if read.config is None or read.data is None:
        return None
    return caption_training_video(
        store, read.config, read.data, data_file=RunFolder(read.path).data
    )


def _captions_absent(read: RunFiles) -> str:
    """Why no captions are shown, and what would show them."""
    if read.config is None or read.data is None:
        return "No captions: config.json and data.json of the run are needed to make them again."
    with damage_named(RunFolder(read.path).data):
        stores = ", ".join(str(one["store"]) for one in read.data["stores"])
    return f"No captions: make the report with --store and the path of a frame store ({stores})."
