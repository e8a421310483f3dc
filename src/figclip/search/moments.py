"""From scores of windows to moments: neighbouring windows of one moment are found once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from figclip.search.index_file import Windows

_FIRST = 256
"""So many of the best are sorted first; eight times as many whenever these do not suffice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Windows that follow each other in one video, by position in `Windows`; `best` is one."""

    best: int
    windows: range
    score: float


def best_first(
    scores_M: Float32[np.ndarray, " M"],
    *,
    among_M: Int64[np.ndarray, " M"],
    tie_breaks_N: Int64[np.ndarray, " N"],
    exact_of: Callable[[Int64[np.ndarray, " P"]], Float32[np.ndarray, " P"]],
) -> Iterator[tuple[int, float]]:
    """Positions `among_M` with their score, best first; of equals the lowest tie break first.

    They are ordered by `exact_of`, for some positions at a time. In `scores_M`, of one product,
    equal rows may differ in the last bit: their place in memory decides how they are summed.
    """
    num_next = _FIRST
    while len(among_M):
        num_next = min(num_next, len(among_M))
        is_next_M = scores_M >= np.partition(scores_M, -num_next)[-num_next]
        part_P = among_M[is_next_M]
        exact_P = exact_of(part_P)
        order = np.lexsort((part_P, tie_breaks_N[part_P], -exact_P))
        yield from zip(part_P[order].tolist(), exact_P[order].tolist(), strict=True)
        among_M, scores_M = among_M[~is_next_M], scores_M[~is_next_M]
        num_next *= 8


def find_moments(
    seeds: Iterable[tuple[int, float]],
    *,
    windows: Windows,
    bounds_V: Int64[np.ndarray, " V1"],
    scores_of: Callable[[range], Float32[np.ndarray, " W"]],
) -> Iterator[Moment]:
    """Grow moments from the best windows, each over what is left of its video.

    A moment takes in the next window while it overlaps or touches the moment, and scores above the
    midpoint of the best window's score and its video's mean. What overlaps a moment is its own:
    moments of a video do not overlap.

    Args:
        seeds: Positions of windows and their scores, best first.
        windows: All windows.
        bounds_V: Where each video's windows begin, and the number of windows.
        scores_of: Scores of all windows of a video.
    """
    taken_N = np.zeros(len(windows.video_idx_N), bool)
    for best, score in seeds:
        if taken_N[best]:
            continue
        video_idx = windows.video_idx_N[best]
        first, stop = (int(one) for one in bounds_V[video_idx : video_idx + 2])
        scores_W = scores_of(range(first, stop))
        grown, (start_us, end_us) = _grow(
            best - first,
            scores_W=scores_W,
            spans_us_W2=windows.spans_us_N2[first:stop],
            taken_W=taken_N[first:stop],
        )
        starts_us, ends_us = windows.spans_us_N2[first:stop].T
        taken_N[first:stop] |= (starts_us < end_us) & (ends_us > start_us)
        yield Moment(
            best=best,
            windows=range(first + grown.start, first + grown.stop),
            score=score,
        )


def _grow(
    best: int,
    *,
    scores_W: Float32[np.ndarray, " W"],
    spans_us_W2: Int64[np.ndarray, "W 2"],
    taken_W: np.ndarray,
) -> tuple[range, tuple[int, int]]:
    """The windows of a moment, and its span in microseconds."""
    floor = (scores_W[best] + scores_W.mean()) / 2
    joins_W = (scores_W > floor) & ~taken_W
    low = high = best
    start_us, end_us = spans_us_W2[best].tolist()
    while low > 0 and joins_W[low - 1] and spans_us_W2[low - 1, 1] >= start_us:
        low -= 1
        start_us = int(spans_us_W2[low, 0])
        end_us = max(end_us, int(spans_us_W2[low, 1]))
    while high + 1 < len(scores_W) and joins_W[high + 1] and spans_us_W2[high + 1, 0] <= end_us:
        high += 1
        end_us = max(end_us, int(spans_us_W2[high, 1]))
    return range(low, high + 1), (start_us, end_us)
