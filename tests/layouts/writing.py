"""What the writers of official layouts share: pairs told both ways round, and tables."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Generic[Seen]):
    """What is seen with a true and a false sentence."""

    seen: Seen
    true: str
    false: str


def both_ways(seen: tuple[Seen, Seen], sentences: tuple[str, str]) -> tuple[Told[Seen], Told[Seen]]:
    """Both sides of a pair, so that each sentence is true once and false once."""
    assert sentences[0] != sentences[1], f"one sentence of both sides: {sentences[0]}"
    return (
        Told(seen=seen[0], true=sentences[0], false=sentences[1]),
        Told(seen=seen[1], true=sentences[1], false=sentences[0]),
    )


def write_table(path: Path, *, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV file whose first row names the columns, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
