"""Clips: they play, and every frame of the moment is in them, read off the numbered frames."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from figclip.errors import VideoError
from figclip.search.clips import Clip, clip_name, cut_clip
from figclip.video.container import video_duration_s
from figclip.video.decoding import decode_frames
from figclip.video.pixels import PixelPipeline
from tests.videos import draw_frame, draw_video, read_number, regular_stamps, set_display_matrix

KEYED = {"g": "20", "bf": "2"}  # a key frame every two seconds


def frames(path: Path, times_s: Sequence[float]) -> np.ndarray:
    """The pictures at these times."""
    return decode_frames(path, times_s, pipeline=PixelPipeline(size=64)).frames_NHWC


def cut(source: Path, *, start_s: float = 4.5, end_s: float = 5.5) -> Clip:
    """A clip that shows the very frames of the moment or, encoded again, their like."""
    clip = cut_clip(source, start_s=start_s, end_s=end_s, to=source.parent / "clip")
    times_s = np.arange(start_s, end_s - 0.01, 0.1) + 0.05
    shown = frames(clip.path, (times_s - start_s + clip.lead_s).tolist())
    expected = frames(source, times_s.tolist())
    if clip.is_copy:
        np.testing.assert_array_equal(shown, expected)
    else:
        numbers = [read_number(one) for one in shown]
        assert numbers == [read_number(one) for one in expected] and -1 not in numbers
    assert not list(source.parent.glob(".*"))
    return clip


@pytest.mark.parametrize(
    ("name", "options", "lead_s"),
    [
        ("a.mp4", {"options": KEYED}, 0.5),
        ("a.mov", {"options": KEYED}, 0.5),
        ("a.mkv", {"options": KEYED}, 0.5),
        ("open.mp4", {"options": KEYED | {"x264-params": "open-gop=1"}}, 0.5),
        ("a.webm", {"codec": "libvpx-vp9", "options": {"g": "20"}}, 0.5),
        ("mpeg4.mp4", {"codec": "mpeg4", "options": {"g": "10"}}, 0.5),
        ("only-one-key.mp4", {"options": {"g": "1000", "keyint_min": "1000"}}, 4.5),
    ],
)
def test_packets_are_copied_from_the_key_frame_before(
    tmp_path: Path, name: str, options: dict[str, Any], lead_s: float
):
    clip = cut(draw_video(tmp_path / name, stamps=regular_stamps(100), **options))
    assert clip.is_copy and clip.lead_s == pytest.approx(lead_s)
    assert clip.path.suffix == {".webm": ".mkv"}.get(Path(name).suffix, Path(name).suffix)
    assert clip.lead_s + 1 <= video_duration_s(clip.path) + 0.002 < clip.lead_s + 1.6


def test_times_count_from_the_first_displayed_frame(tmp_path: Path):
    late = draw_video(tmp_path / "late.mp4", stamps=regular_stamps(100, first=70), options=KEYED)
    assert cut(late).lead_s == pytest.approx(0.5)


def test_the_end_of_a_video_can_be_cut(tmp_path: Path):
    source = draw_video(tmp_path / "a.mp4", stamps=regular_stamps(100), options=KEYED)
    assert cut(source, start_s=9.0, end_s=10.0).is_copy


def test_what_turns_a_picture_is_copied(tmp_path: Path):
    source = draw_video(tmp_path / "a.mp4", stamps=regular_stamps(60), options=KEYED)
    set_display_matrix(source, (0, 1 << 16, -1 << 16, 0))
    assert cut(source, start_s=2.5, end_s=3.5).is_copy


@pytest.mark.parametrize(
    ("name", "options"), [("a.avi", {"codec": "mpeg4"}), ("a.ts", {"options": KEYED})]
)
def test_other_containers_are_encoded_again(tmp_path: Path, name: str, options: dict[str, Any]):
    clip = cut(draw_video(tmp_path / name, stamps=regular_stamps(100), **options))
    assert not clip.is_copy and clip.path.suffix == ".mp4" and clip.lead_s == 0
    assert video_duration_s(clip.path) == pytest.approx(1.0)


def test_a_copy_that_does_not_decode_is_not_kept(tmp_path: Path):
    source = draw_video(
        tmp_path / "a.mp4", stamps=regular_stamps(100), size=(95, 65), pixel_format="yuv444p",
        options=KEYED,
    )  # fmt: skip
    # Flags that lie: frame 41 is said to be a key frame, by the list of key frames.
    content = bytearray(source.read_bytes())
    start = content.index(b"stss") + 12
    keys = np.frombuffer(content, ">u4", count=5, offset=start)
    assert keys[2] == 41
    content[start + 8 : start + 12] = (43).to_bytes(4, "big")
    source.write_bytes(content)
    assert not cut(source, start_s=4.5, end_s=5.5).is_copy


def test_sound_is_copied_from_the_same_moment(tmp_path: Path):
    source = tmp_path / "a.mp4"
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=10, options=KEYED)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = container.add_stream("aac", rate=8000, layout="mono")
        for number in range(100):
            frame = av.VideoFrame.from_ndarray(draw_frame(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(video.encode(frame))
            # Loud in the fifth second only.
            wave = np.sin(np.arange(800) * 0.5) * (0.5 if 45 <= number < 55 else 0)
            heard = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], "fltp", "mono")
            heard.sample_rate, heard.pts, heard.time_base = 8000, number * 800, Fraction(1, 8000)
            container.mux(sound.encode(heard))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    clip = cut(source)
    with av.open(str(clip.path)) as container:
        heard = [(one.time, np.abs(one.to_ndarray()).max()) for one in container.decode(audio=0)]
    loud = [time_s for time_s, loudness in heard if loudness > 0.3]
    assert clip.lead_s <= loud[0] + 0.15 and loud[0] < clip.lead_s + 0.15
    assert clip.lead_s + 0.8 < loud[-1] < clip.lead_s + 1.1


def test_a_video_that_has_gone_and_a_time_past_its_end_are_named(tmp_path: Path):
    with pytest.raises(VideoError, match="missing: no such file"):
        cut_clip(tmp_path / "gone.mp4", start_s=0, end_s=1, to=tmp_path / "clip")
    source = draw_video(tmp_path / "a.mp4", stamps=regular_stamps(20))
    with pytest.raises(VideoError, match="past-end"):
        cut_clip(source, start_s=10, end_s=11, to=tmp_path / "clip")
    assert list(tmp_path.iterdir()) == [source]


def test_clips_are_named_by_rank_and_video():
    assert clip_name(3, Path("/videos/party.mp4")) == "003-party"
    assert len(clip_name(1, Path("ü" * 200 + ".mp4")).encode()) < 200
