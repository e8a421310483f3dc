"""Results of an evaluation: base beside adapted, as files and as a table for the terminal."""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np

from figclip.datasets.records import LeftOut
from figclip.errors import DataError
from figclip.evaluation.sources import OWN
from figclip.metrics.intervals import Interval, paired_bootstrap
from figclip.runtime.checked_json import dump_checked, read_checked
from figclip.runtime.files import write_atomically, write_json
from figclip.runtime.reading import DAMAGES
from figclip.tasks.base import Face, ItemScores, Score, Setting, Unit, check_item_means

RESULT_FORMAT, SWEEP_FORMAT = 1, 1
STRENGTH_FORMAT = 2
"""2: `detail` may be null; bounds are smoothed, and strengths in between may be chosen."""
NUM_RESAMPLES = 2000
NUM_SHOWN_COUNTS = 2
INTERVAL = "95 % interval"
FACES: dict[Face, str] = {
    "detail": "DETAIL: what adaptation should teach",
    "kept": "KEPT: what adaptation must not cost",
}
"""The two faces of the claim, in the order to show them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelColumn:
    """Which model a column of scores belongs to: its hub id or folder, and its strength.

    `precision` is that of its products, `fp32`, `bf16` or `fp16`; empty where that is not known: of
    a file of features, and of earlier versions.
    """

    name: str
    hash: str
    alpha: float
    precision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of both models.

    Attributes:
        base: None when there is only one model.
        interval: 95 % interval of the difference; None for a metric that is no mean over items,
            with one model, or with fewer than two groups of items.
    """

    base: Score | None
    adapted: Score
    interval: Interval | None

    @property
    def difference(self) -> float | None:
        """Adapted minus base, of the corrected scores where the official ones are wrong."""
        if self.base is None:
            return None
        return self.adapted.value - self.base.value


@dataclass(frozen=True, slots=True, kw_only=True)
class DataInfo:
    """What was tested on.

    Attributes:
        name: NAME of `--data`.
        source: Name of PATH of `--data`; results are passed on, so without its folder.
        split: None for all videos.
        hash: Hash of annotations, videos and pixels.
        coverage: How many videos of the split are listed, found, stored, by name.
    """

    name: str
    source: str
    split: str | None
    hash: str
    pipeline: str
    coverage: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """A task on a data set.

    Attributes:
        settings: All that changes the scores besides data and models.
        seed: Seed of the intervals.
        trained_on: Ids of the scored items that show what a model was trained on.
        knows_training: False where a model was trained on more than is known.
    """

    task: str
    face: Face
    data: DataInfo
    settings: Mapping[str, Setting]
    counts: Mapping[str, int]
    left_out: tuple[LeftOut, ...]
    base: ModelColumn | None
    adapted: ModelColumn
    metrics: Mapping[str, Comparison]
    base_items: tuple[ItemScores, ...] | None
    adapted_items: tuple[ItemScores, ...]
    notices: tuple[str, ...]
    seed: int
    trained_on: tuple[str, ...] = ()
    knows_training: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """The headline scores at one strength of the adaptation.

    Attributes:
        headlines: By task and data set, then by metric; corrected where the official are wrong.
        faces: Mean over the tasks of each face, each task by the mean of its headlines.
    """

    alpha: float
    headlines: Mapping[str, Mapping[str, float]]
    faces: Mapping[Face, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Scores over the strength of the adaptation, ascending from the base."""

    model: str
    points: tuple[SweepPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """All tasks on all data sets, the JSON file of each, and PNG files."""

    tasks: tuple[TaskResult, ...]
    files: tuple[Path, ...]
    notices: tuple[str, ...]
    pictures: tuple[Path, ...] = ()
    sweep: Sweep | None = None


def compare(
    summaries: tuple[Mapping[str, Score] | None, Mapping[str, Score]],
    items: tuple[Sequence[ItemScores] | None, Sequence[ItemScores]],
    *,
    seed: int,
) -> dict[str, Comparison]:
    """Put two models side by side; summary and items of the base are None without one.

    Raises:
        DataError: the models were not scored on the same items.
    """
    base_summary, adapted_summary = summaries
    base_items, adapted_items = items
    check_item_means(adapted_summary, adapted_items)
    if base_summary is None or base_items is None:
        return {
            metric: Comparison(base=None, adapted=score, interval=None)
            for metric, score in adapted_summary.items()
        }
    scored = [
        [(one.block, one.item_ids, one.group_ids) for one in items]
        for items in (base_items, adapted_items)
    ]
    if scored[0] != scored[1]:
        raise DataError(
            "the two models were not scored on the same items",
            fix="Their image sizes differ, and so do their frame stores: prepare both anew",
        )
    check_item_means(base_summary, base_items)
    intervals: dict[str, Interval] = {}
    for base_block, adapted_block in zip(base_items, adapted_items, strict=True):
        intervals |= _block_intervals(base_block, adapted_block, seed=seed)
    return {
        metric: Comparison(base=base_summary[metric], adapted=score, interval=intervals.get(metric))
        for metric, score in adapted_summary.items()
    }


def _block_intervals(base: ItemScores, adapted: ItemScores, *, seed: int) -> dict[str, Interval]:
    """Intervals of a block's metrics; none with a single group, of which nothing can be said."""
    if len(set(adapted.group_ids)) < 2:
        return {}
    intervals = paired_bootstrap(
        np.stack(list(base.values.values()), axis=1),
        np.stack(list(adapted.values.values()), axis=1),
        group_of_item=adapted.group_ids,
        weight_N=adapted.weights,
        num_resamples=NUM_RESAMPLES,
        seed=seed,
    )
    return dict(zip(adapted.values, intervals, strict=True))


def result_name(task: str, name: str, source: str) -> str:
    """What a test is called in files: task and NAME, or the name of PATH if that is an own file."""
    return f"{task}-{Path(source).stem if name in OWN else name}"


def write_result(result: TaskResult, out: Path, *, taken: Sequence[Path], versions: Any) -> Path:
    """Write `TASK-NAME.json`, and `TASK-NAME.items.jsonl` with the per-item scores.

    Own files are named themselves: `composition-verbs.json` of `pairs:verbs.jsonl`. A file about
    other data, models or settings, or in `taken`, is never replaced: the name gets a number.
    """
    stem = result_name(result.task, result.data.name, result.data.source)
    content = {"format": RESULT_FORMAT, **_result_json(result), "versions": versions}
    lines = _item_lines(result)
    return write_files(content, lines, stem=out / stem, subject_of=_subject_of, taken=taken)


def write_files(
    content: Mapping[str, Any],
    item_lines: Sequence[str],
    *,
    stem: Path,
    subject_of: Callable[[Mapping[str, Any]], str],
    taken: Sequence[Path] = (),
    items_suffix: str = ".items.jsonl",
) -> Path:
    """Write `STEM.json` and its items beside it; returns the JSON file.

    A file about something else is never replaced: the name gets a number instead.
    """
    number, file = 1, stem.with_name(f"{stem.name}.json")
    while file in taken or _subject(file, subject_of) not in (None, subject_of(content)):
        number += 1
        file = stem.with_name(f"{stem.name}-{number}.json")
    # The items first: a result file always has its items beside it.
    write_atomically(file.with_suffix(items_suffix), "".join(item_lines))
    write_json(file, content)
    return file


def format_table(result: EvaluationResult) -> str:
    """One table of all tasks as plain text, fractions in percent; one column for a single model.

    Where the official way of scoring is plainly wrong and the corrected score differs, a row with
    the corrected scores follows; the interval is theirs.
    """
    is_compared = any(one.base for task in result.tasks for one in task.metrics.values())
    columns = ("base", "adapted", "difference", INTERVAL) if is_compared else ("score",)
    lines: list[str | tuple[str, ...]] = [("test", *columns)]
    for face, heading in FACES.items():
        tasks = [task for task in result.tasks if task.face == face]
        lines += [f"\n{heading}"] if tasks else []
        for task in tasks:
            rows = _rows(task)
            lines += [
                _heading(task),
                *(rows if is_compared else [(row[0], row[2]) for row in rows]),
            ]
    return table_text(lines, result.notices)


def table_text(lines: Sequence[str | tuple[str, ...]], notices: Sequence[str]) -> str:
    """Rows under each other, the first cell to the left; headings as they are; then notices."""
    rows = [line for line in lines if isinstance(line, tuple)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def aligned(row: tuple[str, ...]) -> str:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        return "  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip()

    table = [line if isinstance(line, str) else aligned(line) for line in lines]
    return "\n".join([*table, *(f"\nNote: {notice}" for notice in notices)])


def _heading(task: TaskResult) -> str:
    """What was scored on what."""
    split = "" if task.data.split is None else f" ({task.data.split})"
    shown = list(task.counts.items())[:NUM_SHOWN_COUNTS]
    counts = ", ".join(f"{count:,} {name}" for name, count in shown)
    heading = f"{task.task} on {task.data.name}:{task.data.source}{split}: {counts}"
    listed = task.data.coverage.get("listed", 0)
    if listed > task.data.coverage.get("stored", 0):
        heading += f"; {task.data.coverage['stored']:,} of the {listed:,} files listed are ready"
    if task.left_out:
        heading += f"; {len(task.left_out):,} left out"
    if task.trained_on:
        heading += f"; {len(task.trained_on):,} TRAINED ON"
    return heading


def _rows(task: TaskResult) -> list[tuple[str, ...]]:
    """A task's rows of the table."""
    rows: list[tuple[str, ...]] = []
    for metric, one in task.metrics.items():
        if one.adapted.is_detail:
            continue
        unit = one.adapted.unit
        name = f"  {metric}{' (%)' if unit == 'fraction' else ''}"
        scores = [score for score in (one.base, one.adapted) if score is not None]
        if all(isclose(score.value, score.official, rel_tol=1e-9) for score in scores):
            rows.append(_row(name, one, [score.official for score in scores]))
            continue
        official = [score.official for score in scores]
        rows.append(_row(name, dataclasses.replace(one, interval=None), official))
        rows.append(_row("    corrected", one, [score.value for score in scores]))
    return rows


def _row(name: str, one: Comparison, values: Sequence[float]) -> tuple[str, ...]:
    """A row with these values of base and adapted, or of the one model."""
    unit = one.adapted.unit
    base, difference, interval = "-", "-", "-"
    if len(values) == 2:
        base = _shown(values[0], unit)
        difference = _shown(values[1] - values[0], unit, "+")
    if one.interval is not None:
        low, high = (_shown(bound, unit, "+") for bound in (one.interval.low, one.interval.high))
        interval = f"[{low}, {high}]"
    return name, base, _shown(values[-1], unit), difference, interval


def _shown(value: float, unit: Unit, sign: str = "") -> str:
    """A value as people read it; rounding must not leave a negative zero."""
    rounded = round(value * 100 if unit == "fraction" else value, 1) + 0.0
    return f"{rounded:{sign}.1f}"


def shorten(name: str, num_chars: int) -> str:
    """The beginning of a long name."""
    return name if len(name) <= num_chars else f"{name[: num_chars - 1]}…"


def _result_json(result: TaskResult) -> dict[str, Any]:
    """The result as it is written, without the per-item scores."""
    return {
        "task": result.task,
        "face": result.face,
        "data": dataclasses.asdict(result.data),
        "settings": dict(result.settings),
        "counts": dict(result.counts),
        "left_out": left_out_json(result.left_out),
        "trained_on": {
            "count": len(result.trained_on),
            "is_whole": result.knows_training,
            "items": list(result.trained_on),
        },
        "models": {
            "base": None if result.base is None else dataclasses.asdict(result.base),
            "adapted": dataclasses.asdict(result.adapted),
        },
        "notices": list(result.notices),
        "metrics": {metric: _comparison_json(one) for metric, one in result.metrics.items()},
        "interval": {
            "method": "paired percentile bootstrap over groups, gallery fixed",
            "resamples": NUM_RESAMPLES,
            "seed": result.seed,
        },
    }


def left_out_json(left_out: Sequence[LeftOut]) -> list[dict[str, Any]]:
    """Items by the reason why they are left out."""
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for one in left_out:
        reasons[one.reason].append(one.item)
    return [{"reason": why, "count": len(one), "items": one} for why, one in reasons.items()]


def _comparison_json(one: Comparison) -> dict[str, Any]:
    """One metric as it is written."""
    interval = None if one.interval is None else [one.interval.low, one.interval.high]
    base, adapted = (
        score and {"official": score.official, "corrected": score.corrected}
        for score in (one.base, one.adapted)
    )
    return {
        "unit": one.adapted.unit,
        "chance": one.adapted.chance,
        "headline": one.adapted.is_headline,
        "in_table": not one.adapted.is_detail,
        "base": base,
        "adapted": adapted,
        "difference": one.difference,
        "interval_95": interval,
    }


def _item_lines(result: TaskResult) -> list[str]:
    """One line of JSON an item of a block, with the values of both models."""
    lines: list[str] = []
    for block_idx, block in enumerate(result.adapted_items):
        base = None if result.base_items is None else result.base_items[block_idx]
        for i, (item, group) in enumerate(zip(block.item_ids, block.group_ids, strict=True)):
            line = {
                "block": block.block,
                "item": item,
                "group": group,
                "base": None if base is None else item_values(base, i),
                "adapted": item_values(block, i),
            }
            if block.labels:
                line["labels"] = {
                    "base": None if base is None else item_labels(base, i),
                    "adapted": item_labels(block, i),
                }
            lines.append(dump_checked(line) + "\n")
    return lines


def item_values(block: ItemScores, item_idx: int) -> dict[str, float]:
    """Values of one item by metric."""
    return {metric: float(values_N[item_idx]) for metric, values_N in block.values.items()}


def item_labels(block: ItemScores, item_idx: int) -> dict[str, str]:
    """Labels of one item by their names."""
    return {name: labels[item_idx] for name, labels in block.labels.items()}


def _subject(file: Path, subject_of: Callable[[Mapping[str, Any]], str]) -> str | None:
    """What a result file is about; None when there is no such file."""
    if not file.exists():
        return None
    try:
        return subject_of(read_checked(file))
    except DAMAGES:
        return ""  # not a result of ours, so not ours to replace


def _subject_of(content: Mapping[str, Any]) -> str:
    """Data, models and settings of a result, as one text."""
    models = {
        # Results of earlier versions do not say their precision.
        role: one and [one["hash"], one["alpha"], one.get("precision", "")]
        for role, one in content["models"].items()
    }
    return json.dumps([content["data"]["hash"], models, content["settings"]], sort_keys=True)
