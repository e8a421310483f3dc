"""`report.html`: one file about a run, without network, for people who have ten seconds."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from figclip.datasets.dense_captions import REFERENCE_READERS
from figclip.errors import ConfigError, DataError
from figclip.evaluation.sources import ANNOTATED, DataSource
from figclip.heads.features import ADAPTED
from figclip.heads.run import CAPTIONING, SITUATIONS, has_seeds, is_head_run
from figclip.reporting import charts
from figclip.reporting import records as numbers
from figclip.reporting.comparison import compare_runs
from figclip.reporting.examples import Outcome, changed_words, pick_examples
from figclip.reporting.film_examples import Films, pick_films, timeline
from figclip.reporting.head_data import HeadData, read_head_data
from figclip.reporting.result_files import damage_named
from figclip.reporting.run_data import RunData, read_run_data
from figclip.reporting.situation_examples import Situations, pick_situations
from figclip.reporting.templates import package_text, page_environment
from figclip.reporting.training_captions import (
    CaptionedVideo,
    caption_training_video,
    open_annotated_videos,
    open_store,
)
from figclip.runtime.files import write_atomically
from figclip.runtime.locks import lock_file
from figclip.runtime.versions import package_versions
from figclip.training.run_folder import RunFolder

MAX_BYTES = 4_000_000
"""Largest page. `examples` bounds clips; only very long texts could exceed this."""

OUTCOME_WORDS: dict[Outcome, str] = {
    "both": "both right",
    "gained": "only adapted right",
    "lost": "only base right",
    "failed": "both wrong",
}
"""In the order of the bar."""

SCORED_ON = {SITUATIONS: tuple(ANNOTATED), CAPTIONING: tuple(REFERENCE_READERS)}
"""NAMEs of `--data` that heads of a task are scored on."""

_PAGE = "reporting/page"


def write_report(
    run: Path,
    *,
    data: Sequence[DataSource] = (),
    store: Path | None = None,
    heads: Sequence[Path] = (),
    out: Path | None = None,
) -> Path:
    """Write the report of a run from its files; no model is loaded.

    The same files give the same page. What is not there is named on the page instead.

    Args:
        run: Run folder of an adaptation, or of task heads, of one seed or several.
        data: Sets of true and false captions that `figclip eval` scored, to show clips of; for
            heads the annotated events or dense captions that they were scored on, to show
            examples of.
        store: A frame store, to show captions that the run was trained on; for heads for
            situations instead of annotated events.
        heads: Run folders of heads on the model of this run, with their `eval`, at most one a
            task; shown on the page.
        out: The file; None: `report.html` in the run folder.

    Raises:
        DataError, CheckpointError, ConfigError, ModelError: a file of the run is damaged, there is
            none at all, or `heads` are of another model.
        AnnotationError, VideoError, StoreError: `data` or `store` cannot be used.
    """
    if is_head_run(run) or has_seeds(run):
        if heads:
            raise ConfigError("is a run of heads itself", where=str(run), fix="Give no other heads")
        html = _page_of_heads(run, data, store)
    else:
        html = _page_of_adaptation(run, data, store, heads)
    return _write(html, out or run / "report.html")


def write_comparison(runs: Sequence[Path], *, out: Path, data: Sequence[DataSource] = ()) -> Path:
    """Write a page about several runs side by side, from their files; no model is loaded.

    Args:
        runs: 2 to 6 run folders of adaptations; the first is what the others are compared with.
        out: The file.
        data: Sets of true and false captions that `figclip eval` scored for all of them, to show
            clips on which they disagree.

    Raises:
        ConfigError: one run, one of them twice, too many, or heads.
        DataError, CheckpointError, ModelError, VideoError: as of `write_report`.
    """
    for run in runs:
        if is_head_run(run) or has_seeds(run):
            fix = "Give runs of `figclip adapt`"
            raise ConfigError("is a run of heads", where=str(run), fix=fix)
    compared = compare_runs(runs, data=data)
    return _write(_render("comparison.html.j2", stages=(), compared=compared), out)


def _write(html: str, file: Path) -> Path:
    """Write a page, unless it is too large."""
    content = html.encode()
    if len(content) > MAX_BYTES:
        raise DataError(
            f"would have {len(content):,} bytes, more than {MAX_BYTES:,}",
            where=str(file),
            fix="Give fewer --data, or none",
        )
    with lock_file(file):
        write_atomically(file, content)
    return file


def _page_of_adaptation(
    run: Path, data: Sequence[DataSource], store: Path | None, heads: Sequence[Path]
) -> str:
    """The page about an adaptation, with the heads on its model where there are any."""
    read = read_run_data(run)
    by_task = _heads_by_task(heads, read)
    of_heads = [one for one in data if any(one.name in SCORED_ON[task] for task in by_task)]
    of_captions = [one for one in data if one not in of_heads]
    situations, films = by_task.get(SITUATIONS), by_task.get(CAPTIONING)
    return _render(
        "report.html.j2",
        data=read,
        examples=pick_examples(of_captions, read.results) if of_captions else None,
        captioned=None if store is None else _captioned(store, read),
        captions_absent=_captions_absent(read),
        situation_heads=situations,
        shown_situations=None if situations is None else _situations(situations, of_heads, store),
        film_heads=films,
        shown_films=None if films is None else _films(films, of_heads),
        notices=(*read.notices, *(one for head in by_task.values() for one in head.notices)),
        missing=(*read.absent, *(one for head in by_task.values() for one in head.absent)),
        stages=read.costs.stages,
    )


def _heads_by_task(heads: Sequence[Path], read: RunData) -> dict[str, HeadData]:
    """All heads on the model of a run, by their task."""
    by_task: dict[str, HeadData] = {}
    scored = {one.hashes["adapted"] for one in read.results}
    for path in heads:
        head = read_head_data(path)
        of = head.info.models.get(ADAPTED)
        if of is None or (scored and of.hash not in scored):
            raise DataError(
                f"its heads take features of {head.info.model}, which is not the model of the run",
                where=str(path),
                fix=f"Fine-tune heads on {read.path}",
            )
        if head.info.task in by_task:
            raise ConfigError(
                f"are heads for {head.info.task}, as are {by_task[head.info.task].path}",
                where=str(path),
                fix="Give one run of heads a task",
            )
        by_task[head.info.task] = head
    return by_task


def _page_of_heads(run: Path, data: Sequence[DataSource], store: Path | None) -> str:
    """The page about heads alone."""
    head = read_head_data(run)
    task = head.info.task
    for one in data:
        if one.name not in SCORED_ON[task]:
            raise ConfigError(
                f"heads for {task} are not scored on {one.name}",
                where=f"--data {one.name}:{one.path}",
                fix=f"Give the {' or '.join(SCORED_ON[task])} that they were scored on",
            )
    of_situations = task == SITUATIONS
    shown = _situations(head, data, store) if of_situations else _films(head, data)
    return _render(
        "heads.html.j2", heads=head, of_situations=of_situations, shown=shown, stages=head.stages
    )


def _render(template: str, *, stages: Sequence[tuple[str, float]], **content: object) -> str:
    """A page with its style and script."""
    script = package_text(f"{_PAGE}/report.js")
    # What the page's policy allows to run, and nothing else.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(
            **content,
            outcome_words=OUTCOME_WORDS,
            stage_durations=[numbers.duration(seconds) for _, seconds in stages],
            css=Markup(
                "".join(package_text(f"{_PAGE}/{name}.css") for name in ("colours", "report"))
            ),
            script=Markup(script),
            script_hash=f"sha256-{digest}",
            version=package_versions()["figclip"],
        )
    )


def _situations(
    head: HeadData, data: Sequence[DataSource], store: Path | None
) -> Situations | None:
    """Examples of what heads say; None without annotations, or before they were scored."""
    source = _only_source(head, data)
    if head.newest is None:
        return None
    if source is not None:
        return pick_situations(head, open_annotated_videos(source))
    return None if store is None else pick_situations(head, open_store(store))


def _films(head: HeadData, data: Sequence[DataSource]) -> Films | None:
    """Examples of what heads write; None without annotations, or before they were scored."""
    source = _only_source(head, data)
    return None if head.newest is None or source is None else pick_films(head, source)


def _only_source(head: HeadData, data: Sequence[DataSource]) -> DataSource | None:
    """The data that heads were scored on, if given."""
    task = head.info.task
    sources = [one for one in data if one.name in SCORED_ON[task]]
    if len(sources) > 1:
        raise ConfigError(
            f"several data sets for the heads for {task}",
            where="--data",
            fix="Give only the one that the heads were scored on last",
        )
    return sources[0] if sources else None


def _environment() -> Environment:
    """The templates of the report."""
    functions = (
        *(numbers.percent, numbers.plain, numbers.span, numbers.duration, numbers.direction),
        *(numbers.claim, numbers.caution, numbers.verb_claim, numbers.sentence_claim),
        *(numbers.head_caution, charts.picture, charts.dumbbell, charts.outcome_bar),
        *(charts.stage_bars, charts.line_chart, timeline, changed_words),
    )
    return page_environment(_PAGE, {function.__name__: function for function in functions})


def _captioned(store: Path, read: RunData) -> CaptionedVideo | None:
    """A training video with its texts; None where the run's files do not say what these were."""
    if read.config is None or read.data is None:
        return None
    return caption_training_video(
        store, read.config, read.data, data_file=RunFolder(read.path).data
    )


def _captions_absent(read: RunData) -> str:
    """Why no captions are shown, and what would show them."""
    if read.config is None or read.data is None:
        return "No captions: config.json and data.json of the run are needed to make them again."
    with damage_named(RunFolder(read.path).data):
        stores = ", ".join(str(one["store"]) for one in read.data["stores"])
    return f"No captions: make the report with --store and the path of a frame store ({stores})."
