"""figclip eval: base beside adapted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from figclip.cli.options import Cpu, Json


def evaluate(
    model: Annotated[str, typer.Argument(help="Hub id, model folder or run folder.")],
    data: Annotated[
        list[str],
        typer.Option(help="NAME:PATH[,images=DIR][,videos=DIR][,split=S]; may be repeated."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the result files.")],
    base: Annotated[
        str | None, typer.Option(help="Model to compare with; default: the model at alpha 0.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Only these tasks, separated by commas.")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Strength of the adaptation: 0 base, 1 as trained.")
    ] = None,
    sweep_alpha: Annotated[
        bool,
        typer.Option("--sweep-alpha", help="Also strengths 0, 0.1, ... 1, and a picture of them."),
    ] = False,
    preset: Annotated[
        str, typer.Option(help="How whole videos are looked at: figclip, clip4clip, ...")
    ] = "figclip",
    prompts: Annotated[
        str, typer.Option(help="What class names are put into: photo, bare, srl, ...")
    ] = "photo",
    template: Annotated[str, typer.Option(help="Wording of dense captions.")] = "default",
    frames: Annotated[int, typer.Option(help="Frames of an annotated event.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed of negatives, blind controls, intervals.")] = 0,
    cpu: Cpu = False,
    as_json: Json = False,
) -> None:
    """Score a model and its base on the same items, with 95 % intervals of the difference.

    Example: figclip eval runs/mine --data events:my.jsonl,videos=clips --out runs/mine/eval

    NAME is events or vidsitu (dense retrieval, SRL swap); msrvtt, activitynet, youcook2 or, for
    your own captions, retrieval; hmdb51, ucf101, kinetics or, for your own labels, actions;
    sugarcrepe, sugarcrepe_pp, aro, winoground, velociti or, for your own true and false captions,
    pairs. docs/evaluation.md says which files each of them reads.
    """
    from figclip.cli.options import cache_folder, quiet_libraries
    from figclip.cli.progress import ProgressDisplay
    from figclip.config import TextConfig

    wording = TextConfig(template=template).template  # pyright: ignore[reportArgumentType]
    quiet_libraries()
    import torch

    from figclip.evaluation import evaluate as run
    from figclip.evaluation import format_table, parse_source

    with ProgressDisplay() as display:
        result = run(
            model,
            base=base,
            data=[parse_source(one) for one in data],
            tasks=task.split(",") if task else None,
            out=out,
            alpha=alpha,
            sweep_alpha=sweep_alpha,
            cache=cache_folder(),
            device="cuda" if torch.cuda.is_available() and not cpu else "cpu",
            seed=seed,
            preset=preset,
            prompts=prompts,
            template=wording,
            frames_per_event=frames,
            on_progress=display.update,
        )
    if as_json:
        files = [json.loads(file.read_text()) for file in result.files]
        typer.echo(json.dumps(files, indent=2))
    else:
        typer.echo(format_table(result))
        for file in (*result.files, *result.pictures):
            typer.echo(f"Results: {file}" if file.suffix == ".json" else f"Picture: {file}")
    if any(task.data.coverage.get("quarantined") for task in result.tasks):
        raise typer.Exit(3)
