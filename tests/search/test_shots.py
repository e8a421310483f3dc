"""Shots end where the picture changes, at the times of our frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from figclip.errors import ConfigError
from figclip.search import shots
from figclip.search.shots import find_shots, require_shot_detection
from figclip.video.container import video_duration_s

COLOURS = [(200, 30, 30), (30, 30, 200), (30, 200, 30)]


def draw_shots(path: Path, *, stamps_ms: list[int], cuts_ms: list[int]) -> Path:
    """Frames of one colour a shot, with something that moves in it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, stamp in enumerate(stamps_ms):
            frame_HWC = np.full(
                (64, 96, 3), COLOURS[sum(stamp >= cut for cut in cuts_ms)], np.uint8
            )
            left = abs(30 - number % 60)
            frame_HWC[20:40, left : left + 20] = 128
            frame = av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def spans_s(path: Path) -> list[list[float]]:
    looked = find_shots(path, duration_us=round(video_duration_s(path) * 1e6), limit_s=60)
    while True:
        try:
            assert 0 <= next(looked) <= 1
        except StopIteration as end:
            return (end.value / 1e6).tolist()


def test_shots_end_where_the_picture_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shots, "_TOLD_EVERY_FRAMES", 5)
    # 40 ms, then 100 ms a frame: a count of frames at a fixed rate would be elsewhere. The first
    # frame is shown at 500 ms.
    stamps_ms = [500 + 40 * n for n in range(50)] + [2500 + 100 * n for n in range(40)]
    path = draw_shots(tmp_path / "a.mp4", stamps_ms=stamps_ms, cuts_ms=[1500, 4500])
    *_, (start_s, end_s) = found = spans_s(path)
    assert found == [[0.0, 1.0], [1.0, 4.0], [4.0, end_s]]
    assert start_s == 4.0 and abs(end_s - 6.0) < 0.11


def test_a_video_without_a_cut_is_one_shot(tmp_path: Path):
    path = draw_shots(tmp_path / "a.mp4", stamps_ms=[40 * n for n in range(25)], cuts_ms=[])
    assert spans_s(path) == [[0.0, 1.0]]
    path = draw_shots(tmp_path / "still.mp4", stamps_ms=[0], cuts_ms=[])
    assert len(spans_s(path)) == 1


def test_without_pyscenedetect_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    require_shot_detection()
    monkeypatch.setattr(shots, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install \"figclip\[shots\]\""):
        require_shot_detection()
