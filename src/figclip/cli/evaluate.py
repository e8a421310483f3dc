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
        list[str], typer.Option(help="NAME:PATH[,videos=DIR][,split=S]; may be repeated.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the result files.")],
    base: Annotated[
        str | None, typer.Option(help="Model to compare with; default: the model at alpha 0.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Only these tasks, separated by commas.")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Strength of the adaptation: 0 base, 1 as trained.")
    ] = None,
    template: Annotated[str, typer.Option(help="Wording of dense captions.")] = "default",
    frames: Annotated[int, typer.Option(help="Frames an event.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed of negatives and intervals.")] = 0,
    cpu: Cpu = False,
    as_json: Json = False,
) -> None:
    """Score a model and its base on the same items, with 95 % intervals of the difference.

    Example: figclip eval runs/mine --data events:my.jsonl,videos=clips --out runs/mine/eval

    NAME is vidsitu (its folder) or events (own annotations); PATH may be a frame store.
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
            cache=cache_folder(),
            device="cuda" if torch.cuda.is_available() and not cpu else "cpu",
            seed=seed,
            template=wording,
            frames_per_event=frames,
            on_progress=display.update,
        )
    if as_json:
        files = [json.loads(file.read_text()) for file in result.files]
        typer.echo(json.dumps(files, indent=2))
    else:
        typer.echo(format_table(result))
        for file in result.files:
            typer.echo(f"Results: {file}")
    if any(task.data.coverage.get("quarantined") for task in result.tasks):
        raise typer.Exit(3)
