"""What a run's files know of its model, for the card of an export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from figclip.evaluation.results import STRENGTH_FORMAT
from figclip.model.card import CardFacts, CardScore, StrengthPrice, data_names
from figclip.model.folder import ModelInfo
from figclip.reporting.result_files import (
    ResultFile,
    damage_named,
    number,
    read_object,
    read_result_files,
)
from figclip.training.run_folder import RUN_FORMAT, RunFolder


def read_facts(model: Path, info: ModelInfo | None, *, weights: str) -> CardFacts:
    """What the run around a model folder knows; nothing where there is no run.

    Args:
        model: The model folder, `model/` of a run if there is one.
        info: Its `figclip.json`.
        weights: `weights_hash` of what is exported: results of other weights are left out, and of
            comparisons with another base.

    Raises:
        DataError: a file of the run is damaged.
    """
    run = RunFolder(model.parent)
    if info is None or model.name != run.model.name or not run.data.exists():
        return CardFacts()
    data = read_object(run.data, newest_format=RUN_FORMAT)
    with damage_named(run.data):
        names = data_names(store.get("coverage", {}) for store in data.get("stores", ()))
        num_videos, num_val_videos = len(data["train"]), len(data["val"])
    return CardFacts(
        data_names=names,
        num_videos=num_videos,
        num_val_videos=num_val_videos,
        price=_read_price(run.path / "strength.json"),
        scores=tuple(
            score
            for one in read_result_files(run.path / "eval")
            if one.hashes["adapted"] == weights and _is_own_comparison(one, info)
            for score in _scores(one)
        ),
    )


def _is_own_comparison(one: ResultFile, info: ModelInfo) -> bool:
    """Whether the other model of a result, if there is one, is the base."""
    # Strength 0 is the base but for rounding, so its hash is another one.
    return one.base_name is None or one.is_own_base or one.hashes["base"] == info.base_hash


def _scores(one: ResultFile) -> list[CardScore]:
    """The headlines of a result."""
    return [
        CardScore(
            task=one.task,
            data=one.data,
            source=one.source,
            data_hash=one.hashes["data"],
            split=one.split,
            metric=row.name,
            unit=row.unit,
            base=row.score.base,
            adapted=row.score.adapted,
            difference=row.score.difference,
            interval=row.score.interval and (row.score.interval.low, row.score.interval.high),
        )
        for row in one.headlines
    ]


def _read_price(file: Path) -> StrengthPrice | None:
    """What `adapt` wrote of the strength that it chose."""
    if not file.exists():
        return None
    content = read_object(file, newest_format=STRENGTH_FORMAT)
    with damage_named(file):
        alpha = number(content["alpha"])
        points: dict[float, Any] = {number(one["alpha"]): one for one in content["curve"]}
        base, chosen = points[0.0], points[alpha]
        detail = None
        if base["detail"] is not None:
            detail = (number(base["detail"]), number(chosen["detail"]))
        return StrengthPrice(
            alpha=alpha,
            detail=detail,
            kept=(number(base["kept"]), number(chosen["kept"])),
            loss_bound=number(chosen["loss_bound"]),
        )
