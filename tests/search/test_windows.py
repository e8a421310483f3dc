"""Windows cover a video from its start to its end, and share their frames' times."""

from __future__ import annotations

import numpy as np
import pytest

from figclip.errors import VideoError
from figclip.search.windows import MAX_WINDOWS, frame_times_us, window_spans_us

S = 1_000_000


@pytest.mark.parametrize(
    ("duration_s", "spans_s"),
    [
        (0.5, [(0, 0.5)]),
        (2, [(0, 2)]),
        (2.25, [(0, 2), (0.25, 2.25)]),
        (4, [(0, 2), (1, 3), (2, 4)]),
        (4.5, [(0, 2), (1, 3), (2, 4), (2.5, 4.5)]),
    ],
)
def test_one_every_stride_and_the_last_ends_with_the_video(
    duration_s: float, spans_s: list[tuple[float, float]]
):
    spans_us = window_spans_us(int(duration_s * S), window_us=2 * S, stride_us=S)
    assert (spans_us / S).tolist() == [list(span) for span in spans_s]


def test_windows_that_do_not_overlap():
    spans_us = window_spans_us(7 * S, window_us=S, stride_us=3 * S)
    assert (spans_us / S).tolist() == [[0, 1], [3, 4], [6, 7]]


def test_frames_are_midpoints_which_overlapping_windows_share():
    spans_us = window_spans_us(3 * S, window_us=2 * S, stride_us=S)
    times_us_NT = frame_times_us(spans_us, frames=4)
    assert (times_us_NT / S).tolist() == [[0.25, 0.75, 1.25, 1.75], [1.25, 1.75, 2.25, 2.75]]


def test_a_file_that_claims_to_last_for_years_is_refused_at_once():
    longest_us = (MAX_WINDOWS + 1) * S
    assert len(window_spans_us(longest_us, window_us=2 * S, stride_us=S)) == MAX_WINDOWS
    with pytest.raises(VideoError, match="too-long"):
        window_spans_us(10**16, window_us=2 * S, stride_us=S)


def test_an_empty_span_has_no_frames():
    with pytest.raises(VideoError, match="bad-time"):
        frame_times_us(np.array([[0, 0]]), frames=4)
