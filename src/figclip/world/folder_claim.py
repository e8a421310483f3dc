"""A file that says what a folder is of, so that work which goes on does not mix two things."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from figclip.atomic import write_atomically
from figclip.errors import FigclipError


def claim_folder(file: Path, claim: Mapping[str, object], *, refusal: FigclipError) -> None:
    """Write down what a folder is of, or refuse one of something else.

    Args:
        file: JSON in the folder, which is made when absent.
        claim: What the folder is of.
        refusal: Raised when the file says anything else.
    """
    content = json.dumps(claim, indent=2) + "\n"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, content)
    elif _read(file) != json.loads(content):
        raise refusal


def _read(file: Path) -> object:
    """What a claim says; None where it is damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
