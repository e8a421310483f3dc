"""Which frames of a whole clip: by hand, by the published rules, and for clips of any length."""

from __future__ import annotations

import math
from bisect import bisect_right
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from figclip.errors import VideoError
from figclip.records import Event
from figclip.video.decoding import sample_midpoints, to_time_us
from figclip.video.sampling import (
    MAX_CLIP_FRAMES,
    PRESETS,
    FrameRate,
    SamplingRule,
    clip_times_s,
    event_times_s,
)

RULES: tuple[SamplingRule, ...] = get_args(SamplingRule)


def test_every_preset_has_a_rule():
    assert {preset.sampling for preset in PRESETS.values()} == set(RULES)


def test_midpoints():
    assert clip_times_s(2.0, "midpoints_4") == (0.25, 0.75, 1.25, 1.75)
    assert clip_times_s(10.0, "midpoints_20") == pytest.approx([0.25 + 0.5 * n for n in range(20)])
    assert clip_times_s(16.0, "midpoints_32") == pytest.approx([0.25 + 0.5 * n for n in range(32)])
    assert clip_times_s(7.3, "midpoints_20") == pytest.approx(sample_midpoints(0.0, 7.3, num=20))


def test_the_event_preset_takes_the_frames_of_an_annotated_event():
    event = Event(start_s=0.0, end_s=2.04, verb="run", roles=())
    found = clip_times_s(2.04, PRESETS["event"].sampling)
    assert found == pytest.approx(event_times_s(event, 4))


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (0.4, [0]),
        (1.0, [0]),
        (1.000001, [0, 1]),
        (3.5, [0, 1, 2, 3]),
        (12.0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        # 13 seconds: places 0, 1.09, 2.18, ..., 10.91, 12 rounded down.
        (13.0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]),
        # 30 seconds: places 0, 2.64, 5.27, 7.91, 10.55, 13.18, 15.82, 18.45, 21.09, 23.73, ...
        (29.2, [0, 2, 5, 7, 10, 13, 15, 18, 21, 23, 26, 29]),
    ],
)
def test_seconds_12(duration_s: float, expected: list[float]):
    assert clip_times_s(duration_s, "seconds_12") == tuple(expected)


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (0.2, [0.1]),
        (0.249998, [0.124999]),
        (0.25, [0.249999]),
        (0.749999, [0.249999]),
        (1.0, [0.249999, 0.749999]),
        (2.26, [0.249999, 0.749999, 1.249999, 1.749999, 2.249999]),
        (10.0, [0.249999 + 0.5 * n for n in range(20)]),
    ],
)
def test_half_seconds(duration_s: float, expected: list[float]):
    assert clip_times_s(duration_s, "half_seconds") == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (0.4, [0]),
        (63.5, list(range(64))),
        (65.0, [*range(63), 64]),
        # 128 seconds: places 0, 127/63, 254/63, ..., rounded down.
        (128.0, [127 * n // 63 for n in range(64)]),
    ],
)
def test_seconds_64(duration_s: float, expected: list[float]):
    assert clip_times_s(duration_s, "seconds_64") == tuple(expected)


@pytest.mark.parametrize(
    ("duration_s", "per_second", "expected"),
    [
        (2.0, 2.0, [0.25, 0.75, 1.25, 1.75]),
        (0.1, 1.0, [0.05]),
        (3.4, 1.0, [3.4 / 6, 3.4 / 2, 3.4 * 5 / 6]),
        (4.0, 0.5, [1.0, 3.0]),
    ],
)
def test_frame_rates(duration_s: float, per_second: float, expected: list[float]):
    found = clip_times_s(duration_s, FrameRate(per_second))
    assert found == pytest.approx(expected, abs=1e-6)


@given(st.floats(0.01, 1e6), st.floats(0.01, 100))
def test_frames_at_a_rate_are_even_bounded_and_tell_the_length(duration_s: float, rate: float):
    times_s = clip_times_s(duration_s, FrameRate(rate))
    assert 1 <= len(times_s) <= MAX_CLIP_FRAMES
    assert times_s[0] + times_s[-1] == pytest.approx(duration_s, abs=3e-6)


@given(num_frames=st.integers(1, 4000), fps=st.sampled_from([10, 24, 25, 30, 50]))
@example(num_frames=448, fps=30)  # Its end and its eighteenth midpoint both round down.
def test_at_a_constant_rate_midpoints_32_shows_vificlips_frames(num_frames: int, fps: int):
    """ViFi-CLIP takes frame floor((n + 1/2) * frames / 32)."""
    shown = {math.floor((n + 0.5) * num_frames / 32) for n in range(32)}
    times_s = clip_times_s(num_frames / fps, "midpoints_32")
    # A time on the border of two frames shows the later one, as the rule says. The end and the
    # midpoint may each lose half a microsecond in rounding, so frames start that much earlier here.
    assert {math.floor((time_s + 1.1e-6) * fps) for time_s in times_s} == shown


@given(num_frames=st.integers(1, 4000), fps=st.sampled_from([10, 24, 25, 30, 50]))
def test_at_an_integer_rate_seconds_12_shows_clip4clips_frames(num_frames: int, fps: int):
    """CLIP4Clip reads frame k * fps while there is one, then thins to 12."""
    frames = list(range(0, num_frames, fps))
    if len(frames) > 12:
        frames = [frames[i] for i in np.linspace(0, len(frames) - 1, num=12, dtype=int)]
    found = [round(time_s * fps) for time_s in clip_times_s(num_frames / fps, "seconds_12")]
    assert found == frames


@given(num_frames=st.integers(6, 240), fps=st.sampled_from([Fraction(24), Fraction(24000, 1001)]))
def test_at_the_rate_of_its_clips_half_seconds_shows_velocitis_frames(
    num_frames: int, fps: Fraction
):
    """VELOCITI takes the frames of these numbers, counted from 1, from 10 s at 24 fps."""
    numbers = {round((second + part) * 24) for second in range(10) for part in (0.25, 0.75)}
    expected = sorted(number - 1 for number in numbers if number <= num_frames)
    times_s = clip_times_s(float(num_frames / fps), "half_seconds")
    starts_us = [to_time_us(float(frame / fps)) for frame in range(num_frames)]
    shown = [bisect_right(starts_us, to_time_us(time_s)) - 1 for time_s in times_s]
    assert shown == expected


@given(
    duration_s=st.one_of(st.integers(1, 3000).map(lambda us: us / 1e6), st.floats(1e-6, 900.0)),
    sampling=st.sampled_from(RULES),
)
def test_times_are_distinct_microseconds_before_the_end(duration_s: float, sampling: SamplingRule):
    times_s = clip_times_s(duration_s, sampling)
    times_us = [to_time_us(time_s) for time_s in times_s]
    assert times_us
    assert times_us == sorted(set(times_us))
    assert times_us[0] >= 0
    assert times_us[-1] < to_time_us(duration_s)
    assert [time_us / 1e6 for time_us in times_us] == list(times_s)


@pytest.mark.parametrize("sampling", RULES)
@pytest.mark.parametrize("duration_s", [0.0, -1.0, 4e-7, math.inf, math.nan])
def test_nothing_can_be_taken_from_no_clip(duration_s: float, sampling: SamplingRule):
    with pytest.raises(VideoError, match="bad-time: cannot take frames"):
        clip_times_s(duration_s, sampling)


def test_a_clip_that_claims_to_last_for_years_is_refused_or_thinned():
    with pytest.raises(VideoError, match="too-long: 1,999,999,999 frames.*more than 2,048"):
        clip_times_s(1e9 - 0.5, "half_seconds")
    assert len(clip_times_s(MAX_CLIP_FRAMES / 2, "half_seconds")) == MAX_CLIP_FRAMES
    assert clip_times_s(1e9, "seconds_12")[-1] == 1e9 - 1
    assert len(clip_times_s(1e9, "midpoints_32")) == 32
