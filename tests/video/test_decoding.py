from __future__ import annotations

import dataclasses
import hashlib
import os
import pickle
import random
import struct
import subprocess
import sys
import time
from bisect import bisect_right
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.errors import VideoError
from figclip.video import container as video_file
from figclip.video import pixels
from figclip.video.container import Deadline, hash_video, scan_packets, video_duration_s
from figclip.video.decoding import decode_frames, sample_midpoints, stream_frames, to_time_us
from figclip.video.pixels import PixelPipeline
from tests.videos import draw_frame, draw_video, read_number, regular_stamps, set_display_matrix

SMALL = PixelPipeline(size=32)
B_FRAMES = {"bf": "3", "g": "12", "b-pyramid": "normal", "b-adapt": "0", "crf": "18"}
ONE = 1 << 16
VFR_STAMPS = [0, 1, 5, 6, 7, 20, 21, 30, 45, 46, 47, 48, 60, 61, 75, 76, 90, 99, 100, 101]


def expected_numbers(stamps: list[int], time_base: Fraction, times_s: list[float]) -> list[int]:
    """Slow oracle: the last frame whose microsecond is not after the time's."""
    stamps_us = [round((stamp - stamps[0]) * time_base * 1_000_000) for stamp in stamps]
    return [bisect_right(stamps_us, round(time_s * 1e6)) - 1 for time_s in times_s]


def numbers_at(path: Path, times_s: list[float], **options: bool) -> list[int]:
    decoded = decode_frames(path, times_s, pipeline=SMALL, **options)
    return [read_number(frame) for frame in decoded.frames_NHWC]


def reason_of(path: Path, times_s: list[float]) -> str:
    with pytest.raises(VideoError) as caught:
        decode_frames(path, times_s, pipeline=SMALL)
    return caught.value.what.split(":")[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def b_frames(folder: Path) -> Path:
    return draw_video(folder / "b.mp4", stamps=regular_stamps(40), options=B_FRAMES)


# name: (stamps, time base, what draw_video needs)
CLIPS = {
    "b_frames.mp4": (regular_stamps(30), Fraction(1, 10), {"options": B_FRAMES}),
    "ntsc.mp4": (regular_stamps(30), Fraction(1001, 30000), {"options": B_FRAMES}),
    "thirtieths.mp4": (regular_stamps(30), Fraction(1, 30), {"options": B_FRAMES}),
    "vfr.mp4": (VFR_STAMPS, Fraction(1, 50), {"options": B_FRAMES}),
    "late_start.mp4": (regular_stamps(12, first=83), Fraction(1, 10), {"options": B_FRAMES}),
    "vfr.mkv": (VFR_STAMPS, Fraction(1, 50), {"options": B_FRAMES}),
    "sound.mp4": (regular_stamps(12), Fraction(1, 10), {"with_sound": True}),
    "hevc.mp4": (regular_stamps(20), Fraction(1, 10), {"codec": "libx265",
        "options": {"x265-params": "log-level=none:bframes=3"}}),
    "vp9.webm": (regular_stamps(20), Fraction(1, 10), {"codec": "libvpx-vp9"}),
    "b_frames.avi": (regular_stamps(20), Fraction(1, 10), {"codec": "mpeg4",
        "options": {"bf": "2", "q": "2"}}),
    "plain.avi": (regular_stamps(20), Fraction(1, 10), {"codec": "mjpeg",
        "pixel_format": "yuvj420p"}),
    "loop.gif": (regular_stamps(15), Fraction(1, 10), {"codec": "gif", "pixel_format": "rgb8"}),
    "loop.apng": (regular_stamps(9), Fraction(1, 10), {"codec": "apng", "pixel_format": "rgb24"}),
    "stream.ts": (regular_stamps(20), Fraction(1, 10), {"options": B_FRAMES}),
    "old.mpg": (regular_stamps(20), Fraction(1, 25), {"codec": "mpeg2video",
        "options": {"bf": "2", "q": "2"}}),
}  # fmt: skip


@pytest.mark.parametrize("name", CLIPS)
def test_every_time_shows_its_frame(folder: Path, name: str) -> None:
    stamps, time_base, options = CLIPS[name]
    path = draw_video(folder / name, stamps=stamps, time_base=time_base, **options)
    span_s = float((stamps[-1] - stamps[0]) * time_base)
    rng = random.Random(0)
    times_s = [rng.uniform(0, span_s) for _ in range(25)]
    times_s += [float((stamp - stamps[0]) * time_base) for stamp in stamps]
    if name.endswith(".mkv"):  # its clock ticks in milliseconds, so keep off the frames' edges
        times_s = [time_s + 0.0006 for time_s in times_s[25:]]
    expected = expected_numbers(stamps, time_base, times_s)
    assert numbers_at(path, times_s) == expected
    assert numbers_at(path, times_s, allow_skip=False) == expected


@pytest.mark.parametrize("name", ["b_frames.mp4", "vfr.mkv"])
def test_skipping_is_used_and_changes_no_pixel(folder: Path, name: str) -> None:
    stamps, time_base, options = CLIPS[name]
    path = draw_video(folder / f"skip_{name}", stamps=stamps, time_base=time_base, **options)
    span_s = float((stamps[-1] - stamps[0]) * time_base)
    times_s = list(sample_midpoints(0.0, span_s, 4))
    skipped = decode_frames(path, times_s, pipeline=SMALL)
    plain = decode_frames(path, times_s, pipeline=SMALL, allow_skip=False)
    assert (skipped.method, plain.method) == ("skip", "plain")
    assert skipped.num_decoded < plain.num_decoded
    assert np.array_equal(skipped.frames_NHWC, plain.frames_NHWC)
    assert skipped.shown_s == plain.shown_s


@settings(max_examples=25, deadline=None)
@given(
    data=st.lists(st.floats(min_value=0, max_value=3.9999, allow_nan=False), min_size=1, max_size=8)
)
def test_any_times_in_any_order(b_frames: Path, data: list[float]) -> None:
    assert numbers_at(b_frames, data) == expected_numbers(regular_stamps(40), Fraction(1, 10), data)


def test_order_repeats_and_timestamps(b_frames: Path) -> None:
    decoded = decode_frames(b_frames, [3.05, 0.0, 0.1, 0.1999994, 3.05], pipeline=SMALL)
    assert [read_number(frame) for frame in decoded.frames_NHWC] == [30, 0, 1, 1, 30]
    assert decoded.shown_s == (3.0, 0.0, 0.1, 0.1, 3.0)
    assert decoded.duration_s == 4.0


def test_no_times_give_no_frames(b_frames: Path) -> None:
    assert decode_frames(b_frames, [], pipeline=SMALL).frames_NHWC.shape == (0, 32, 32, 3)


def test_falls_back_when_the_decoder_shows_another_clock(
    b_frames: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = video_file.scan_packets(b_frames, deadline=video_file.Deadline(path="x", budget_s=9.0))
    # A packet table that promises a frame between the others, which the decoder never puts out.
    halved = sorted({*scan.stamps, scan.stamps[3] + 1})
    fields = {name: getattr(scan, name) for name in scan.__slots__} | {"stamps": tuple(halved)}
    forged = video_file.PacketScan(**fields)
    monkeypatch.setattr("figclip.video.decoding.scan_packets", lambda path, deadline: forged)
    decoded = decode_frames(b_frames, [0.35], pipeline=SMALL)
    assert decoded.method == "plain"
    assert read_number(decoded.frames_NHWC[0]) == 3


def test_frames_one_by_one_are_those_of_all_at_once(folder: Path, b_frames: Path) -> None:
    times_s = [2.55, 0.3, 1.0, 1.04, 2.51]
    shown = list(stream_frames(b_frames, times_s))
    assert [one.number for one in shown] == list(range(len(shown)))
    together = decode_frames(b_frames, times_s, pipeline=SMALL)
    frame_of = {time_us: one for one in shown for time_us in one.times_us}
    assert sorted(frame_of) == sorted({to_time_us(time_s) for time_s in times_s})
    for number, time_s in enumerate(times_s):
        one = frame_of[to_time_us(time_s)]
        assert one.shown_us / 1e6 == together.shown_s[number]
        assert np.array_equal(one.pixels(SMALL), together.frames_NHWC[number])


def test_frames_come_anew_where_skipping_is_given_up_midway(
    b_frames: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = scan_packets(b_frames, deadline=Deadline(path=b_frames, budget_s=60))
    middle = len(scan.stamps) // 2
    # A frame comes out that no packet announced.
    stamps = (*scan.stamps[:middle], scan.stamps[middle] + 1, *scan.stamps[middle + 1 :])
    forged = dataclasses.replace(scan, stamps=stamps)
    times_s = [scan.to_us(stamp, first=scan.stamps[0]) / 1e6 for stamp in scan.stamps]
    expected = decode_frames(b_frames, times_s, pipeline=SMALL, allow_skip=False)
    monkeypatch.setattr("figclip.video.decoding.scan_packets", lambda path, deadline: forged)
    numbers = [one.number for one in stream_frames(b_frames, times_s)]
    assert numbers == [*range(middle), *range(len(times_s))]
    found = decode_frames(b_frames, times_s, pipeline=SMALL)
    assert (found.method, found.num_decoded) == ("plain", expected.num_decoded)
    assert np.array_equal(found.frames_NHWC, expected.frames_NHWC)


def test_the_budget_of_a_stream_is_up_to_the_next_frame(b_frames: Path) -> None:
    shown = stream_frames(b_frames, [0.0, 0.5, 1.0, 2.5], deadline_s=0.5)
    times = 0
    for _ in shown:
        time.sleep(0.3)
        times += 1
    assert times == 4
    with pytest.raises(VideoError, match="too-slow"):
        list(stream_frames(b_frames, [0.0], deadline_s=0.0))


def test_thumbnails_are_the_whole_upright_frame(tmp_path: Path) -> None:
    path = draw_video(tmp_path / "a.mp4", stamps=regular_stamps(2), pixel_aspect=Fraction(2))
    (shown,) = stream_frames(path, [0.0])
    assert shown.thumbnail(96).shape == (32, 96, 3)
    turned = set_display_matrix(path, (0, 1 << 16, -1 << 16, 0))
    (shown,) = stream_frames(turned, [0.0])
    assert shown.thumbnail(96).shape == (96, 32, 3)
    assert abs(shown.thumbnail(96)[0].mean() - shown.thumbnail(48)[0].mean()) < 20


def test_past_the_end_is_an_error(b_frames: Path) -> None:
    assert numbers_at(b_frames, [3.999999]) == [39]
    assert reason_of(b_frames, [4.0]) == "past-end"
    assert reason_of(b_frames, [0.0, 400.0]) == "past-end"


@pytest.mark.parametrize("time_s", [-0.01, float("nan"), float("inf")])
def test_times_that_are_none(b_frames: Path, time_s: float) -> None:
    assert reason_of(b_frames, [time_s]) == "bad-time"


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((0, ONE, -ONE, 0), lambda rgb: np.rot90(rgb, -1)),
        ((0, -ONE, ONE, 0), lambda rgb: np.rot90(rgb, 1)),
        ((-ONE, 0, 0, -ONE), lambda rgb: np.rot90(rgb, 2)),
        ((-ONE, 0, 0, ONE), lambda rgb: rgb[:, ::-1]),
        ((ONE, 0, 0, -ONE), lambda rgb: rgb[::-1]),
        ((0, ONE, ONE, 0), lambda rgb: rgb.transpose(1, 0, 2)),
        ((0, 0, 0, 0), lambda rgb: rgb),
        ((46341, 46341, -46341, 46341), lambda rgb: rgb),
        ((-(1 << 31), 7, 123456, 99), lambda rgb: rgb),
    ],
)
@pytest.mark.parametrize("name", ["pil", "swscale"])
def test_display_matrix(tmp_path: Path, matrix, turn, name) -> None:
    path = draw_video(tmp_path / "turned.mp4", stamps=regular_stamps(3))
    pipeline = PixelPipeline(name=name, size=64)
    coded = decode_frames(path, [0.1], pipeline=pipeline).frames_NHWC[0]
    turned = decode_frames(set_display_matrix(path, matrix), [0.1], pipeline=pipeline)
    assert np.array_equal(turned.frames_NHWC[0], turn(coded))


@pytest.mark.parametrize(("size", "aspect"), [((48, 64), Fraction(2)), ((128, 64), Fraction(1, 2))])
@pytest.mark.parametrize("name", ["pil", "swscale"])
def test_pixel_aspect_makes_square_pixels(tmp_path: Path, size, aspect, name) -> None:
    """The code fills the middle of the *displayed* picture only after stretching."""
    path = tmp_path / "anamorphic.mp4"
    width, height = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        stream.codec_context.sample_aspect_ratio = aspect
        shown = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
        full = av.VideoFrame.from_ndarray(draw_frame(1234, width=shown[0], height=shown[1]))
        squeezed = full.reformat(width=width, height=height, format="yuv444p")
        container.mux([*stream.encode(squeezed), *stream.encode()])
    pixels_SS3 = decode_frames(
        path, [0.0], pipeline=PixelPipeline(name=name, size=min(shown))
    ).frames_NHWC[0]
    middle = (min(shown) - 64) // 2
    assert read_number(pixels_SS3[middle : middle + 64, middle : middle + 64]) == 1234


def test_cover_picture_is_not_the_video(tmp_path: Path) -> None:
    path = tmp_path / "cover.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 96, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        picture = av.VideoFrame.from_ndarray(draw_frame(4000)).reformat(format="yuvj420p")
        container.mux([*cover.encode(picture), *cover.encode()])
        for number in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(draw_frame(number))))
        container.mux(stream.encode())
    assert numbers_at(path, [0.0, 0.45]) == [0, 4]


def test_not_a_video(tmp_path: Path) -> None:
    assert reason_of(tmp_path / "none.mp4", [0.0]) == "missing"
    (tmp_path / "folder.mp4").mkdir()
    assert reason_of(tmp_path / "folder.mp4", [0.0]) == "not-a-file"
    os.mkfifo(tmp_path / "pipe.mp4")
    assert reason_of(tmp_path / "pipe.mp4", [0.0]) == "not-a-file"
    for name, content, reason in [
        ("empty.mp4", b"", "empty"),
        ("text.mp4", b"this is plain text, not a video\n" * 20, "unreadable"),
        ("random.mp4", random.Random(3).randbytes(4096), "unreadable"),
        ("list.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n", "unreadable"),
        ("concat.mp4", b"ffconcat version 1.0\nfile 'b.mp4'\n", "unreadable"),
    ]:
        (tmp_path / name).write_bytes(content)
        assert reason_of(tmp_path / name, [0.0]) == reason, name


def test_a_playlist_does_not_reach_other_files(tmp_path: Path, b_frames: Path) -> None:
    (tmp_path / "other.mp4").write_bytes(b_frames.read_bytes())
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile 'other.mp4'\n")
    assert reason_of(tmp_path / "list.mp4", [0.0]) == "unreadable"


def test_names_that_look_like_options_or_protocols(tmp_path: Path, b_frames: Path) -> None:
    for name in ["-i x.mp4", "concat:a|b.mp4", "http:x.mp4", "%03d.mp4", "\udcff.mp4", "é 日.mp4"]:
        path = tmp_path / name
        path.write_bytes(b_frames.read_bytes())
        assert numbers_at(path, [1.25]) == [12], name


def test_sound_only(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux([*stream.encode(frame), *stream.encode()])
    assert reason_of(tmp_path / "sound.m4a", [0.0]) == "no-video-stream"


def test_cut_short_gives_its_frames_or_an_error(tmp_path: Path) -> None:
    whole = draw_video(
        tmp_path / "whole.mp4",
        stamps=regular_stamps(40),
        options=B_FRAMES,
        container_options={"movflags": "faststart"},
    ).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    assert 0.5 < video_duration_s(cut) < 4.0
    assert numbers_at(cut, [0.0, 0.31]) == [0, 3]
    assert reason_of(cut, [0.0, 3.95]) == "past-end"
    for time_s in np.arange(0.05, 4.0, 0.1):
        try:
            assert numbers_at(cut, [float(time_s)]) == [int(time_s * 10)]
        except VideoError as error:
            assert error.what.split(":")[0] in ("damaged", "past-end")


def test_damage_midway(tmp_path: Path, b_frames: Path) -> None:
    """Frames before the damage come out right; a time behind it is an error, never a repeat."""
    path = draw_video(tmp_path / "intra.mp4", stamps=regular_stamps(20), options={"g": "1"})
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    start, size = packets[10]
    content[start : start + size] = b"\xff" * size
    path.write_bytes(content)
    assert numbers_at(path, [0.05, 0.85]) == [0, 8]
    assert reason_of(path, [0.05, 1.95]) == "damaged"


def test_random_damage_never_hangs_or_crashes(tmp_path: Path, b_frames: Path) -> None:
    content = b_frames.read_bytes()
    rng = random.Random(1)
    for attempt in range(30):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 10, 200])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path = tmp_path / f"{attempt}.mp4"
        path.write_bytes(damaged)
        try:
            decoded = decode_frames(path, [0.05, 2.05, 3.95], pipeline=SMALL)
        except VideoError as error:
            assert error.what.split(":")[0].replace("-", "").isalpha()
        else:
            assert decoded.frames_NHWC.shape == (3, 32, 32, 3)


def test_too_large_and_too_slow(b_frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VideoError, match="too-slow: .* 0 s"):
        decode_frames(b_frames, [0.0], pipeline=SMALL, deadline_s=0.0)
    monkeypatch.setattr(video_file, "MAX_PIXELS", 96 * 64 - 1)
    monkeypatch.setattr(pixels, "MAX_PIXELS", 96 * 64 - 1)
    assert reason_of(b_frames, [0.0]) == "too-large"


def test_long_and_thin_pictures_are_refused_before_they_grow(tmp_path: Path) -> None:
    path = tmp_path / "thin.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16000, 1, "rgb24"
        frame = av.VideoFrame.from_ndarray(np.zeros((1, 16000, 3), np.uint8))
        container.mux([*stream.encode(frame), *stream.encode()])
    for name in ("pil", "swscale"):
        with pytest.raises(VideoError, match=r"thin\.avi: too-large: a picture of 16000x1 px"):
            decode_frames(path, [0.0], pipeline=PixelPipeline(name=name, size=224))


def test_size_change_midway(tmp_path: Path) -> None:
    """A VP9 key frame may bring another size: two IVF files, the second one's packets appended."""
    narrow, wide = (
        draw_video(
            tmp_path / f"{width}.ivf",
            stamps=regular_stamps(6),
            codec="libvpx-vp9",
            size=(width, 64),
        ).read_bytes()
        for width in (96, 160)
    )
    joined = bytearray(narrow)
    position = 32
    while position < len(wide):
        num_bytes, stamp = struct.unpack_from("<IQ", wide, position)
        joined += struct.pack("<IQ", num_bytes, stamp + 6)
        joined += wide[position + 12 : position + 12 + num_bytes]
        position += 12 + num_bytes
    (tmp_path / "both.ivf").write_bytes(joined)
    times_s = [0.05 + 0.1 * idx for idx in range(12)]
    assert numbers_at(tmp_path / "both.ivf", times_s) == [*range(6), *range(6)]


def test_single_frame(tmp_path: Path) -> None:
    path = draw_video(tmp_path / "one.mp4", stamps=[0])
    assert numbers_at(path, [0.0]) == [0]
    scan = scan_packets(path, deadline=Deadline(path=path, budget_s=60.0))
    assert len(scan.stamps) == 1


def test_durations(b_frames: Path, folder: Path) -> None:
    assert video_duration_s(b_frames) == 4.0
    vfr = draw_video(folder / "vfr_probe.mp4", stamps=VFR_STAMPS, time_base=Fraction(1, 50))
    assert video_duration_s(vfr) == pytest.approx(102 / 50, abs=0.3)


def test_sample_midpoints() -> None:
    assert sample_midpoints(0.0, 2.0, 4) == (0.25, 0.75, 1.25, 1.75)
    assert sample_midpoints(8.0, 10.0, 1) == (9.0,)
    for start_s, end_s, num in [
        (1.0, 1.0, 4),
        (2.0, 1.0, 4),
        (0.0, 1.0, 0),
        (0.0, float("inf"), 1),
    ]:
        with pytest.raises(VideoError, match="bad-time"):
            sample_midpoints(start_s, end_s, num)


def test_hash_is_of_the_content(tmp_path: Path) -> None:
    content = random.Random(0).randbytes(3_000_000)
    (tmp_path / "a.mp4").write_bytes(content)
    assert hash_video(tmp_path / "a.mp4") == hashlib.sha256(content).hexdigest()
    with pytest.raises(VideoError, match="missing"):
        hash_video(tmp_path / "b.mp4")


def test_time_us() -> None:
    assert [to_time_us(time_s) for time_s in (0.0, 0.1 + 0.2, 9.75, 1e-7)] == [
        0,
        300000,
        9750000,
        0,
    ]


def test_errors_survive_pickling(tmp_path: Path) -> None:
    with pytest.raises(VideoError) as caught:
        decode_frames(tmp_path / "none.mp4", [0.0], pipeline=SMALL)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_ffmpeg_writes_nothing_to_stderr(tmp_path: Path, b_frames: Path) -> None:
    content = bytearray(b_frames.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 400] = os.urandom(400)
    (tmp_path / "bad.mp4").write_bytes(content)
    code = (
        "import sys; from figclip.video.decoding import *; from figclip.video.pixels import *\n"
        "from figclip.errors import VideoError\n"
        "try: decode_frames(sys.argv[1], [0.0, 3.9], pipeline=PixelPipeline(size=32))\n"
        "except VideoError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "bad.mp4")], capture_output=True, check=True
    )
    assert done.stderr == b""
