"""Scores over the strength of the adaptation: what was gained in detail, what it cost."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from figclip.checkpoint import write_atomically
from figclip.columns import ColumnLoader
from figclip.errors import ConfigError, DataError
from figclip.results import FACES, Sweep, SweepPoint
from figclip.scoring import Work
from figclip.tasks.base import Face, Score

ALPHAS = tuple(step / 10 for step in range(11))
SWEEP_FORMAT = 1


def check_sweep(faces: Sequence[Face]) -> None:
    """Detail can be set against what is kept only where both are tested.

    Raises:
        ConfigError: tests of one face only.
    """
    if set(FACES) - set(faces):
        raise ConfigError(
            "a sweep needs tests of detail (composition, dense retrieval) and of what must be "
            "kept (actions, retrieval of plain captions)",
            where="--sweep-alpha",
            fix="Add --data of the other kind, or say face=detail or face=kept of some",
        )


def sweep_strength(works: Mapping[str, Work], loader: ColumnLoader) -> Sweep:
    """Score every strength of `ALPHAS` on all tasks.

    Args:
        works: Tasks with their data, by name.
        loader: Of a model that can be scaled; one strength is held at a time.

    Raises:
        DataError: nothing to score of one of the two faces.
    """
    points: list[SweepPoint] = []
    for alpha in ALPHAS:
        column = loader.at_strength(alpha)
        headlines = {name: _headlines(work.score(column).summary) for name, work in works.items()}
        faces = _faces(works, headlines)
        if unscored := [face for face in FACES if face not in faces]:
            raise DataError(
                f"nothing was scored of the tests of {' and '.join(unscored)}",
                where="--sweep-alpha",
                fix="Look at what was left out in the result files",
            )
        points.append(SweepPoint(alpha=alpha, headlines=headlines, faces=faces))
    return Sweep(model=Path(loader.model).resolve().name, points=tuple(points))


def write_sweep(sweep: Sweep, out: Path) -> Path:
    """Write `sweep.json` into a folder; returns its path."""
    file = out / "sweep.json"
    content = {"format": SWEEP_FORMAT, **asdict(sweep)}
    write_atomically(file, json.dumps(content, indent=2) + "\n")
    return file


def _headlines(summary: Mapping[str, Score]) -> dict[str, float]:
    """The few numbers that stand for a task."""
    return {metric: score.value for metric, score in summary.items() if score.is_headline}


def _faces(
    works: Mapping[str, Work], headlines: Mapping[str, Mapping[str, float]]
) -> dict[Face, float]:
    """Mean over the tasks of each face; tasks that had nothing to score do not count."""
    values: defaultdict[Face, list[float]] = defaultdict(list)
    for name, scores in headlines.items():
        if scores:
            values[works[name].face].append(float(np.mean(list(scores.values()))))
    return {face: float(np.mean(means)) for face, means in values.items()}
