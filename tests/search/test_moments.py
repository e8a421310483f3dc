"""Moments: neighbours are found once, worked out by hand; what always holds; ties."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from figclip.search.index_file import Windows
from figclip.search.moments import Moment, best_first, find_moments


def windows_of(*spans_s: list[tuple[float, float]]) -> Windows:
    """Windows of videos, given their spans in seconds."""
    counts = [len(one) for one in spans_s]
    flat = [span for one in spans_s for span in one]
    return Windows(
        hashes=tuple(f"video {number}" for number in range(len(spans_s))),
        video_idx_N=np.repeat(np.arange(len(spans_s)), np.array(counts, int)),
        number_N=np.concatenate([np.arange(0), *(np.arange(count) for count in counts)]),
        spans_us_N2=(np.array(flat).reshape(-1, 2) * 1e6).astype(np.int64),
        vectors_ND=np.zeros((len(flat), 2), np.float32),
    )


def every_second(num: int) -> list[tuple[float, float]]:
    return [(start, start + 2.0) for start in range(num)]


def find(windows: Windows, scores: list[float]) -> list[Moment]:
    scores_N = np.array(scores, np.float32)
    everything = np.arange(len(scores))
    bounds_V = np.searchsorted(windows.video_idx_N, np.arange(len(windows.hashes) + 1))
    return list(
        find_moments(
            best_first(
                scores_N,
                among_M=everything,
                tie_breaks_N=windows.video_idx_N,
                exact_of=lambda part: scores_N[part],
            ),
            windows=windows,
            bounds_V=bounds_V,
            scores_of=lambda part: scores_N[part.start : part.stop],
        )
    )


def test_a_moment_grows_down_to_the_midpoint_of_best_and_mean():
    # Mean 0.3, best 0.9: above 0.6 are the windows 2 to 4, which lie in 2 s to 6 s.
    found = find(windows_of(every_second(8)), [0.1, 0.1, 0.61, 0.9, 0.65, 0.0, 0.04, 0.03])
    assert found[0] == Moment(best=3, windows=range(2, 5), score=float(np.float32(0.9)))
    # Windows 1 and 5 overlap it, and are its own; 0 and 6 only touch it. 7 overlaps 6.
    assert [(one.best, one.windows) for one in found[1:]] == [(0, range(1)), (6, range(6, 7))]


def test_a_gap_and_another_video_end_a_moment():
    spans = [(0.0, 2.0), (2.0, 4.0), (4.5, 6.5), (6.5, 8.5)]
    found = find(windows_of(spans, every_second(1)), [0.9, 0.9, 0.9, 0.0, 0.9])
    assert [one.windows for one in found] == [range(2), range(2, 3), range(4, 5), range(3, 4)]


def test_a_moment_does_not_grow_into_an_earlier_one():
    spans = [(float(start), start + 1.0) for start in range(5)]
    found = find(windows_of(spans), [0.1, 0.8, 0.9, 0.4, 0.8])
    assert [one.windows for one in found] == [range(1, 3), range(4, 5), range(3, 4), range(1)]


def test_equal_scores_come_by_tie_break_and_place_whatever_their_number():
    scores_N = np.zeros(10_000, np.float32)
    scores_N[[7, 9000]] = 1
    ties_N = np.arange(10_000)[::-1] // 2
    found = best_first(
        scores_N[1:],
        among_M=np.arange(1, 10_000),
        tie_breaks_N=ties_N,
        exact_of=lambda part: scores_N[part],
    )
    order = [one for one, _ in found]
    rest = [one for one in range(1, 10_000) if one not in (7, 9000)]
    assert order == [9000, 7, *sorted(rest, key=lambda one: (ties_N[one], one))]


def test_of_nothing_nothing_is_found():
    assert find(windows_of([]), []) == []


@given(st.lists(st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.6, 0.9]), min_size=1), max_size=4))
def test_moments_do_not_overlap_and_cover_every_window(scores: list[list[float]]):
    windows = windows_of(*(every_second(len(one)) for one in scores))
    found = find(windows, [one for video in scores for one in video])
    covered = np.zeros(len(windows.number_N), bool)
    for moment in found:
        spans_us = windows.spans_us_N2[moment.windows]
        video = windows.video_idx_N == windows.video_idx_N[moment.best]
        inside = video & (windows.spans_us_N2[:, 0] < spans_us[-1, 1])
        inside &= windows.spans_us_N2[:, 1] > spans_us[0, 0]
        assert moment.best in moment.windows and not covered[moment.windows].any()
        covered |= inside
    assert covered.all()
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
