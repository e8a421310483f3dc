"""`metrics.jsonl` as series over the steps of training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from figclip.checkpoint import read_metrics
from figclip.reporting.json_files import damage_named, number
from figclip.reporting.report_records import Series, TrainingLog

_SUM, _CHOOSING = "loss", "val/score"
_WORDS = {
    _SUM: "weighted sum",
    _CHOOSING: "score that chooses",
    "val/event_r1": "event R@1",
    "val/over_blind": "accuracy against counterfeits, over blind",
    "val/choice_accuracy": "accuracy against hard negatives",  # of runs before 2026-11-28
}
"""Names that people read."""


def read_training_log(file: Path) -> TrainingLog:
    """Losses, validation scores and seconds of a run.

    Raises:
        CheckpointError, DataError: the file is damaged.
    """
    values: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    seconds = {"steps": 0.0, "validations": 0.0}
    with damage_named(file):
        rows = read_metrics(file)
        for row in rows:
            kind = "steps" if _SUM in row else "validations"
            seconds[kind] += number(row["time"]["s"])
            for name, value in _charted(row):
                values[name].append((row["step"], value))
    return TrainingLog(
        losses=_series(values, first=_SUM, prefix="loss"),
        validation=_series(values, first=_CHOOSING, prefix="val/"),
        num_steps=sum(_SUM in row for row in rows),
        steps_s=seconds["steps"],
        validations_s=seconds["validations"],
    )


def _series(
    values: Mapping[str, Sequence[tuple[int, float]]], *, first: str, prefix: str
) -> tuple[Series, ...]:
    """The series whose names have a prefix, one of them first."""
    names = sorted((name for name in values if name.startswith(prefix)), key=lambda n: n != first)
    return tuple(
        Series(
            name=_WORDS.get(name) or name.partition("/")[2].replace("_", " "),
            steps=tuple(step for step, _ in values[name]),
            values=tuple(value for _, value in values[name]),
        )
        for name in names
    )


def _charted(row: dict[str, Any]) -> Iterable[tuple[str, float]]:
    """Losses and validation scores of a line."""
    for name, value in row.items():
        if name == _SUM or name.startswith((f"{_SUM}/", "val/")):
            yield name, number(value)
