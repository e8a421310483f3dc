"""Options that several verbs share."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Cpu = Annotated[bool, typer.Option("--cpu", help="Use the CPU even where there is a GPU.")]


def cache_folder() -> Path:
    """Folder of embeddings and decoded frames that can be made again: $FIGCLIP_CACHE."""
    # An empty variable would put the cache into the current folder.
    return Path(os.environ.get("FIGCLIP_CACHE") or Path.home() / ".cache" / "figclip")


@contextmanager
def going_on() -> Generator[None]:
    """Say that work interrupted by Ctrl-C goes on, and exit as interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("figclip: interrupted; run the same command again to go on.", err=True)
        raise typer.Exit(128 + signal.SIGINT) from None


def quiet_libraries() -> None:
    """Silence loading bars and deprecation notes of libraries: they are not for our users."""
    import warnings

    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft)\.")
