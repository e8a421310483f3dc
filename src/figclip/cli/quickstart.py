"""figclip quickstart: the whole path on clips that it draws itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for all that is made.")] = Path("quickstart"),
    seed: Annotated[int, typer.Option(help="Seed of clips, model and training.")] = 0,
) -> None:
    """Draw clips, prepare, adapt a small random CLIP, compare base and adapted. Minutes on a CPU.

    Example: figclip quickstart --out quickstart

    Interrupted, it goes on where it stopped. The model starts from random weights: this shows that
    the path works end to end, not how well it works on real videos.
    """
    from figclip.cli.options import going_on, quiet_libraries
    from figclip.cli.progress import ProgressDisplay

    quiet_libraries()
    from figclip.quickstart import run_quickstart

    with ProgressDisplay() as display, going_on():
        result = run_quickstart(out, seed=seed, on_progress=display.update)
    typer.echo(result.table)
    typer.echo(f"Model (load it with transformers or figclip): {result.model}")
    typer.echo(f"Results: {out / 'run' / 'eval'}")
