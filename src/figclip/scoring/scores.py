"""Scores of somebody's predictions: one record for all benchmarks, its files and its table.

Unlike a result of `figclip eval` nothing is compared here: predictions come from a file or from a
model that has a benchmark's own task, and each score stands alone.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any

from figclip.datasets.records import LeftOut
from figclip.evaluation.results import (
    item_labels,
    item_values,
    left_out_json,
    table_text,
    write_files,
)
from figclip.tasks.base import ItemScores, Score

SCORES_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredData:
    """What predictions were scored against; of PATH only the name, as results are passed on.

    `split` is None where there is no choice of one.
    """

    name: str
    source: str
    split: str | None
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionScores:
    """How good predictions are by one benchmark's protocol; scores are in the order to show them.

    A score with the name of values of `items` is their weighted mean.
    """

    protocol: str
    data: ScoredData
    counts: Mapping[str, int]
    left_out: tuple[LeftOut, ...]
    scores: Mapping[str, Score]
    items: tuple[ItemScores, ...]
    notices: tuple[str, ...] = ()


def write_scores(scores: PredictionScores, out: Path, *, predictions: Path) -> Path:
    """Write `PREDICTIONS-PROTOCOL.json`, and `….per_item.jsonl` beside it.

    A file about other predictions, by their bytes, or other data is never replaced: the name gets a
    number instead.
    """
    content = {
        "format": SCORES_FORMAT,
        "predictions": {"file": predictions.name, "hash": _file_hash(predictions)},
        **_scores_json(scores),
    }
    return write_files(
        content,
        _item_lines(scores.items),
        stem=out / f"{predictions.stem}-{scores.protocol}",
        subject_of=_subject_of,
        # Not `.items.jsonl`: a report takes that for the sign of a result of `figclip eval`.
        items_suffix=".per_item.jsonl",
    )


def format_scores(scores: PredictionScores) -> str:
    """The scores as a table of plain text, fractions in percent.

    The column of corrected scores is filled where they differ from the official ones.
    """
    data = scores.data
    split = "" if data.split is None else f" ({data.split})"
    counts = ", ".join(f"{count:,} {name}" for name, count in scores.counts.items())
    heading = f"{scores.protocol} on {data.name}:{data.source}{split}: {counts}"
    if scores.left_out:
        heading += f"; {len(scores.left_out):,} left out"
    rows = [_row(name, score) for name, score in scores.scores.items() if not score.is_detail]
    return table_text([heading, ("score", "official", "corrected"), *rows], scores.notices)


def _row(name: str, score: Score) -> tuple[str, str, str]:
    is_fraction = score.unit == "fraction"
    official, value = (_shown(one, is_fraction) for one in (score.official, score.value))
    differs = not isclose(score.official, score.value, rel_tol=1e-9)
    return f"{name}{' (%)' if is_fraction else ''}", official, value if differs else ""


def _shown(value: float, is_fraction: bool) -> str:
    """Two decimals, as papers print these scores; rounding must not leave a negative zero."""
    return f"{round(100 * value if is_fraction else value, 2) + 0.0:.2f}"


def _scores_json(scores: PredictionScores) -> dict[str, Any]:
    return {
        "protocol": scores.protocol,
        "data": dataclasses.asdict(scores.data),
        "counts": dict(scores.counts),
        "left_out": left_out_json(scores.left_out),
        "notices": list(scores.notices),
        "scores": {
            name: {
                "official": score.official,
                "corrected": score.corrected,
                "unit": score.unit,
                "headline": score.is_headline,
                "in_table": not score.is_detail,
            }
            for name, score in scores.scores.items()
        },
    }


def _item_lines(blocks: Sequence[ItemScores]) -> list[str]:
    lines: list[str] = []
    for block in blocks:
        for i, (item, group) in enumerate(zip(block.item_ids, block.group_ids, strict=True)):
            line: dict[str, Any] = {"block": block.block, "item": item, "group": group}
            line["values"] = item_values(block, i)
            if block.labels:
                line["labels"] = item_labels(block, i)
            lines.append(json.dumps(line) + "\n")
    return lines


def _subject_of(content: Mapping[str, Any]) -> str:
    return json.dumps(
        [content["predictions"]["hash"], content["data"], content["protocol"]], sort_keys=True
    )


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
