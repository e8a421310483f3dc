"""Result files of `figclip eval`, as a report shows them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from figclip.errors import DataError
from figclip.halves import CHOSE
from figclip.reporting.json_files import damage_named, number, optional_number, read_object
from figclip.reporting.report_records import (
    Compared,
    Mean,
    ScoreGroup,
    ScoreRow,
    Span,
    Verdict,
)
from figclip.results import FACES, RESULT_FORMAT
from figclip.tasks.base import Face


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """One result file.

    Attributes:
        file: Where it lies.
        task: `composition`.
        face: What the task tests on these data.
        data: NAME of `--data`.
        source: Name of its PATH.
        split: None for everything.
        alpha: Strength of the adapted model.
        base_name: None where only one model was scored.
        is_own_base: Whether the base is the adapted model itself at strength 0.
        hashes: Of the data and of both models, by what they are of.
        rows: Metrics of the table.
        headlines: The few of them that stand for the task.
        counts: Of items, by name.
        num_left_out: Items that were not scored.
        num_chose: Those of them that chose the strength of the model.
        num_trained: Items that were scored although a model was trained on them.
        notices: What the reader must know.
    """

    file: Path
    task: str
    face: Face
    data: str
    source: str
    split: str | None
    alpha: float
    base_name: str | None
    is_own_base: bool
    hashes: dict[str, str]
    rows: tuple[ScoreRow, ...]
    headlines: tuple[ScoreRow, ...]
    counts: dict[str, int]
    num_left_out: int
    num_chose: int
    num_trained: int
    notices: tuple[str, ...]

    @property
    def items_file(self) -> Path:
        """The per-item scores beside it."""
        return self.file.with_suffix(".items.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemLine:
    """One line of per-item scores; values are by metric, those of the base None without one."""

    block: str
    item: str
    base: dict[str, float] | None
    adapted: dict[str, float]


def read_result_files(folder: Path) -> tuple[ResultFile, ...]:
    """All result files of a folder, by name; other JSON files there are not looked into.

    Raises:
        DataError: a result file is damaged, or of another version.
    """
    # A result file always has its items beside it: `results.write_result` writes them first.
    stems = sorted(path.name.removesuffix(".items.jsonl") for path in folder.glob("*.items.jsonl"))
    files = (folder / f"{stem}.json" for stem in stems)
    return tuple(_read(file) for file in files if file.exists())


def newest(results: Sequence[ResultFile]) -> ResultFile:
    """The one that was written last, by the times of the files."""
    return max(results, key=lambda one: one.file.stat().st_mtime_ns)


def scored_again(results: Sequence[ResultFile]) -> list[str]:
    """A sentence for each test that several results are about."""
    by_test: defaultdict[str, list[ResultFile]] = defaultdict(list)
    for one in results:
        by_test[_title(one)].append(one)
    return [
        f"There are {len(found)} results of {test}, and all are shown: "
        f"{', '.join(one.file.name for one in found)}. Clips are of the newest, "
        f"{newest(found).file.name}; delete what is not wanted."
        for test, found in by_test.items()
        if len(found) > 1
    ]


def read_items(result: ResultFile) -> Iterator[ItemLine]:
    """The per-item scores of a result.

    Raises:
        DataError: the file is damaged.
    """
    with damage_named(result.items_file):
        for line in result.items_file.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            yield ItemLine(
                block=one["block"],
                item=one["item"],
                base=None if one["base"] is None else _values(one["base"]),
                adapted=_values(one["adapted"]),
            )


def groups_of_results(results: Sequence[ResultFile]) -> tuple[ScoreGroup, ...]:
    """A group of rows a result file, detail first."""
    return tuple(
        ScoreGroup(
            face=face,
            title=_title(one),
            note="; ".join(_counted(one)),
            rows=one.rows,
        )
        for face in FACES
        for one in results
        if one.face == face
    )


def verdict_of_results(results: Sequence[ResultFile]) -> Verdict | None:
    """Means over the tests of each face, each test by the mean of its headlines.

    They have no interval: items of different tests may show the same videos, which result files
    do not tell.

    Returns:
        None where no test of detail has a base to compare with.
    """
    detail, kept = (_mean([one for one in results if one.face == face]) for face in FACES)
    if detail is None:
        return None
    return Verdict(detail=detail, detail_wording="", template=None, kept=kept)


def compared(content: Any) -> Compared:
    """Scores of both models from `base`, `adapted`, `difference`, `interval`."""
    base, adapted = optional_number(content["base"]), number(content["adapted"])
    difference = content.get("difference")
    if difference is None and base is not None:
        difference = adapted - base
    interval = content.get("interval")
    return Compared(
        base=base,
        adapted=adapted,
        difference=optional_number(difference),
        interval=None if interval is None else span_of(interval),
    )


def span_of(bounds: Any) -> Span:
    """An interval from its two bounds."""
    low, high = map(number, bounds)
    return Span(low=low, high=high)


def _title(one: ResultFile) -> str:
    """Task and data in words."""
    split = f" ({one.split})" if one.split else ""
    return f"{one.task.replace('_', ' ')} on {one.source}{split}"


def _mean(results: Sequence[ResultFile]) -> Mean | None:
    """The mean over tests that have headlines of both models."""
    scores = [[row.score for row in one.headlines] for one in results if one.headlines]
    pairs = [
        (fmean(one.base for one in test if one.base is not None), fmean(s.adapted for s in test))
        for test in scores
        if all(one.base is not None for one in test)
    ]
    if not pairs:
        return None
    base, adapted = (fmean(pair[i] for pair in pairs) for i in (0, 1))
    score = Compared(base=base, adapted=adapted, difference=adapted - base, interval=None)
    return Mean(tests=len(pairs), score=score)


def _read(file: Path) -> ResultFile:
    """One result file."""
    content = read_object(file, newest_format=RESULT_FORMAT)
    with damage_named(file):
        metrics = content["metrics"].items()
        if any("headline" not in one for _, one in metrics):
            raise DataError(
                "was written by an older figclip, which did not say which metrics are headlines",
                where=str(file),
                fix="Run `figclip eval` again",
            )
        rows = {name: _row(name, one) for name, one in metrics}
        models, data = content["models"], content["data"]
        base, adapted = models["base"], models["adapted"]
        hashes = {"data": data["hash"], "adapted": adapted["hash"]}
        left_out = {one["reason"]: int(one["count"]) for one in content["left_out"]}
        return ResultFile(
            file=file,
            task=content["task"],
            face=_face(content["face"]),
            data=data["name"],
            source=data["source"],
            split=data["split"],
            alpha=number(adapted["alpha"]),
            base_name=None if base is None else base["name"],
            is_own_base=base is not None and (base["name"], base["alpha"]) == (adapted["name"], 0),
            hashes=hashes if base is None else {**hashes, "base": base["hash"]},
            rows=tuple(rows[name] for name, one in metrics if one["in_table"]),
            headlines=tuple(rows[name] for name, one in metrics if one["headline"]),
            counts={str(name): int(count) for name, count in content["counts"].items()},
            num_left_out=sum(left_out.values()),
            num_chose=sum(left_out.get(reason, 0) for reason in CHOSE),
            # Results of earlier versions do not say it.
            num_trained=int(content.get("trained_on", {"count": 0})["count"]),
            notices=tuple(map(str, content["notices"])),
        )


def _row(name: str, one: Any) -> ScoreRow:
    """A metric; corrected scores where the official ones are wrong, as their interval is theirs."""
    score = compared(
        {
            "base": None if one["base"] is None else _value(one["base"]),
            "adapted": _value(one["adapted"]),
            "difference": one["difference"],
            "interval": one["interval_95"],
        }
    )
    unit = one["unit"]
    if unit not in ("fraction", "rank"):
        raise ValueError(f"unknown unit {unit!r}")
    chance = optional_number(one["chance"])
    return ScoreRow(name=name, metric="", unit=unit, items=None, score=score, chance=chance)


def _value(score: Any) -> object:
    """The corrected score where there is one, else the official."""
    return score["official"] if score["corrected"] is None else score["corrected"]


def _values(content: Any) -> dict[str, float]:
    return {str(name): number(value) for name, value in content.items()}


def _face(name: object) -> Face:
    """A face by its name."""
    for face in FACES:
        if name == face:
            return face
    raise ValueError(f"unknown face {name!r}")


def _counted(one: ResultFile) -> list[str]:
    """How much was scored and how much was not."""
    counted = [f"{count:,} {name}" for name, count in one.counts.items()]
    if one.num_left_out:
        counted.append(f"{one.num_left_out:,} left out")
    return [*counted, f"{one.num_trained:,} TRAINED ON"] if one.num_trained else counted
