"""Options that several verbs share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for programs.")]
Cpu = Annotated[bool, typer.Option("--cpu", help="Use the CPU even where there is a GPU.")]


def cache_folder() -> Path:
    """Folder of embeddings and decoded frames that can be made again: $FIGCLIP_CACHE."""
    default = Path.home() / ".cache" / "figclip"
    return Path(os.environ.get("FIGCLIP_CACHE", default))


def quiet_libraries() -> None:
    """Silence loading bars and deprecation notes of libraries: they are not for our users."""
    import warnings

    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft)\.")
