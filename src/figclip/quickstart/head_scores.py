"""What heads score, of one seed or several: rows of `tasks` in `summary.json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from figclip.metrics.intervals import paired_bootstrap
from figclip.quickstart.summary import NUM_RESAMPLES
from figclip.results import EvaluationResult, TaskResult
from figclip.tasks.base import ItemScores


def summarise_heads(
    results: Sequence[EvaluationResult],
    *,
    names: Sequence[str],
    seeds: Sequence[int],
    interval_seed: int,
) -> dict[str, Any]:
    """Each task of heads: base, adapted, difference and its interval, and each seed's.

    Means are over seeds; the heads of base and adapted both differ by seed. Intervals resample
    videos, each with the mean of its seeds, where a score is a mean over items.

    Args:
        results: One a seed, of the same data.
        names: Scores to tell.
        seeds: Of the heads.
        interval_seed: Of the intervals.
    """
    tasks: dict[str, Any] = {}
    for of_seeds in zip(*(result.tasks for result in results), strict=True):
        rows = {name: _row(name, of_seeds, seed=interval_seed) for name in names}
        by_seed = [
            {name: _row(name, [one], seed=interval_seed) for name in names} for one in of_seeds
        ]
        tasks[of_seeds[0].task] = {
            **rows,
            **({"seeds": list(seeds), "by_seed": by_seed} if len(results) > 1 else {}),
        }
    return tasks


def _row(name: str, results: Sequence[TaskResult], *, seed: int) -> dict[str, Any]:
    """One score over seeds."""
    pairs = [(one.metrics[name].base, one.metrics[name].adapted) for one in results]
    base = float(np.mean([b.value for b, _ in pairs if b is not None]))
    adapted = float(np.mean([a.value for _, a in pairs]))
    return {
        "base": base,
        "adapted": adapted,
        "difference": adapted - base,
        "interval": _interval(name, results, seed=seed),
    }


def _interval(name: str, results: Sequence[TaskResult], *, seed: int) -> list[float] | None:
    """95 % interval of the difference; None for no mean over items, or over one group of them."""
    base = _blocks(name, [one.base_items or () for one in results])
    adapted = _blocks(name, [one.adapted_items for one in results])
    if not base or not adapted:
        return None
    first = adapted[0]
    if len(set(first.group_ids)) == 1:
        return None
    (interval,) = paired_bootstrap(
        np.mean([block.values[name] for block in base], axis=0)[:, None],
        np.mean([block.values[name] for block in adapted], axis=0)[:, None],
        group_of_item=first.group_ids,
        weight_N=first.weights,
        num_resamples=NUM_RESAMPLES,
        seed=seed,
    )
    return [interval.low, interval.high]


def _blocks(name: str, items: Sequence[Sequence[ItemScores]]) -> list[ItemScores]:
    """The block of each seed that has a score's values."""
    return [block for blocks in items for block in blocks if name in block.values]
