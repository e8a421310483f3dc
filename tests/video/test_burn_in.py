from __future__ import annotations

import os
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from figclip.datasets.dense_captions import CaptionedSpan
from figclip.errors import DataError, VideoError
from figclip.video import burn_in as captioned_video
from figclip.video.burn_in import write_captioned_video
from figclip.video.container import probe_video
from figclip.video.subtitles import draw_letters
from tests.videos import draw_frame, draw_video, regular_stamps, set_display_matrix

ONE = 1 << 16
VFR_STAMPS = [0, 1, 5, 6, 7, 20, 21, 30, 45, 46, 47, 48, 60, 61, 75, 76, 90, 99, 100, 101]
B_FRAMES = {"bf": "3", "g": "12", "b-pyramid": "normal", "b-adapt": "0", "crf": "18"}
SIZE = (192, 144)
CODEC_NOISE = 4.0
"""Mean grey levels by which encoding may change a region; captions change theirs by far more."""


def event(start_s: float, end_s: float, sentence: str = "A man jumps") -> CaptionedSpan:
    return CaptionedSpan(start_s=start_s, end_s=end_s, sentence=sentence)


def frames_of(path: Path) -> tuple[list[Fraction], np.ndarray]:
    """Seconds from the first frame, and RGB [T, H, W, 3], by plain decoding."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [
            (frame.pts, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)
        ]
        times_s = [(pts - frames[0][0]) * stream.time_base for pts, _ in frames]
    return times_s, np.stack([rgb for _, rgb in frames])


def differences(before_THWC: np.ndarray, after_THWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean difference of each frame's upper half and of its lower half."""
    middle = before_THWC.shape[1] // 2
    error = np.abs(before_THWC.astype(float) - after_THWC)
    return error[:, :middle].mean(axis=(1, 2, 3)), error[:, middle:].mean(axis=(1, 2, 3))


def reason_of(source: Path, out: Path) -> str:
    """First word of the refusal, which leaves nothing behind."""
    before = sorted(out.parent.iterdir())
    with pytest.raises(VideoError) as caught:
        write_captioned_video(source, out, [event(0, 9)])
    assert sorted(out.parent.iterdir()) == before
    assert caught.value.where == str(source)
    return caught.value.what.split(":")[0]


def sound_packets(path: Path) -> list[tuple[Fraction, bytes]]:
    """Begin in seconds and content of every packet of the first audio stream."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [(packet.pts * packet.time_base, bytes(packet))
                for packet in container.demux(stream) if packet.size]  # fmt: skip


def tone(
    num_samples: int, *, rate: int, layout: str = "mono", format: str = "fltp"
) -> av.AudioFrame:
    """A tone that rises."""
    wave = 0.3 * np.sin(np.arange(num_samples) ** 1.2 / 9)
    channels = {"mono": 1, "stereo": 2}[layout]
    if format == "s16":
        samples = np.repeat((wave * 32767).astype(np.int16)[None], channels, axis=1)
    else:
        samples = np.repeat(wave.astype(np.float32)[None], channels, axis=0)
    frame = av.AudioFrame.from_ndarray(samples, format, layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return frame


def draw_with_sound(
    path: Path, *, codec: str, rate: int = 44100, format: str = "fltp", late: int = 0
) -> Path:
    """Two seconds of both; the picture begins `late` tenths of a second after the sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        sound = container.add_stream(codec, rate=rate, layout="mono")
        sound.codec_context.format = format
        container.mux(sound.encode(tone(2 * rate, rate=rate, format=format)))
        container.mux(sound.encode(None))
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(draw_frame(number, width=SIZE[0], height=SIZE[1]))
            frame.pts, frame.time_base = number + late, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


CLIPS = {
    "b_frames.mp4": (regular_stamps(20), Fraction(1, 10), {"options": B_FRAMES}),
    "ntsc.mp4": (regular_stamps(20), Fraction(1001, 30000), {"options": B_FRAMES}),
    "vfr.mp4": (VFR_STAMPS, Fraction(1, 50), {"options": B_FRAMES}),
    "late_start.mp4": (regular_stamps(12, first=83), Fraction(1, 10), {"options": B_FRAMES}),
    "vfr.mkv": (VFR_STAMPS, Fraction(1, 50), {"options": B_FRAMES}),
    "vp9.webm": (regular_stamps(12), Fraction(1, 10), {"codec": "libvpx-vp9"}),
    "b_frames.avi": (regular_stamps(12), Fraction(1, 10), {"codec": "mpeg4",
        "options": {"bf": "2", "q": "2"}}),
    "stream.ts": (regular_stamps(12), Fraction(1, 10), {"options": B_FRAMES}),
    "still.mp4": ([0], Fraction(1, 10), {}),
    "rare.mp4": ([0, 1, 400], Fraction(1, 3), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CLIPS)
def test_every_frame_keeps_its_time(tmp_path: Path, name: str) -> None:
    stamps, time_base, options = CLIPS[name]
    source = draw_video(
        tmp_path / name, stamps=stamps, time_base=time_base, **{"size": SIZE, **options}
    )
    write_captioned_video(source, tmp_path / "out.mp4", [event(0.1, 0.3)])
    times_s, _ = frames_of(tmp_path / "out.mp4")
    assert times_s == [(stamp - stamps[0]) * time_base for stamp in stamps]
    before, after = probe_video(source), probe_video(tmp_path / "out.mp4")
    assert after.num_frames == len(stamps)
    if name != "b_frames.avi":  # its last frames are padded
        assert after.duration_s == pytest.approx(before.duration_s, abs=2e-6)
    assert (after.codec, after.width_px, after.height_px) == ("h264", *SIZE)


def test_captions_change_the_lower_half_while_their_event_lasts(tmp_path: Path) -> None:
    source = draw_video(tmp_path / "in.mp4", stamps=regular_stamps(30), size=SIZE)
    events = [event(2.2, 2.5, "Then a dog runs away"), event(0.3, 0.95), event(0.6, 1.2, "A dog")]
    write_captioned_video(source, tmp_path / "out.mp4", events)
    upper_T, lower_T = differences(frames_of(source)[1], frames_of(tmp_path / "out.mp4")[1])
    assert upper_T.max() < CODEC_NOISE
    # 0.3 s is the start of frame 3, which shows; 2.5 s is the start of frame 25, which does not.
    captioned = {*range(3, 12), *range(22, 25)}
    for frame_idx, lower in enumerate(lower_T):
        assert (lower > 2 * CODEC_NOISE) == (frame_idx in captioned), frame_idx
    # Two at once take more room than one.
    assert lower_T[6:10].min() > lower_T[3:6].max()


def test_letters_are_white_on_a_darkened_picture(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for _ in range(3):
            picture = np.full((360, 640, 3), (40, 200, 80), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    write_captioned_video(tmp_path / "in.mp4", tmp_path / "out.mp4", [event(0.1, 0.2)])
    before, inside, after = frames_of(tmp_path / "out.mp4")[1].astype(int)
    letters_HW = draw_letters(["A man jumps"], width=640, height=360)
    assert letters_HW is not None
    band = inside[-letters_HW.shape[0] :]
    assert np.abs(band[letters_HW == 0][:, 1].mean() - 80) < 4  # 0.4 of 200
    assert band[letters_HW == 255].min(axis=1).mean() > 200
    assert np.abs(inside[: -letters_HW.shape[0] - 2] - (40, 200, 80)).max() < 8
    assert np.abs(before - (40, 200, 80)).max() < 8
    assert np.abs(after - (40, 200, 80)).max() < 8


def test_letters_are_drawn_once_for_each_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[str]] = []

    def noting(sentences: list[str], **options: object) -> np.ndarray | None:
        drawn.append(list(sentences))
        return draw_letters(sentences, **options)

    monkeypatch.setattr(captioned_video, "draw_letters", noting)
    source = draw_video(tmp_path / "in.mp4", stamps=regular_stamps(30), size=SIZE)
    events = [event(0.5, 2, "a"), event(1, 1.5, "b"), event(1, 1.02, "c"), event(1.51, 1.59, "d")]
    write_captioned_video(source, tmp_path / "out.mp4", events)
    assert drawn == [["a"], ["a", "b", "c"], ["a", "b"], ["a"], []]


def test_without_events_only_encoding_changes_the_picture(tmp_path: Path) -> None:
    source = draw_video(tmp_path / "in.mp4", stamps=regular_stamps(10), size=SIZE)
    write_captioned_video(source, tmp_path / "out.mp4", [])
    upper_T, lower_T = differences(frames_of(source)[1], frames_of(tmp_path / "out.mp4")[1])
    assert max(upper_T.max(), lower_T.max()) < CODEC_NOISE


@pytest.mark.parametrize("size", [(97, 65), (96, 65), (97, 64), (1, 1)])
def test_odd_sizes_grow_by_a_repeated_line(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    path = tmp_path / "odd.mkv"
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    picture[:] = 128 + 100 * (np.arange(width) / width)[None, :, None]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    write_captioned_video(path, tmp_path / "out.mp4", [])
    shown = frames_of(tmp_path / "out.mp4")[1][0].astype(int)
    assert shown.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(shown[:height, :width] - picture).max() < 12
    assert np.abs(shown[-1] - shown[height - 1]).max() < 12


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((0, ONE, -ONE, 0), lambda rgb: np.rot90(rgb, -1)),
        ((0, -ONE, ONE, 0), lambda rgb: np.rot90(rgb, 1)),
        ((-ONE, 0, 0, -ONE), lambda rgb: np.rot90(rgb, 2)),
        ((-ONE, 0, 0, ONE), lambda rgb: rgb[:, ::-1]),
        ((0, ONE, ONE, 0), lambda rgb: rgb.transpose(1, 0, 2)),
    ],
)
def test_rotation_is_applied(tmp_path: Path, matrix, turn) -> None:
    source = draw_video(tmp_path / "turned.mp4", stamps=regular_stamps(4), size=SIZE)
    set_display_matrix(source, matrix)
    write_captioned_video(source, tmp_path / "out.mp4", [event(0.2, 0.3)])
    coded_THWC = frames_of(source)[1]
    upright_THWC = np.stack([turn(rgb) for rgb in coded_THWC])
    shown_THWC = frames_of(tmp_path / "out.mp4")[1]
    assert shown_THWC.shape == upright_THWC.shape
    upper_T, lower_T = differences(upright_THWC, shown_THWC)
    assert max(upper_T.max(), *lower_T[[0, 1, 3]]) < CODEC_NOISE
    assert lower_T[2] > 2 * CODEC_NOISE
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0


@pytest.mark.parametrize("is_turned", [False, True])
def test_pixel_aspect_is_kept(tmp_path: Path, is_turned: bool) -> None:
    source = draw_video(
        tmp_path / "in.mp4", stamps=regular_stamps(3), size=SIZE, pixel_aspect=Fraction(2)
    )
    if is_turned:
        set_display_matrix(source, (0, ONE, -ONE, 0))
    write_captioned_video(source, tmp_path / "out.mp4", [event(0, 1)])
    with av.open(str(tmp_path / "out.mp4")) as container:
        aspect = container.streams.video[0].sample_aspect_ratio
        assert aspect == (Fraction(1, 2) if is_turned else 2)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("full.avi", "mjpeg", "yuvj420p"),
        ("deep.mkv", "ffv1", "yuv444p10le"),
        ("rgb.apng", "apng", "rgb24"),
        ("grey.mkv", "ffv1", "gray"),
        ("palette.gif", "gif", "rgb8"),
    ],
)
def test_colours_keep_their_meaning(
    tmp_path: Path, name: str, codec: str, pixel_format: str
) -> None:
    colours = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255)]
    if pixel_format == "gray":
        colours = colours[:2]
    picture = np.zeros((64, 64 * len(colours), 3), np.uint8)
    for column, colour in enumerate(colours):
        picture[:, 64 * column : 64 * column + 64] = colour
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, _ = picture.shape
        stream.pix_fmt = pixel_format
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(picture)
            container.mux(stream.encode(frame.reformat(format=pixel_format)))
        container.mux(stream.encode(None))
    write_captioned_video(tmp_path / name, tmp_path / "out.mp4", [])
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name == "yuv420p"
    assert frame.color_range != ColorRange.JPEG
    shown = frame.to_ndarray(format="rgb24").astype(int)
    expected = frames_of(tmp_path / name)[1][0].astype(int)
    for column in range(len(colours)):
        middle = np.s_[16:48, 64 * column + 16 : 64 * column + 48]
        assert np.abs(shown[middle] - expected[middle]).mean() < 5, colours[column]


def test_transparency_is_white(tmp_path: Path) -> None:
    clear = np.zeros((64, 64, 4), np.uint8)
    with av.open(str(tmp_path / "clear.apng"), "w") as container:
        stream = container.add_stream("apng", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "rgba"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(clear, format="rgba")))
        container.mux(stream.encode(None))
    write_captioned_video(tmp_path / "clear.apng", tmp_path / "out.mp4", [])
    assert frames_of(tmp_path / "out.mp4")[1].min() > 245


@pytest.mark.parametrize(
    ("name", "codec", "rate", "format"),
    [
        ("aac.mp4", "aac", 44100, "fltp"),
        ("aac.ts", "aac", 44100, "fltp"),
        ("mp3.avi", "libmp3lame", 44100, "fltp"),
        ("opus.mkv", "libopus", 48000, "s16"),
        ("ac3.mkv", "ac3", 48000, "fltp"),
        ("flac.mkv", "flac", 44100, "s16"),
    ],
)
def test_sound_is_copied(tmp_path: Path, name: str, codec: str, rate: int, format: str) -> None:
    source = draw_with_sound(tmp_path / name, codec=codec, rate=rate, format=format)
    write_captioned_video(source, tmp_path / "out.mp4", [event(0, 1)])
    before, after = sound_packets(source), sound_packets(tmp_path / "out.mp4")
    if name == "aac.ts":  # each packet is preceded by a header of its own, of 7 bytes
        before = [(begin_s, content[7:]) for begin_s, content in before]
    assert [content for _, content in after] == [content for _, content in before]
    with av.open(str(source)) as container:
        first = next(container.decode(video=0))
        # AVI has no timestamps of presentation: the n-th frame takes the n-th packet's place.
        start_s = Fraction(0) if name == "mp3.avi" else first.pts * first.time_base
    for (begin_s, _), (source_s, _) in zip(after, before, strict=True):
        assert abs(begin_s - (source_s - start_s)) < Fraction(1, 500)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "format"),
    [
        ("pcm.avi", "pcm_s16le", 22050, "s16"),
        ("odd_rate.mkv", "pcm_s16le", 37800, "s16"),
        ("pcm.mov", "pcm_s16be", 8000, "s16"),
        ("mp2.ts", "mp2", 44100, "s16"),
    ],
)
def test_other_sound_becomes_aac(
    tmp_path: Path, name: str, codec: str, rate: int, format: str
) -> None:
    source = draw_with_sound(tmp_path / name, codec=codec, rate=rate, format=format)
    write_captioned_video(source, tmp_path / "out.mp4", [event(0, 1)])
    with av.open(str(tmp_path / "out.mp4")) as container:
        (sound,) = container.streams.audio
        assert sound.codec_context.name == "aac"
        frames = list(container.decode(sound))
        seconds = sum(frame.samples for frame in frames) / sound.codec_context.rate
        loudness = np.concatenate([np.abs(frame.to_ndarray()).ravel() for frame in frames]).mean()
    assert seconds == pytest.approx(2, abs=0.1)
    assert loudness == pytest.approx(0.3 * 2 / np.pi, rel=0.1)


def test_sound_that_begins_before_the_picture_stays_in_step(tmp_path: Path) -> None:
    source = draw_with_sound(tmp_path / "late.mkv", codec="aac", late=5)
    write_captioned_video(source, tmp_path / "out.mp4", [event(0, 1)])
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].start_time == 0
    before, after = sound_packets(source), sound_packets(tmp_path / "out.mp4")
    content_s = {content: begin_s for begin_s, content in before}
    assert len(after) > 50
    for begin_s, content in after:
        assert abs(begin_s - (content_s[content] - Fraction(1, 2))) < Fraction(1, 500)


def test_what_is_no_video_is_refused_by_reason(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "out.mp4"
    assert reason_of(tmp_path / "none.mp4", out) == "missing"
    (tmp_path / "text.mp4").write_bytes(b"this is plain text, not a video\n" * 20)
    assert reason_of(tmp_path / "text.mp4", out) == "unreadable"
    with av.open(str(tmp_path / "sound.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        container.mux([*stream.encode(tone(4096, rate=8000)), *stream.encode(None)])
    assert reason_of(tmp_path / "sound.m4a", out) == "no-video-stream"


def test_damage_midway_is_refused(tmp_path: Path) -> None:
    path = draw_video(tmp_path / "intra.mp4", stamps=regular_stamps(20), options={"g": "1"})
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    for start, size in packets[10:]:
        content[start : start + size] = b"\xff" * size
    path.write_bytes(content)
    (tmp_path / "out").mkdir()
    assert reason_of(path, tmp_path / "out" / "out.mp4") == "damaged"


def test_random_damage_gives_a_readable_file_or_a_reason(tmp_path: Path) -> None:
    content = draw_with_sound(tmp_path / "in.mkv", codec="pcm_s16le", format="s16").read_bytes()
    rng = random.Random(1)
    (tmp_path / "out").mkdir()
    for attempt in range(12):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 10, 200])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path, out = tmp_path / "damaged.mkv", tmp_path / "out" / f"{attempt}.mp4"
        path.write_bytes(damaged)
        try:
            write_captioned_video(path, out, [event(0, 1)])
        except VideoError as error:
            assert error.what.split(":")[0].replace("-", "").isalpha()
        else:
            assert probe_video(out).num_frames > 0
            out.unlink()
        assert list(out.parent.iterdir()) == []


def test_days_between_frames_are_refused(tmp_path: Path) -> None:
    source = draw_video(
        tmp_path / "in.mkv", stamps=[0, 10, 3_000_000_000], time_base=Fraction(1, 1000)
    )
    (tmp_path / "out").mkdir()
    assert reason_of(source, tmp_path / "out" / "out.mp4") == "not-encodable"


def test_too_large_and_too_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = draw_video(tmp_path / "in.mp4", stamps=regular_stamps(3))
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(captioned_video, "_MAX_BLOCKS", 6 * 4 - 1)
    assert reason_of(source, tmp_path / "out" / "out.mp4") == "too-large"
    monkeypatch.setattr(captioned_video, "DEFAULT_DEADLINE_S", 0.0)
    assert reason_of(source, tmp_path / "out" / "out.mp4") == "too-slow"


def test_the_source_is_not_written_over(tmp_path: Path) -> None:
    source = draw_video(tmp_path / "in.mp4", stamps=regular_stamps(3))
    content = source.read_bytes()
    (tmp_path / "link.mp4").symlink_to(source)
    for out in (source, tmp_path / "link.mp4"):
        with pytest.raises(DataError, match="is the video that is to be captioned"):
            write_captioned_video(source, out, [])
    assert source.read_bytes() == content


def test_spans_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="event 0"):
        write_captioned_video(tmp_path / "none.mp4", tmp_path / "out.mp4", [event(2, 1)])


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_what_was_there(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    source = draw_with_sound(tmp_path / "in.mp4", codec="aac")
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "out.mp4"
    out.write_bytes(b"from before")
    seen: list[tuple[int, int]] = []

    def interrupted(num_done: int, num_frames: int) -> None:
        seen.append((num_done, num_frames))
        if num_done == 12:
            raise interruption

    with pytest.raises(interruption):
        write_captioned_video(source, out, [event(0, 1)], on_progress=interrupted)
    assert seen == [(number, 20) for number in range(1, 13)]
    assert list(out.parent.iterdir()) == [out]
    assert out.read_bytes() == b"from before"


def test_a_folder_that_is_not_there_is_the_systems_error(tmp_path: Path) -> None:
    source = draw_video(tmp_path / "in.mp4", stamps=regular_stamps(3))
    with pytest.raises(FileNotFoundError):
        write_captioned_video(source, tmp_path / "none" / "out.mp4", [])


def test_names_that_look_like_options_or_protocols(tmp_path: Path) -> None:
    source = draw_video(tmp_path / "in.mp4", stamps=regular_stamps(3))
    (tmp_path / "out").mkdir()
    names = ["-i x.mp4", "concat:a|b.mp4", "http:x.mp4", "%03d.mp4", "\udcff.mp4", "é 日", "x.mkv"]
    for name in names:
        write_captioned_video(source, tmp_path / "out" / name, [event(0, 1)])
        assert probe_video(tmp_path / "out" / name).container.startswith("mov,mp4")
    assert len(os.listdir(tmp_path / "out")) == len(names)


def test_the_same_events_give_the_same_file(tmp_path: Path) -> None:
    source = draw_with_sound(tmp_path / "in.mp4", codec="aac")
    for name in ("a.mp4", "b.mp4"):
        write_captioned_video(source, tmp_path / name, [event(0, 1)])
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_ffmpeg_writes_nothing_to_stderr(tmp_path: Path) -> None:
    source = draw_with_sound(tmp_path / "in.mp4", codec="aac")
    code = (
        "import sys; from pathlib import Path\n"
        "from figclip.video.burn_in import write_captioned_video\n"
        "write_captioned_video(Path(sys.argv[1]), Path(sys.argv[2]), [])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(source), str(tmp_path / "out.mp4")],
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
