"""figclip export: weights for other libraries."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from figclip.cli.options import Json, going_on, quiet_libraries
from figclip.cli.terminal import say, warn


def export(
    model: Annotated[str, typer.Argument(help="Hub id, model folder or run folder.")],
    to: Annotated[
        str,
        typer.Option(
            help="Who loads it: hf, open_clip, sentence-transformers, onnx, transformers.js."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    alpha: Annotated[
        float | None,
        typer.Option(help="Strength of the adaptation: 0 base, 1 as trained; default: as merged."),
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="The base, needed only to scale a full fine-tune.")
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(metavar="OWNER/NAME", help="Upload it to the hub; a new one is private."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a model as another library loads it, with a model card.

    Example: figclip export runs/mine --to hf --out exported

    The library itself loads the folder and embeds pictures and texts; unless it sees what figclip
    sees, nothing is written. See docs/exporting.md.
    """
    quiet_libraries()
    from figclip.exporting.export import export as run

    with going_on():
        done = run(
            model,
            to=to,
            out=out,
            alpha=alpha,
            base=base,
            push=push,
            on_stage=lambda one: warn(f"{one} …"),
        )
    if as_json:
        content = {
            "folder": str(done.folder),
            "alpha": done.alpha,
            "agreements": [asdict(one) for one in done.agreements],
            "address": done.address,
        }
        say(json.dumps(content))
        return
    for one in done.agreements:
        say(f"Checked by {to}: {one}")
    say(f"Exported at strength {done.alpha:g}: {done.folder}")
    if done.address is not None:
        say(f"Pushed: {done.address}")
