"""Averages over parts of a benchmark: subsets, relations, classes, splits."""

from __future__ import annotations

from collections.abc import Sequence
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


def mean_and_std(values: Sequence[float]) -> Spread:
    """Mean and population standard deviation over splits, as numpy's `std` gives it.

    Raises:
        MetricError: there is no value.
    """
    if not values:
        raise MetricError("there is no value to average")
    return Spread(float(np.mean(values)), float(np.std(values)))
