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
    base_NM: Float64[np.ndarray, "N M"],
    adapted_NM: Float64[np.ndarray, "N M"],
    *,
    group_of_item: Sequence[str],
    weight_N: Float64[np.ndarray, " N"] | None = None,
    num_resamples: int = 2000,
    seed: int = 0,
) -> tuple[Interval, ...]:
    """Intervals of the differences of means over the same items, resampling whole groups.

    Groups (videos, films) are drawn with replacement, and with each all of its items: events of
    one video are not independent. An item's own value is kept, so in retrieval the gallery is
    fixed. Both models and all metrics see the same draws, so what they have in common cancels.

    Args:
        base_NM: Values of each item under the base, a column a metric.
        adapted_NM: Values of each item under the adapted model, same order.
        group_of_item: Name of each item's group.
        weight_N: Weight of each item in the means, > 0; None: all equal. A resample's mean is
            weighted too (ratio estimator).
        num_resamples: Number of resamples, >= 1.
        seed: Of the draws.

    Returns:
        One interval a metric.

    Raises:
        MetricError: no resample, values that are not finite, weights that are not positive, or
            fewer than two groups, of which nothing can be said.
    """
    assert base_NM.shape == adapted_NM.shape and len(base_NM) == len(group_of_item)
    if num_resamples < 1:
        raise MetricError(f"{num_resamples} resamples give no interval")
    difference_NM = adapted_NM - base_NM
    if not np.isfinite(difference_NM).all():
        raise MetricError("a value is not finite", fix="Look at the per-item scores.")
    weights_N = np.ones(len(base_NM)) if weight_N is None else weight_N
    if not (weights_N > 0).all():
        raise MetricError("a weight is not positive")
    names, group_N = np.unique(np.asarray(group_of_item), return_inverse=True)
    if len(names) < 2:
        raise MetricError(f"an interval needs at least two groups of items, not {len(names)}")
    # One column more for the weights: a resample's mean is a ratio of two sums over groups.
    columns = [*(difference_NM.T * weights_N), weights_N]
    sum_GM = np.stack([np.bincount(group_N, weights=column) for column in columns], axis=1)
    mean_RM = _resampled_means(sum_GM, num_resamples=num_resamples, seed=seed)
    difference_M = sum_GM[:, :-1].sum(axis=0) / sum_GM[:, -1].sum()
    low_M, high_M = np.percentile(mean_RM, [2.5, 97.5], axis=0)
    return tuple(
        Interval(float(difference), float(low), float(high))
        for difference, low, high in zip(difference_M, low_M, high_M, strict=True)
    )


def _resampled_means(
    sum_GM: Float64[np.ndarray, "G M1"], *, num_resamples: int, seed: int
) -> Float64[np.ndarray, "R M"]:
    """Means of each resample; the last column of the sums holds the weights."""
    rng = np.random.default_rng(seed)
    num_groups = len(sum_GM)
    rows = max(1, _DRAWS_AT_ONCE // num_groups)
    means: list[Float64[np.ndarray, "R M"]] = []
    for start in range(0, num_resamples, rows):
        num = min(rows, num_resamples - start)
        drawn_RG = rng.integers(num_groups, size=(num, num_groups))
        # How often each group was drawn: then one matrix product serves all metrics.
        cells = drawn_RG + num_groups * np.arange(num)[:, None]
        times_RG = np.bincount(cells.ravel(), minlength=num * num_groups)
        total_RM = times_RG.reshape(num, num_groups).astype(np.float64) @ sum_GM
        means.append(total_RM[:, :-1] / total_RM[:, -1:])
    return np.concatenate(means)
