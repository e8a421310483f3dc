"""Zero-shot classification by similarity to the names of classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64

from figclip.metrics.ranking import place


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """What became of each item; `ranking.hits_at_k` of the ranks gives top-1 and top-5.

    The predicted class is the most similar one; of several, the first. Ranks of the true class
    count from 1. Officially the class of lower index wins a tie, so that top-1 is argmax; else a
    tie counts against the true class.
    """

    predicted_N: Int64[np.ndarray, " N"]
    official_rank_N: Int64[np.ndarray, " N"]
    rank_N: Int64[np.ndarray, " N"]


def classify(sim_NC: Float[np.ndarray, "N C"], class_N: Int64[np.ndarray, " N"]) -> Classified:
    """Rank the classes of each item.

    Classes whose prompts are the same text always tie: the official way gives all their items to
    the first of them, the corrected one finds all wrong at top-1. No model can tell them apart.

    Raises:
        MetricError: no item, no class, or a similarity that is NaN.
    """
    places = place(sim_NC, class_N)
    return Classified(
        predicted_N=sim_NC.argmax(axis=1).astype(np.int64),
        official_rank_N=places.stable_ranks,
        rank_N=places.worst_ranks,
    )


def confusion_counts(
    class_N: Int64[np.ndarray, " N"], predicted_N: Int64[np.ndarray, " N"], *, num_classes: int
) -> Int64[np.ndarray, "C C"]:
    """Number of items of each true class (row) that were given each class (column)."""
    cells_N = class_N * num_classes + predicted_N
    counts = np.bincount(cells_N, minlength=num_classes * num_classes)
    return counts.reshape(num_classes, num_classes)


def means_by_name(
    value_N: Float64[np.ndarray, " N"], name_of_item: Sequence[str]
) -> dict[str, float]:
    """Mean of the values of each name, names in the order of their first item."""
    position: dict[str, int] = {}
    position_N = np.array([position.setdefault(name, len(position)) for name in name_of_item])
    means = np.bincount(position_N, weights=value_N) / np.bincount(position_N)
    return dict(zip(position, means.tolist(), strict=True))
