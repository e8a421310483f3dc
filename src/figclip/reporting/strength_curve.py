"""The curve over the strength of the adaptation that a report draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from figclip.reporting.json_files import damage_named, number, read_object
from figclip.reporting.numbers import percent, plain
from figclip.reporting.report_records import CurvePoint, StrengthCurve
from figclip.reporting.result_files import ResultFile
from figclip.strength import STRENGTH_FORMAT
from figclip.sweep import SWEEP_FORMAT

_SWEPT = (
    "The curve was scored on the tests themselves (figclip eval --sweep-alpha); no strength was "
    "chosen by it."
)

_Scored = tuple[float, float, float, bool]
"""Strength, detail, kept, whether it qualifies."""


def read_curve(
    run: Path, *, alpha: float | None, results: Sequence[ResultFile]
) -> StrengthCurve | None:
    """The curve that the strength was chosen from, or else that of `--sweep-alpha`.

    Args:
        run: Run folder.
        alpha: Strength of the model; None where that is not known.
        results: Of the model.

    Returns:
        None without either file, or without detail in the first.

    Raises:
        DataError: a file is damaged, or newer.
    """
    chosen_from, swept = run / "strength.json", run / "eval" / "sweep.json"
    if chosen_from.exists():
        return _read_choice(chosen_from, results)
    if swept.exists():
        return _read_sweep(swept, alpha=alpha)
    return None


def _read_choice(file: Path, results: Sequence[ResultFile]) -> StrengthCurve | None:
    """The curve of `adapt --keep`, and the rule in words; None where detail was not measured."""
    content = read_object(file, newest_format=STRENGTH_FORMAT)
    with damage_named(file):
        if any(one["detail"] is None for one in content["curve"]):
            return None
        scores = [
            (number(one["alpha"]), number(one["detail"]), number(one["kept"]), one["qualifies"])
            for one in content["curve"]
        ]
        chosen, limits = number(content["alpha"]), content["limits"]
        confidence = plain(100 * number(limits["confidence"]), decimals=0)
        explanation = (
            f"Strength {chosen:g} was chosen on validation videos and on {_chosen_on(results)}: "
            "the most detail among strengths whose loss of what must be kept is, with "
            f"{confidence} % confidence, at most {percent(limits['mean'])} points on the mean and "
            f"{percent(limits['test'])} on each test. "
            "Hollow points lose more than that."
        )
        return _curve(scores, chosen=chosen, explanation=explanation)


def _chosen_on(results: Sequence[ResultFile]) -> str:
    """What the kept items that chose are to those that are reported."""
    kept = [one for one in results if one.face == "kept"]
    if not kept:
        return "one half of the data of --keep"
    if any(one.num_chose for one in kept):
        return "a part of the kept tests that is not reported"
    return "kept tests of other data than those reported"


def _read_sweep(file: Path, *, alpha: float | None) -> StrengthCurve:
    """The curve of `eval --sweep-alpha`."""
    content = read_object(file, newest_format=SWEEP_FORMAT)
    with damage_named(file):
        scores: list[_Scored] = []
        for one in content["points"]:
            detail, kept = (number(one["faces"][face]) for face in ("detail", "kept"))
            scores.append((number(one["alpha"]), detail, kept, True))
        return _curve(scores, chosen=1.0 if alpha is None else alpha, explanation=_SWEPT)


def _curve(scores: list[_Scored], *, chosen: float, explanation: str) -> StrengthCurve:
    """Changes from strength 0, which must be among the strengths."""
    ((_, base_detail, base_kept, _),) = [one for one in scores if one[0] == 0]
    points = tuple(
        CurvePoint(
            alpha=alpha,
            detail=detail - base_detail,
            kept=kept - base_kept,
            qualifies=bool(qualifies),
        )
        for alpha, detail, kept, qualifies in sorted(scores)
    )
    return StrengthCurve(points=points, chosen=chosen, explanation=explanation)
