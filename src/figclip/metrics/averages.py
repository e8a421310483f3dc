"""Averages over parts of a benchmark: subsets, relations, classes, splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from figclip.errors import MetricError


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean of some numbers, and their population standard deviation (divided by n, not n - 1)."""

    mean: float
    std: float


def means_by_name(
    value_N: Float64[np.ndarray, " N"], name_of_item: Sequence[str]
) -> dict[str, float]:
    """Mean of the values of each name, names in the order of their first item.

    Raises:
        MetricError: there is no value.
    """
    assert len(value_N) == len(name_of_item)
    if not len(value_N):
        raise MetricError("there is no value to average")
    position: dict[str, int] = {}
    position_N = np.array([position.setdefault(name, len(position)) for name in name_of_item])
    means = np.bincount(position_N, weights=value_N) / np.bincount(position_N)
    return dict(zip(position, means.tolist(), strict=True))


def macro_mean(
    value_N: Float64[np.ndarray, " N"],
    name_of_item: Sequence[str],
    *,
    left_out: Collection[str] = frozenset(),
    min_items: int = 1,
) -> float:
    """Mean over names of the means of their values: each name counts once, whatever its size.

    Args:
        value_N: Value of each item.
        name_of_item: Name of each item's part: subset, relation, class.
        left_out: Names that do not count.
        min_items: Names with fewer items do not count.

    Raises:
        MetricError: no name is left.
    """
    means = means_by_name(value_N, name_of_item)
    counts = Counter(name_of_item)
    kept = [
        mean for name, mean in means.items() if name not in left_out and counts[name] >= min_items
    ]
    if not kept:
        raise MetricError(f"none of {len(means)} parts counts, so there is no mean over parts")
    return float(np.mean(kept))


def mean_and_std(values: Sequence[float]) -> Spread:
    """Mean and population standard deviation over splits, as numpy's `std` gives it.

    Raises:
        MetricError: there is no value.
    """
    if not values:
        raise MetricError("there is no value to average")
    return Spread(float(np.mean(values)), float(np.std(values)))
