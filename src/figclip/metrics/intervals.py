"""How far numbers would move with other videos: groups of items resampled, each with all its items.

Groups are drawn so many times, or get random weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from figclip.errors import MetricError

_WEIGHTS_AT_ONCE = 2_000_000
"""Weights of groups held at once: 16 MB an array."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference, adapted minus base, with its 95 % percentile interval."""

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
        seed: Seed of the draws.

    Raises:
        MetricError: no resample, or as `group_sums`.
    """
    return nested_bootstrap(
        base_NM[None],
        adapted_NM[None],
        group_of_item=group_of_item,
        weight_N=weight_N,
        num_resamples=num_resamples,
        seed=seed,
    )


def nested_bootstrap(
    base_SNM: Float64[np.ndarray, "S N M"],
    adapted_SNM: Float64[np.ndarray, "S N M"],
    *,
    group_of_item: Sequence[str],
    weight_N: Float64[np.ndarray, " N"] | None = None,
    num_resamples: int = 2000,
    seed: int = 0,
) -> tuple[Interval, ...]:
    """As `paired_bootstrap`, of the means over S seeds of training: groups and seeds resampled.

    Each resample draws groups, which all seeds share, and seeds. Drawing from S seeds shows
    (S - 1) / S of their variance only; their part of each resample's deviation is scaled to make up
    for that. With one seed nothing is known of others, and the interval is that of its groups.
    """
    assert base_SNM.shape == adapted_SNM.shape and base_SNM.shape[1] == len(group_of_item)
    if num_resamples < 1:
        raise MetricError(f"{num_resamples} resamples give no interval")
    names, group_N = np.unique(np.asarray(group_of_item), return_inverse=True)
    sum_SGM = np.stack(
        [
            group_sums(difference_NM, group_N, weight_N=weight_N, num_groups=len(names))
            for difference_NM in adapted_SNM - base_SNM
        ]
    )
    num_seeds = len(sum_SGM)
    of_groups, of_seeds = np.random.default_rng(seed), np.random.default_rng((seed, num_seeds))
    means: list[Float64[np.ndarray, "R M"]] = []
    for num in resamples_at_once(num_resamples, num_groups=len(names)):
        # How often each group was drawn: then one matrix product serves all metrics.
        total_SRM = _times_drawn(of_groups, num, len(names)) @ sum_SGM
        mean_SRM = total_SRM[..., :-1] / total_SRM[..., -1:]
        mean_RM = mean_SRM.mean(axis=0)
        if num_seeds > 1:
            share_RS = _times_drawn(of_seeds, num, num_seeds) / num_seeds
            deviation_RM = np.einsum("rs,srm->rm", share_RS, mean_SRM) - mean_RM
            mean_RM = mean_RM + deviation_RM * np.sqrt(num_seeds / (num_seeds - 1))
        means.append(mean_RM)
    total_SM = sum_SGM.sum(axis=1)
    difference_M = (total_SM[:, :-1] / total_SM[:, -1:]).mean(axis=0)
    low_M, high_M = np.percentile(np.concatenate(means), [2.5, 97.5], axis=0)
    return tuple(
        Interval(float(difference), float(low), float(high))
        for difference, low, high in zip(difference_M, low_M, high_M, strict=True)
    )


def _times_drawn(
    rng: np.random.Generator, num_resamples: int, num: int
) -> Float64[np.ndarray, "R G"]:
    """How often each of `num` is drawn in as many draws with replacement."""
    drawn_RG = rng.integers(num, size=(num_resamples, num))
    cells = drawn_RG + num * np.arange(num_resamples)[:, None]
    times_RG = np.bincount(cells.ravel(), minlength=num_resamples * num).reshape(drawn_RG.shape)
    return times_RG.astype(np.float64)


def group_sums(
    value_NM: Float64[np.ndarray, "N M"],
    group_N: Int64[np.ndarray, " N"],
    *,
    weight_N: Float64[np.ndarray, " N"] | None,
    num_groups: int,
) -> Float64[np.ndarray, "G M1"]:
    """Weighted sums of each group's values, and of its weights in the last column.

    The mean over resampled groups is a ratio of two such sums.

    Raises:
        MetricError: values that are not finite, weights that are not positive, or items of fewer
            than two groups, of which nothing can be said.
    """
    if not np.isfinite(value_NM).all():
        raise MetricError("a value is not finite", fix="Look at the per-item scores.")
    weights_N = np.ones(len(value_NM)) if weight_N is None else weight_N
    if not (weights_N > 0).all():
        raise MetricError("a weight is not positive")
    if (num_found := len(np.unique(group_N))) < 2:
        raise MetricError(f"an interval needs at least two groups of items, not {num_found}")
    columns = [*(value_NM.T * weights_N), weights_N]
    sums = [np.bincount(group_N, weights=one, minlength=num_groups) for one in columns]
    return np.stack(sums, axis=1)


def resamples_at_once(num_resamples: int, *, num_groups: int) -> Iterator[int]:
    """How many resamples to make at a time, until all are made."""
    rows = max(1, _WEIGHTS_AT_ONCE // num_groups)
    for start in range(0, num_resamples, rows):
        yield min(rows, num_resamples - start)
