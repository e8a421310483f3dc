"""JSON files of a run, read with errors that name the file."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

from figclip.errors import DataError


def read_object(file: Path, *, newest_format: int) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        DataError: not a JSON object, or of a newer format.
    """
    with damage_named(file):
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] <= newest_format:
            return content
    raise DataError(
        f"has format {content['format']}, this version reads up to {newest_format}",
        where=str(file),
        fix="Use the figclip version that wrote it, or a newer one",
    )


@contextmanager
def damage_named(file: Path) -> Generator[None]:
    """Turn what reading a damaged file leads to into an error that names it."""
    try:
        yield
    except DataError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise DataError(
            f"is damaged ({type(error).__name__}: {error})",
            where=str(file),
            fix="Make it again with the command that wrote it, or delete it",
        ) from error


def number(value: object) -> float:
    """A finite number of JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def optional_number(value: object) -> float | None:
    """A finite number, or null."""
    return None if value is None else number(value)
