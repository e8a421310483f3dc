"""Labelled and odd real files: each decodes right or is refused by name, within ten seconds."""

from __future__ import annotations

import csv
import os
import time
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from figclip.errors import VideoError
from figclip.video.container import hash_video, video_duration_s
from figclip.video.decoding import decode_frames, sample_midpoints, to_time_us
from figclip.video.pixels import PixelPipeline
from figclip.video.store import FrameStore, FrameStoreWriter, StoreSpec
from tests.real import odd_videos as refused

pytestmark = pytest.mark.real

VIDEOS = Path(os.environ.get("FIGCLIP_REAL_DATA", "/nonexistent"), "data/videos")
NUM_FRAMES = 20
LIMIT_S = 10.0
# What odd.csv leaves open ("decodes or clear error"), and the reason of each refusal.
REFUSED = {**refused.REFUSED, "rot_truncated.mp4": "damaged"}


def listed_files() -> list[tuple[str, str]]:
    """Name and expectation of every file."""
    if not VIDEOS.is_dir():
        return []
    with (VIDEOS / "odd.csv").open(newline="") as file:
        odd = [(row["file"], row["expected"]) for row in csv.DictReader(file)]
    with (VIDEOS / "labels.csv").open(newline="") as file:
        return [*odd, *((row["file"], "decodes") for row in csv.DictReader(file))]


@dataclass(frozen=True)
class FullPass:
    """Every frame that plain decoding shows, with its time."""

    times_us: list[int]
    thumbs: list[np.ndarray]


def decode_everything(path: Path) -> FullPass:
    """Slow oracle: all frames of the first stream in the order they come out.

    In AVI with B-frames the n-th frame is shown at n / rate.
    """
    times_us: list[int] = []
    thumbs: list[np.ndarray] = []
    first: int | None = None
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        by_index = container.format.name == "avi" and stream.codec_context.has_b_frames
        for packet in container.demux(stream):
            if packet.size == 0 and packet.dts is not None:
                continue
            for frame in packet.decode():
                first = frame.pts if first is None else first
                assert stream.time_base is not None
                assert stream.average_rate is not None or not by_index
                seconds = (
                    len(times_us) / stream.average_rate
                    if by_index
                    else (frame.pts - first) * stream.time_base
                )
                times_us.append(round(seconds * 1_000_000))
                thumbs.append(frame.reformat(width=16, height=16, format="gray").to_ndarray())
    return FullPass(times_us, thumbs)


@pytest.mark.parametrize(("name", "expected"), listed_files())
def test_file(name: str, expected: str) -> None:
    path = VIDEOS / name
    refusal = REFUSED.get(path.name)
    assert refusal is None or "clear error" in expected
    start = time.monotonic()
    if refusal is not None:
        with pytest.raises(VideoError) as caught:
            times_s = sample_midpoints(0.0, video_duration_s(path), NUM_FRAMES)
            decode_frames(path, times_s, pipeline=PixelPipeline())
        assert caught.value.what.split(":")[0] == refusal
        assert time.monotonic() - start < LIMIT_S
        return
    assert expected != "clear error"
    times_s = sample_midpoints(0.0, video_duration_s(path), NUM_FRAMES)
    decoded = decode_frames(path, times_s, pipeline=PixelPipeline())
    assert time.monotonic() - start < LIMIT_S
    everything = decode_everything(path)
    shown_idx = [bisect_right(everything.times_us, to_time_us(t)) - 1 for t in times_s]
    assert [to_time_us(t) for t in decoded.shown_s] == [everything.times_us[i] for i in shown_idx]
    plain = decode_frames(path, times_s, pipeline=PixelPipeline(), allow_skip=False)
    assert np.array_equal(decoded.frames_NHWC, plain.frames_NHWC)
    # Each wanted frame on its own equals the frame in company.
    alone = decode_frames(path, times_s[7:8], pipeline=PixelPipeline())
    assert np.array_equal(alone.frames_NHWC[0], decoded.frames_NHWC[7])


@pytest.mark.parametrize("name", ["corrupt_midway.mp4", "rot_truncated.mp4", "truncated.mkv"])
def test_frames_before_the_damage_are_usable(name: str) -> None:
    path = VIDEOS / "odd" / name
    decoded = decode_frames(path, [0.0, 0.5], pipeline=PixelPipeline())
    everything = decode_plain_until_error(path)
    shown_idx = [bisect_right(everything.times_us, to_time_us(t)) - 1 for t in (0.0, 0.5)]
    assert [to_time_us(t) for t in decoded.shown_s] == [everything.times_us[i] for i in shown_idx]
    with pytest.raises(VideoError, match="damaged|past-end"):
        decode_frames(path, [0.5, 4.9], pipeline=PixelPipeline())


def decode_plain_until_error(path: Path) -> FullPass:
    """Timestamps of the frames that come out before decoding fails."""
    times_us: list[int] = []
    first: int | None = None
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        try:
            for frame in container.decode(stream):
                first = frame.pts if first is None else first
                times_us.append(round((frame.pts - first) * stream.time_base * 1_000_000))
        except av.error.InvalidDataError:
            assert times_us
    return FullPass(times_us, [])


def test_store_of_all_labelled_clips(tmp_path: Path) -> None:
    spec = StoreSpec()
    paths = sorted(path for path in (VIDEOS / "labelled").iterdir() if path.suffix == ".mkv")
    decoded_frames: dict[str, tuple[list[int], np.ndarray]] = {}
    with FrameStoreWriter(tmp_path / "clips.store", spec=spec) as writer:
        for path in paths:
            duration_s = video_duration_s(path)
            times_s = sample_midpoints(0.0, duration_s, 4)
            decoded = decode_frames(path, times_s, pipeline=spec.pixels)
            times_us = [to_time_us(time_s) for time_s in times_s]
            writer.add_video(
                hash_video(path),
                path.name,
                decoded.frames_NHWC,
                times_us=times_us,
                duration_s=duration_s,
            )
            decoded_frames[hash_video(path)] = (times_us, decoded.frames_NHWC)
    with FrameStore.open(tmp_path / "clips.store", require=spec) as store:
        for video_hash, (times_us, frames_NHWC) in decoded_frames.items():
            read = store.read_frames(video_hash, times_us)
            error = np.square(read.astype(float) - frames_NHWC).mean()
            assert 10 * np.log10(255**2 / error) > 36  # dB
