"""figclip index: own videos into an index that can be searched."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from figclip.cli.options import (
    BatchSize,
    Cpu,
    Json,
    OfEmbeddings,
    Ray,
    check_ray,
    going_on,
    quiet_libraries,
)
from figclip.cli.terminal import say, warn
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings

if TYPE_CHECKING:
    from figclip.search.indexing import IndexingPlan, IndexReport

Parquet = Annotated[
    Path | None, typer.Option(help="Also write all windows of the index as Parquet.")
]

_SHOWN_FILES = 20
_FROM_INPUT = "-"


def index(
    model: Annotated[str, typer.Argument(help="Hub id, model folder or run folder.")],
    videos: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, patterns such as 'clips/**/*.mp4', or - for a list of paths on "
            "standard input; with --ray, addresses such as s3://bucket/clips."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Index to make, or to go on with.")],
    window: Annotated[float, typer.Option(help="Seconds that a window lasts.")] = 2.0,
    stride: Annotated[
        float,
        typer.Option(help="Seconds from one window to the next; below --window they overlap."),
    ] = 1.0,
    shots: Annotated[
        bool, typer.Option("--shots", help="Whole shots instead of windows, by PySceneDetect.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Forget files of earlier runs that are gone.")
    ] = False,
    pooling: Annotated[
        Literal["mean", "auto"],
        typer.Option(
            help="auto: windows are also embedded in context, where the model has found that "
            "better for long sentences; mean: never."
        ),
    ] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Decoding processes; 0: one per core.")] = 0,
    ray: Ray = None,
    parquet: Parquet = None,
    precision: OfEmbeddings = DEFAULT_EMBEDDING.precision,
    batch_size: BatchSize = DEFAULT_EMBEDDING.batch_size,
    cpu: Cpu = False,
    as_json: Json = False,
) -> None:
    """Embed windows of videos into one file, to search them by a sentence.

    Example: figclip index runs/mine ~/videos --out videos.index

    Can be interrupted and run again. Files that have not changed are skipped, and copies and moved
    files recognised. Files that do not decode are listed with a reason (exit code 3), and tried
    again when they change.
    """
    check_ray(ray, workers=workers, cpu=cpu)
    from figclip.cli.progress import ProgressDisplay
    from figclip.runtime.device import pick_device

    quiet_libraries()
    from figclip.search.indexing import index as run

    with ProgressDisplay() as display, going_on():
        report = run(
            model,
            [one for given in videos for one in _listed(given)],
            out=out,
            window_s=window,
            stride_s=stride,
            shots=shots,
            prune=prune,
            pooling=pooling,
            num_workers=workers or None,
            device=pick_device(cpu=cpu),
            embedding=EmbeddingSettings(precision=precision, batch_size=batch_size),
            ray=ray,
            on_plan=lambda plan: _show_plan(plan, out),
            on_progress=display.update,
        )
    if parquet is not None:
        from figclip.search.parquet import write_parquet

        num_rows = write_parquet(out, parquet)
        warn(f"{num_rows:,} windows in {parquet}")
    if as_json:
        say(json.dumps(_as_json(report, out), indent=2))
    else:
        _show(report, out, pruned=prune)
    if report.quarantine:
        raise typer.Exit(3)


def _listed(given: str) -> list[str]:
    """An argument, or the lines of standard input; names may be any bytes but line ends."""
    if given != _FROM_INPUT:
        return [given]
    return [os.fsdecode(line) for line in sys.stdin.buffer.read().splitlines() if line.strip()]


def _show_plan(plan: IndexingPlan, out: Path) -> None:
    """What is about to be done."""
    from figclip.runtime.files import show_size

    length = timedelta(seconds=round(plan.duration_s))
    warn(
        f"Videos to decode: {plan.num_videos:,} ({length} h, {plan.num_windows:,} windows), about "
        f"{show_size(plan.num_bytes)} more in the index"
    )
    if plan.missing_bytes:
        warn(
            f"Warning: the disk of {out} has about {show_size(plan.missing_bytes)} too little "
            "room. If it fills up, make room and run the command again."
        )


def _show(report: IndexReport, out: Path, *, pruned: bool) -> None:
    """What was done."""
    from figclip.search.addresses import place_of

    say(
        f"Files: {report.num_files:,} ({report.num_unchanged:,} unchanged, {report.num_known:,} "
        f"moved or copies, {len(report.quarantine):,} quarantined)"
    )
    say(f"Videos added: {report.num_videos:,} ({report.num_windows:,} windows)")
    for file in report.quarantine[:_SHOWN_FILES]:
        say(f"  quarantined {place_of(file.path)}: {file.problem}")
    if len(report.quarantine) > _SHOWN_FILES:
        say(f"  … and {len(report.quarantine) - _SHOWN_FILES} more; --json lists all")
    for folder in report.closed_folders:
        warn(f"Warning: {folder} cannot be looked into")
    if report.gone:
        what = "forgotten" if pruned else "kept; --prune forgets them"
        first = place_of(report.gone[0])
        say(f"Files that are gone: {len(report.gone):,} ({what}), the first is {first}")
    say(f"Index: {out}")


def _as_json(report: IndexReport, out: Path) -> dict[str, object]:
    """The report for programs."""
    from figclip.search.addresses import place_of

    return {
        "index": str(out),
        "num_files": report.num_files,
        "num_unchanged": report.num_unchanged,
        "num_known": report.num_known,
        "num_videos": report.num_videos,
        "num_windows": report.num_windows,
        "quarantine": [
            {"path": place_of(file.path), "problem": file.problem} for file in report.quarantine
        ],
        "gone": [place_of(path) for path in report.gone],
        "closed_folders": [str(path) for path in report.closed_folders],
    }
