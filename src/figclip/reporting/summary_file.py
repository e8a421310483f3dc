"""`eval/summary.json`: named tests in two groups, where a run has them (docs/report.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figclip.reporting.json_files import damage_named, number, optional_number, read_object
from figclip.reporting.report_records import (
    Compared,
    ExtraScore,
    Mean,
    ScoreGroup,
    ScoreRow,
    Span,
    Subset,
    Verdict,
)
from figclip.reporting.result_files import compared, span_of
from figclip.tasks.base import Face

SUMMARY_FORMAT = 1
_WORDINGS = {"natural": "in natural sentences", "template": "in the wording of training"}
_TITLES = {
    "semantic": "kept",
    "detail_template": "detail in the wording of training",
    "situations_context": "situations through the contextualizer",
    "dense_captioning": "dense captioning",
}
_SEEDS = ("seeds", "by_seed")
_FACES: dict[str, Face] = {"detail": "detail", "kept": "kept", "semantic": "kept"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Its content; `seeds` are those of training."""

    verdict: Verdict
    groups: tuple[ScoreGroup, ...]
    controls: tuple[ExtraScore, ...]
    heads: tuple[ExtraScore, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Seconds of each stage, and the most memory in MiB; None where it was not recorded."""

    stages: tuple[tuple[str, float], ...]
    peak_memory_mib: float | None


def read_summary(file: Path) -> Summary:
    """Read `summary.json`.

    Raises:
        DataError: it is damaged, or of a newer format.
    """
    content = read_object(file, newest_format=SUMMARY_FORMAT)
    with damage_named(file):
        groups = _groups(content["tests"])
        return Summary(
            verdict=_verdict(content, groups),
            groups=groups,
            controls=tuple(_scores(content.get("controls", {}))),
            heads=tuple(_scores(content.get("tasks", {}))),
            seeds=tuple(int(seed) for seed in content["seeds"]),
        )


def read_costs(file: Path) -> Costs:
    """Read `timings.json`: seconds by stage, and `peak_memory_mib` where that was measured.

    It is apart from the summary, which is the same for the same seed.

    Raises:
        DataError: it is damaged.
    """
    with damage_named(file):
        seconds = {
            str(name): number(value)
            for name, value in json.loads(file.read_text(encoding="utf-8")).items()
        }
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
        rows.setdefault((_FACES[one["group"]], title), []).append(_row(one))
    return tuple(
        ScoreGroup(face=face, title=title, note="", rows=tuple(group))
        for (face, title), group in sorted(rows.items(), key=lambda entry: entry[0][0] != "detail")
    )


def _row(one: Any) -> ScoreRow:
    """One test."""
    held_out, blind = one.get("held_out"), one.get("blind")
    return ScoreRow(
        name=str(one["name"]),
        metric=str(one["metric"]),
        unit="fraction",
        items=int(one["items"]),
        score=compared(one),
        held_out=None
        if held_out is None
        else Subset(items=int(held_out["items"]), score=compared(held_out)),
        chance=optional_number(one.get("chance")),
        blind=None if blind is None else (number(blind["base"]), number(blind["adapted"])),
        text_only=optional_number(one.get("text_only")),
    )


def _scores(content: Any, prefix: str = "", of_seeds: Sequence[Any] = ()) -> list[ExtraScore]:
    """Every score below, named by the keys that lead to it; `of_seeds` are its parts by seed."""
    if not isinstance(content, Mapping):
        single = Compared(base=None, adapted=number(content), difference=None, interval=None)
        return [ExtraScore(name=prefix, score=single)]
    if {"base", "adapted"} <= content.keys():
        score = compared(content)
        return [ExtraScore(name=prefix, score=score, spread=_spread(of_seeds))]
    if {"difference", "interval"} <= content.keys():
        change = number(content["difference"])
        interval = content["interval"]
        score = Compared(
            base=None,
            adapted=number(content.get("adapted", change)),
            difference=change,
            interval=None if interval is None else span_of(interval),
        )
        return [ExtraScore(name=prefix, score=score)]
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
