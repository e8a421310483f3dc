"""figclip prepare: annotations and videos into a frame store."""

import json
from pathlib import Path
from typing import Annotated

import typer

from figclip.cli.options import Json, Ray, check_ray, going_on
from figclip.cli.terminal import say, warn

SHOWN_QUARANTINE = 20


def prepare(
    source: Annotated[Path, typer.Argument(help="A JSONL or CSV file, or VidSitu's folder.")],
    videos: Annotated[Path, typer.Option(help="Folder with the video files; some may be missing.")],
    out: Annotated[Path, typer.Option(help="Frame store to make, or to go on with.")],
    size: Annotated[int, typer.Option(help="Image size of the model, in pixels.")] = 224,
    frames: Annotated[int, typer.Option(help="Frames per event; adapt's frames_per_event.")] = 4,
    pipeline: Annotated[
        str,
        typer.Option(
            help="pil: exactly transformers' pixels; swscale: faster. For SigLIP pil-squash or "
            "swscale-squash, for SigLIP 2 these with -bilinear."
        ),
    ] = "pil",
    codec: Annotated[str, typer.Option(help="jpeg (quality 95) or raw (exact).")] = "jpeg",
    workers: Annotated[int, typer.Option(min=0, help="Decoding processes; 0: one per core.")] = 0,
    ray: Ray = None,
    as_json: Json = False,
) -> None:
    """Decode the frames of annotated videos once, into one file.

    Example: figclip prepare my.jsonl --videos clips --out frames.store

    Can be interrupted and run again. Videos that are missing are counted, videos that do not decode
    are quarantined with a reason (exit code 3).
    """
    check_ray(ray, workers=workers)
    from dataclasses import asdict

    from figclip.annotations.texts import MASKED_WARNING, masked_warning
    from figclip.cli.progress import ProgressDisplay
    from figclip.preparation.prepare import PreparationPlan, format_coverage
    from figclip.preparation.prepare import prepare as run
    from figclip.runtime.files import show_size
    from figclip.video.store import StoreSpec

    def show_plan(plan: PreparationPlan) -> None:
        warn(
            f"{plan.num_videos:,} videos, {plan.num_frames:,} frames, store about "
            f"{show_size(plan.store_bytes)}"
        )
        if plan.missing_bytes:
            warn(
                f"Warning: the disk of {out} has about {show_size(plan.missing_bytes)} too little "
                "room. If it fills up, make room and run the command again."
            )

    with ProgressDisplay() as display, going_on():
        report = run(
            source,
            videos=videos,
            out=out,
            spec=StoreSpec(pipeline=pipeline, size=size, codec=codec),
            frames_per_event=frames,
            num_workers=workers or None,
            ray=ray,
            on_plan=show_plan,
            on_video=lambda done, total, bad: display.update(
                "decoding", done, total, f"{bad} quarantined"
            ),
        )
    if as_json:
        content = {"store": str(out), **asdict(report)}
        say(json.dumps(content, indent=2))
    else:
        for line in (*report.notices, *format_coverage(report)):
            say(line)
        for entry in report.quarantine[:SHOWN_QUARANTINE]:
            say(f"  quarantined {entry.id}: {entry.detail}")
        if len(report.quarantine) > SHOWN_QUARANTINE:
            say(f"  … and {len(report.quarantine) - SHOWN_QUARANTINE} more")
        say(f"Coverage and quarantine: {out}.coverage.json")
    if report.masked_negatives > MASKED_WARNING:
        warn(f"Warning: {masked_warning(report.masked_negatives)}")
    if report.quarantine:
        raise typer.Exit(3)
