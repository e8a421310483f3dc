"""Where windows of a video lie, and which frames of them are looked at."""

import math

import numpy as np
from jaxtyping import Int64

from figclip.errors import VideoError
from figclip.video.decoding import sample_midpoints, to_time_us

MAX_WINDOWS = 100_000
"""Most windows of one video: a day at one a second. Files can claim to last for years."""


def count_windows(duration_us: int, *, window_us: int, stride_us: int) -> int:
    """How many windows a video has: one every stride, and one that ends at the end.

    Raises:
        VideoError: `too-long`, more than `MAX_WINDOWS`.
    """
    count = 1 + math.ceil(max(0, duration_us - window_us) / stride_us)
    if count > MAX_WINDOWS:
        raise VideoError(
            f"too-long: {duration_us / 1e6:.6g} s are more than {MAX_WINDOWS:,} windows",
            fix="Cut the video, or make an index of longer strides",
        )
    return count


def window_spans_us(
    duration_us: int, *, window_us: int, stride_us: int
) -> Int64[np.ndarray, "N 2"]:
    """Start and end of windows in microseconds; a video shorter than a window is one window.

    Raises:
        VideoError: as `count_windows`.
    """
    count = count_windows(duration_us, window_us=window_us, stride_us=stride_us)
    window_us = min(window_us, duration_us)
    starts_N = np.minimum(np.arange(count) * stride_us, duration_us - window_us)
    return np.stack([starts_N, starts_N + window_us], axis=1)


def frame_times_us(spans_us: Int64[np.ndarray, "N 2"], *, frames: int) -> Int64[np.ndarray, "N T"]:
    """Times of the frames of each span in microseconds: midpoints of equal segments.

    Raises:
        VideoError: `bad-time`, an empty span.
    """
    times_s = [sample_midpoints(start / 1e6, end / 1e6, num=frames) for start, end in spans_us]
    return np.array([[to_time_us(time_s) for time_s in row] for row in times_s], np.int64)
