"""Read the result files of `figclip eval`, and `eval/summary.json`, as a report shows them.

The summary has named tests in two groups, where a run has them (docs/report.md).

A file that is damaged or of a newer format is a `DataError`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

from figclip.errors import DataError
from figclip.evaluation.results import FACES, RESULT_FORMAT
from figclip.evaluation.seen_items import CHOSE
from figclip.reporting.records import (
    Compared,
    CurvePoint,
    ExtraScore,
    Mean,
    ScoreGroup,
    ScoreRow,
    Span,
    StrengthCurve,
    Verdict,
)
from figclip.runtime import reading
from figclip.runtime.checked_json import load_checked, read_checked
from figclip.tasks.base import Face, Unit


def read_object(file: Path, *, newest_format: int) -> dict[str, Any]:
    """The JSON object in a file; a `DataError` if it is none, or of a newer format."""
    with damage_named(file):
        content = read_checked(file)
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
    fix = "Make it again with the command that wrote it, or delete it"
    with reading.damage_named(file, DataError, fix=fix, what="is damaged"):
        yield


def number(value: object) -> float:
    """A finite number of JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise TypeError(f"{value!r} is no number")
    return float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """One result file.

    Attributes:
        precision: That of the models' products; empty where it is not known.
        base_name: None where only one model was scored.
        is_own_base: Whether the base is the adapted model itself at strength 0.
        hashes: Hashes of `data`, `adapted` and, where there is one, `base`.
        headlines: The few rows that stand for the task.
        left_out: How many items were left out, by the reason.
        num_trained: Items that were scored although a model was trained on them.
    """

    file: Path
    task: str
    face: Face
    data: str
    source: str
    split: str | None
    alpha: float
    precision: str
    base_name: str | None
    is_own_base: bool
    hashes: dict[str, str]
    rows: tuple[ScoreRow, ...]
    headlines: tuple[ScoreRow, ...]
    counts: dict[str, int]
    left_out: dict[str, int]
    num_trained: int
    notices: tuple[str, ...]

    @property
    def num_chose(self) -> int:
        """Items left out because they chose the strength of the model."""
        return sum(self.left_out.get(reason, 0) for reason in CHOSE)

    @property
    def items_file(self) -> Path:
        """The per-item scores beside it."""
        return self.file.with_suffix(".items.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemLine:
    """One line of per-item scores; values are by metric, those of the base None without one."""

    block: str
    item: str
    group: str
    base: dict[str, float] | None
    adapted: dict[str, float]


def read_result_files(folder: Path) -> tuple[ResultFile, ...]:
    """All result files of a folder, by name; other JSON files there are not looked into."""
    # A result file always has its items beside it: they are written first.
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
    """The per-item scores of a result."""
    with damage_named(result.items_file):
        for line in result.items_file.read_text(encoding="utf-8").splitlines():
            one = load_checked(line)
            base = None if one["base"] is None else _values(one["base"])
            adapted = _values(one["adapted"])
            if base is not None and base.keys() != adapted.keys():
                raise ValueError("base and adapted have other scores")
            block, item = _text(one["block"]), _text(one["item"])
            group = _text(one["group"])
            yield ItemLine(block=block, item=item, group=group, base=base, adapted=adapted)


def groups_of_results(results: Sequence[ResultFile]) -> tuple[ScoreGroup, ...]:
    """A group of rows a result file, detail first."""
    return tuple(
        ScoreGroup(face=face, title=_title(one), note=_counted(one), rows=one.rows)
        for face in FACES
        for one in results
        if one.face == face
    )


def summary_of_results(results: Sequence[ResultFile]) -> Summary:
    """Means over the tests of each face, each test by the mean of its headlines.

    They have no interval: items of different tests may show the same videos, which result files
    do not tell.
    """
    detail, kept = (_mean([one for one in results if one.face == face]) for face in FACES)
    verdict = None
    if detail is not None:
        verdict = Verdict(detail=detail, detail_wording="", template=None, kept=kept)
    return Summary(verdict=verdict, groups=groups_of_results(results))


def compared(content: Any) -> Compared:
    """Scores of both models from `base`, `adapted`, `difference`, `interval`."""
    base, adapted = _optional(content["base"]), number(content["adapted"])
    difference = content.get("difference")
    if difference is None and base is not None:
        difference = adapted - base
    return Compared(
        base=base,
        adapted=adapted,
        difference=_optional(difference),
        interval=_interval(content.get("interval")),
    )


def _interval(bounds: Any) -> Span | None:
    """An interval from its two bounds."""
    if bounds is None:
        return None
    low, high = map(number, bounds)
    return Span(low=low, high=high)


def _optional(value: object) -> float | None:
    """A finite number, or null."""
    return None if value is None else number(value)


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
        return ResultFile(
            file=file,
            task=_text(content["task"]),
            face=_known(content["face"], FACES),
            data=_text(data["name"]),
            source=_text(data["source"]),
            split=None if data["split"] is None else _text(data["split"]),
            alpha=number(adapted["alpha"]),
            # Results of earlier versions do not say it.
            precision=_text(adapted.get("precision", "")),
            base_name=None if base is None else _text(base["name"]),
            is_own_base=base is not None and (base["name"], base["alpha"]) == (adapted["name"], 0),
            hashes=hashes if base is None else {**hashes, "base": base["hash"]},
            rows=tuple(rows[name] for name, one in metrics if one["in_table"]),
            headlines=tuple(rows[name] for name, one in metrics if one["headline"]),
            counts={str(name): int(count) for name, count in content["counts"].items()},
            left_out={str(one["reason"]): int(one["count"]) for one in content["left_out"]},
            # Results of earlier versions do not say it.
            num_trained=int(content.get("trained_on", {"count": 0})["count"]),
            notices=tuple(map(str, content["notices"])),
        )


def _row(name: str, one: Any) -> ScoreRow:
    """A metric; corrected scores where the official ones are wrong, as their interval is theirs."""
    base, adapted = (
        one[of] and (one[of]["official"] if one[of]["corrected"] is None else one[of]["corrected"])
        for of in ("base", "adapted")
    )
    interval = {"difference": one["difference"], "interval": one["interval_95"]}
    score = compared({"base": base, "adapted": adapted, **interval})
    unit = _known(one["unit"], get_args(Unit))
    chance = _optional(one["chance"])
    return ScoreRow(name=name, metric="", unit=unit, items=None, score=score, chance=chance)


def _values(content: Any) -> dict[str, float]:
    return {str(name): number(value) for name, value in content.items()}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _known(name: Any, known: Collection[str]) -> Any:
    """A name that must be known."""
    if name not in known:
        raise ValueError(f"unknown {name!r}")
    return name


def _counted(one: ResultFile) -> str:
    """How much was scored, and how much was not and why."""
    counted = [f"{count:,} {name}" for name, count in one.counts.items() if count]
    counted += [f"{count:,} left out: {reason}" for reason, count in one.left_out.items()]
    if one.num_trained:
        counted.append(f"{one.num_trained:,} TRAINED ON")
    return "; ".join(counted)


SUMMARY_FORMAT = 1
_WORDINGS = {"natural": "in natural sentences", "template": "in the wording of training"}
_TITLES = {
    "semantic": "kept",
    "detail_template": "detail in the wording of training",
    "situations_context": "situations through the contextualizer",
    "dense_captioning": "dense captioning",
}
_SEEDS = ("seeds", "by_seed")
_LEAVES = ({"base", "adapted"}, {"difference", "interval"})
_CURVES = (
    "The curves run over the strength of the adaptation, on the same tests and seeds: held to the "
    "base in training, and held to nothing, where only a lower strength keeps more."
)
_FACES: dict[str, Face] = {"detail": "detail", "kept": "kept", "semantic": "kept"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What all tests say.

    Attributes:
        verdict: None where no test of detail has a base to compare with.
        controls: What must not gain.
        seeds: Those of training; empty where no summary was written.
        curves: Over strengths, on the tests themselves.
    """

    verdict: Verdict | None
    groups: tuple[ScoreGroup, ...]
    controls: tuple[ExtraScore, ...] = ()
    heads: tuple[ExtraScore, ...] = ()
    seeds: tuple[int, ...] = ()
    curves: tuple[StrengthCurve, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Seconds of each stage, and the most memory in MiB; None where it was not recorded."""

    stages: tuple[tuple[str, float], ...]
    peak_memory_mib: float | None = None


def read_summary(file: Path) -> Summary:
    """Read `summary.json`."""
    content = read_object(file, newest_format=SUMMARY_FORMAT)
    with damage_named(file):
        groups = _groups(content["tests"])
        return Summary(
            verdict=_verdict(content, groups),
            groups=groups,
            controls=tuple(_scores(content.get("controls", {}))),
            heads=tuple(_scores(content.get("tasks", {}))),
            seeds=tuple(int(seed) for seed in content["seeds"]),
            curves=tuple(_curve(*one) for one in content.get("curves", {}).items()),
        )


def _curve(name: str, points: Any) -> StrengthCurve:
    """One curve of a summary, from the base on."""
    found = [
        CurvePoint(
            alpha=number(one["alpha"]),
            detail=number(one["detail"]["difference"]),
            kept=number(one["semantic"]["difference"]),
            qualifies=True,
        )
        for one in points
    ]
    base = CurvePoint(alpha=0.0, detail=0.0, kept=0.0, qualifies=True)
    return StrengthCurve(points=(base, *found), chosen=None, explanation=_CURVES, name=name)


def read_costs(file: Path) -> Costs:
    """Read `timings.json`: seconds by stage, and `peak_memory_mib` where that was measured.

    It is apart from the summary, which is the same for the same seed.
    """
    with damage_named(file):
        seconds = {str(name): number(value) for name, value in read_checked(file).items()}
    memory = seconds.pop("peak_memory_mib", None)
    return Costs(stages=tuple(seconds.items()), peak_memory_mib=memory)


def _verdict(content: Any, groups: tuple[ScoreGroup, ...]) -> Verdict:
    """The means over tests."""

    def mean(key: str, face: Face, title: str) -> Mean | None:
        if not content.get(key):
            return None
        tests = sum(len(one.rows) for one in groups if (one.face, one.title) == (face, title))
        held_out = content[key].get("held_out")
        return Mean(
            tests=tests,
            score=compared(content[key]),
            held_out=None if held_out is None else compared(held_out),
            spread=_spread([one[key] for one in content.get("by_seed", ())]),
        )

    titles = {one.title for one in groups if one.face == "detail"}
    wording = _WORDINGS["natural"] if _WORDINGS["natural"] in titles else ""
    detail = mean("detail", "detail", wording)
    if detail is None:
        raise KeyError("detail")
    return Verdict(
        detail=detail,
        detail_wording=wording,
        template=mean("detail_template", "detail", _WORDINGS["template"]),
        kept=mean("semantic", "kept", ""),
    )


def _groups(tests: Any) -> tuple[ScoreGroup, ...]:
    """Tests by face and wording, in the order of the file; detail first."""
    rows: dict[tuple[Face, str], list[ScoreRow]] = {}
    for one in tests:
        wording = one["wording"]
        title = "" if wording is None else _WORDINGS.get(wording, f"in the wording {wording}")
        rows.setdefault((_FACES[one["group"]], title), []).append(_summary_row(one))
    return tuple(
        ScoreGroup(face=face, title=title, note="", rows=tuple(group))
        for (face, title), group in sorted(rows.items(), key=lambda entry: entry[0][0] != "detail")
    )


def _summary_row(one: Any) -> ScoreRow:
    """One test."""
    held_out, blind = one.get("held_out"), one.get("blind")
    return ScoreRow(
        name=str(one["name"]),
        metric=str(one["metric"]),
        unit="fraction",
        items=int(one["items"]),
        score=compared(one),
        held_out=None if held_out is None else compared(held_out),
        chance=_optional(one.get("chance")),
        blind=None if blind is None else (number(blind["base"]), number(blind["adapted"])),
        text_only=_optional(one.get("text_only")),
    )


def _scores(content: Any, prefix: str = "", of_seeds: Sequence[Any] = ()) -> list[ExtraScore]:
    """Every score below, named by the keys that lead to it; `of_seeds` are its parts by seed."""
    if not isinstance(content, Mapping):
        content = {"base": None, "adapted": content}
    if any(keys <= content.keys() for keys in _LEAVES):
        score = compared({"base": None, "adapted": content.get("difference"), **content})
        return [ExtraScore(name=prefix, score=score, spread=_spread(of_seeds))]
    by_seed = content.get("by_seed", ())
    return [
        one
        for key, part in content.items()
        if key not in _SEEDS
        for one in _scores(
            part,
            ", ".join(filter(None, (prefix, _TITLES.get(key, str(key))))),
            [means[key] for means in by_seed],
        )
    ]


def _spread(of_seeds: Sequence[Any]) -> Span | None:
    """The lowest and the highest difference of several seeds."""
    if len(of_seeds) < 2:
        return None
    differences = [number(one["difference"]) for one in of_seeds]
    return Span(low=min(differences), high=max(differences))
