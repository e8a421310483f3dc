"""How far a difference between two models would move with other videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from figclip.errors import MetricError

_DRAWS_AT_ONCE = 2_000_000
"""Groups drawn at once: 16 MB an array."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference, adapted minus base, with its 95 % percentile interval.

    Attributes:
        difference: Of the means over all items.
        low: 2.5th percentile over resamples.
        high: 97.5th percentile.
    """

    difference: float
    low: float
    high: float


def paired_bootstrap(
    base_N: Float64[np.ndarray, " N"],
    adapted_N: Float64[np.ndarray, " N"],
    *,
    group_of_item: Sequence[str],
    num_resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of the difference of two means over the same items, resampling whole groups.

    Groups (videos, films) are drawn with replacement, and with each all of its items: events of
    one video are not independent. An item's own value is kept, so in retrieval the gallery is
    fixed. Both models see the same draws, so what they have in common cancels.

    Args:
        base_N: Value of each item under the base.
        adapted_N: Value of each item under the adapted model, same order.
        group_of_item: Name of each item's group.
        num_resamples: Number of resamples, >= 1.
        seed: Of the draws.

    Raises:
        MetricError: no resample, values that are not finite, or fewer than two groups, of which
            nothing can be said.
    """
    assert len(base_N) == len(adapted_N) == len(group_of_item)
    if num_resamples < 1:
        raise MetricError(f"{num_resamples} resamples give no interval")
    difference_N = adapted_N - base_N
    if not np.isfinite(difference_N).all():
        raise MetricError("a value is not finite", fix="Look at the per-item scores.")
    names, group_N = np.unique(np.asarray(group_of_item), return_inverse=True)
    if len(names) < 2:
        raise MetricError(f"an interval needs at least two groups of items, not {len(names)}")
    sum_G = np.bincount(group_N, weights=difference_N)
    size_G = np.bincount(group_N)
    rng = np.random.default_rng(seed)
    means: list[Float64[np.ndarray, " R"]] = []
    rows = max(1, _DRAWS_AT_ONCE // len(names))
    for start in range(0, num_resamples, rows):
        drawn_RG = rng.integers(len(names), size=(min(rows, num_resamples - start), len(names)))
        means.append(sum_G[drawn_RG].sum(axis=1) / size_G[drawn_RG].sum(axis=1))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return Interval(float(difference_N.mean()), float(low), float(high))
