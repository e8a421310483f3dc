"""SODA: how well predictions tell a video's events in their order.

Source: Fujita et al., "SODA: Story Oriented Dense Video Captioning Evaluation Framework" (ECCV
2020); fujiso/SODA@9cb3e2c. Shape letters as in `localisation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from figclip.metrics.localisation import OverlappingPairs, SpanLists


def best_total(value_GP: Float64[np.ndarray, "G P"]) -> float:
    """Largest sum of values of pairs in order: both indices grow from one pair to the next.

    Args:
        value_GP: What each pair of an annotated and a predicted event is worth, not negative.

    Returns:
        0 when there is no pair.
    """
    best_P1 = np.zeros(value_GP.shape[1] + 1)
    for value_P in value_GP:
        best_P1[1:] = np.maximum.accumulate(np.maximum(best_P1[1:], best_P1[:-1] + value_P))
    return float(best_P1[-1])


def order_by_start(lists: SpanLists) -> Int64[np.ndarray, " N"]:
    """Positions of the spans, each video's by start time; equal starts stay as they are."""
    return np.lexsort((lists.spans_N2[:, 0], lists.video_N))


@dataclass(frozen=True, slots=True, kw_only=True)
class SodaScores:
    """SODA of each video against one annotation.

    Attributes:
        f1_B: Harmonic mean of precision, the best total over the number of predictions, and recall,
            that over the number of annotated events; 0 for a video without one or the other.
        is_scored_B: True for videos that have both predictions and annotated events. The official
            scores are means over these alone.
    """

    f1_B: Float64[np.ndarray, " B"]
    is_scored_B: Bool[np.ndarray, " B"]

    @property
    def f1(self) -> float:
        """Mean F1 of the videos with predictions, as official; 0 if there are none."""
        return float(self.f1_B[self.is_scored_B].mean()) if self.is_scored_B.any() else 0.0


def soda(
    predictions: SpanLists,
    references: SpanLists,
    *,
    pairs: OverlappingPairs,
    value_N: Float64[np.ndarray, " N"],
) -> SodaScores:
    """Best totals of each video over what the overlapping pairs are worth.

    With IoU x METEOR as values this is SODA_c, with the IoU alone type d. The official order of
    both lists is `order_by_start`.

    Args:
        predictions: Of B videos.
        references: Of the same videos.
        pairs: Those that overlap; all others are worth 0.
        value_N: What each pair is worth, not negative.
    """
    assert (value_N >= 0).all()
    num_videos = len(predictions.count_B)
    video_N = predictions.video_N[pairs.prediction_N]
    first_N1 = np.searchsorted(video_N, np.arange(num_videos + 1))
    gold_N = pairs.reference_N - references.first_B[video_N]
    predicted_N = pairs.prediction_N - predictions.first_B[video_N]
    total_B = np.zeros(num_videos)
    for video in np.unique(video_N):
        own = slice(first_N1[video], first_N1[video + 1])
        value_GP = np.zeros((references.count_B[video], predictions.count_B[video]))
        value_GP[gold_N[own], predicted_N[own]] = value_N[own]
        total_B[video] = best_total(value_GP)
    count_B = predictions.count_B + references.count_B
    return SodaScores(
        f1_B=2 * total_B / np.maximum(count_B, 1),
        is_scored_B=(predictions.count_B > 0) & (references.count_B > 0),
    )
