"""The JSON and CSV files of the layouts, the same bytes for the same content."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path


def write_json(path: Path, content: object) -> None:
    """The content as JSON, readable, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_json_lines(path: Path, rows: Iterable[object]) -> None:
    """One JSON value a line, with the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def write_table(path: Path, *, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV file whose first row names the columns, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
