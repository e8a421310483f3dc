"""Retrieval scores as CLIP4Clip computes them, ties included.

Source: ArrowLuo/CLIP4Clip @ 508ffa3, metrics.py. Fractions instead of percentages. Its sorted
tables are not needed: all follows from how many items are ahead of the correct one or tie with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from figclip.metrics.ranking import Places


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalScores:
    """What is reported of one direction.

    Attributes:
        recall_1: Share of queries whose rank is 1, in [0, 1].
        recall_5: The same for at most 5.
        recall_10: The same for at most 10.
        median_rank: From 1.
        mean_rank: From 1.
    """

    recall_1: float
    recall_5: float
    recall_10: float
    median_rank: float
    mean_rank: float


def one_caption_scores(places: Places) -> RetrievalScores:
    """Scores of queries with one correct item each (`compute_metrics`, metrics.py:9-24).

    Every position that ties with the correct item counts as a position of the query, so a query
    with ties counts several times, and the denominator exceeds the number of queries. The median is
    between the two middle positions. Serves both directions when each video has one caption, and
    video to text when a video is as similar as its best caption.
    """
    last_Q = places.ahead_Q + places.tied_Q
    size = int(last_Q.max()) + 2
    # +1 where a query's positions begin, -1 behind their end: the running sum counts them.
    edges = np.bincount(places.ahead_Q, minlength=size) - np.bincount(last_Q + 1, minlength=size)
    return _scores(np.cumsum(edges)[:-1], is_median_lower=False)


def several_captions_scores(places: Places) -> RetrievalScores:
    """Scores of captions when videos have several (`tensor_text_to_video_metrics`, :34-61).

    The position is the one of a sort in which the lower index wins a tie (theirs does not ask for a
    stable sort; on the CPU it is one). The median is the lower of the two middle positions.
    """
    return _scores(np.bincount(places.stable_ranks - 1), is_median_lower=True)


def _scores(count_P: Int64[np.ndarray, " P"], *, is_median_lower: bool) -> RetrievalScores:
    """Scores of how often each position, counted from 0, occurs."""
    upto_P = np.cumsum(count_P)
    total = int(upto_P[-1])
    lower = int(np.searchsorted(upto_P, (total + 1) // 2))
    upper = int(np.searchsorted(upto_P, total // 2 + 1))
    recall_1, recall_5, recall_10 = (
        float(upto_P[min(k, len(upto_P)) - 1] / total) for k in (1, 5, 10)
    )
    return RetrievalScores(
        recall_1=recall_1,
        recall_5=recall_5,
        recall_10=recall_10,
        median_rank=1.0 + (lower if is_median_lower else (lower + upper) / 2),
        mean_rank=1.0 + float(count_P @ np.arange(len(count_P)) / total),
    )
