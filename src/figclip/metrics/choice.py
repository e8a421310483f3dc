"""Choosing between a true item and counterfeits of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64

from figclip.errors import MetricError


@dataclass(frozen=True, slots=True)
class Choices:
    """What became of each item, in [0, 1].

    Attributes:
        accuracy_N: Share of the item's negatives that score strictly below its positive. Chance is
            0.5 for a model that guesses, 0 for one that finds everything equal.
        ties_N: Share of the item's negatives that score exactly as its positive.
    """

    accuracy_N: Float64[np.ndarray, " N"]
    ties_N: Float64[np.ndarray, " N"]


def choose(
    positive_N: Float[np.ndarray, " N"],
    negative_NK: Float[np.ndarray, "N K"],
    *,
    present_NK: Bool[np.ndarray, "N K"],
) -> Choices:
    """Compare each positive with each of its negatives, one pair at a time.

    Every item counts once in a mean of the result, however many negatives it has.

    Args:
        positive_N: Score of the true choice, higher is better.
        negative_NK: Scores of the false ones.
        present_NK: False where there is no such negative; its score is not read.

    Raises:
        MetricError: no item, an item without any negative, or a score that is not finite.
    """
    assert negative_NK.shape == present_NK.shape and len(positive_N) == len(negative_NK)
    if not len(positive_N):
        raise MetricError("there is no item to choose for")
    count_N = present_NK.sum(axis=1)
    if not count_N.all():
        raise MetricError(
            "has no negative", where=f"item {int(np.argmin(count_N))}", fix="Leave it out."
        )
    if not (np.isfinite(positive_N).all() and np.isfinite(negative_NK[present_NK]).all()):
        raise MetricError(
            "a score is not finite",
            fix="Look at the model: its embeddings overflow or are NaN.",
        )
    won_NK = present_NK & (positive_N[:, None] > negative_NK)
    tied_NK = present_NK & (positive_N[:, None] == negative_NK)
    return Choices(won_NK.sum(axis=1) / count_N, tied_NK.sum(axis=1) / count_N)
