"""prepare on real videos, odd ones among them, and on the official VidSitu annotations."""

from __future__ import annotations

import csv
import json
import os
import shutil
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from figclip.annotations.vidsitu import load_vidsitu
from figclip.errors import VideoError
from figclip.preparation.prepare import format_coverage, prepare
from figclip.video.container import hash_video, video_duration_s
from figclip.video.decoding import decode_frames, to_time_us
from figclip.video.sampling import frame_times_s
from figclip.video.store import FrameStore, StoreSpec
from tests.annotation_files import own_event, write_jsonl
from tests.real.odd_videos import REFUSED

pytestmark = pytest.mark.real

DATA = Path(os.environ.get("FIGCLIP_REAL_DATA", "/nonexistent"), "data")
VIDEOS = DATA / "videos"
ANNOTATIONS = Path(__file__).parents[2] / "examples" / "real" / "annotations.jsonl"
SPEC = StoreSpec(codec="raw")
LIMIT_S = 10.0


def odd_files() -> dict[str, str]:
    """Name and expectation of every odd file."""
    with (VIDEOS / "odd.csv").open(newline="") as file:
        return {row["file"]: row["expected"] for row in csv.DictReader(file)}


def duration_s(path: Path) -> float:
    """Length of a file, or 0.2 s where that is not known."""
    try:
        return video_duration_s(path)
    except VideoError:
        return 0.2


def test_every_odd_file_is_stored_right_or_quarantined_by_name(tmp_path: Path) -> None:
    expected = odd_files()
    source = write_jsonl(
        tmp_path / "odd.jsonl",
        [
            {"video": name, "events": [own_event(start_s=0, end_s=duration_s(VIDEOS / name))]}
            for name in expected
        ],
    )
    times_s = [time.monotonic()]
    out = tmp_path / "odd.store"
    report = prepare(
        source,
        videos=VIDEOS,
        out=out,
        spec=SPEC,
        num_workers=1,
        limit_s=LIMIT_S,
        on_video=lambda *_: times_s.append(time.monotonic()),
    )
    # One worker: each step is one video (the first with the start of the worker).
    assert len(times_s) == len(expected) + 1
    assert max(np.diff(times_s)) < LIMIT_S
    assert {Path(one.id).name: one.reason for one in report.quarantine} == REFUSED
    assert all("clear error" in expected[one.id] for one in report.quarantine)
    with FrameStore.open(out, require=SPEC) as store:
        stored = store.records()
        assert len(stored) == len(expected) - len(REFUSED)
        for one in stored:
            path = VIDEOS / one.record.video
            assert one.video_hash == hash_video(path)
            wanted_s = frame_times_s(one.record.annotations[0], frames_per_event=4)
            # Without skipping: another way through the decoder.
            decoded = decode_frames(path, wanted_s, pipeline=SPEC.pixels, allow_skip=False)
            frames = store.read_frames(one.video_hash, [to_time_us(t) for t in wanted_s])
            assert np.array_equal(frames, decoded.frames_NHWC), path.name
    assert format_coverage(report) == [
        f"events train: {len(expected)} of {len(expected)} videos have a file, "
        f"{len(stored)} stored, {len(REFUSED)} quarantined"
    ]


def test_short_spans_of_damaged_files_are_usable(tmp_path: Path) -> None:
    names = ["odd/corrupt_midway.mp4", "odd/rot_truncated.mp4", "odd/truncated.mkv"]
    lines = [{"video": name, "events": [own_event(start_s=0, end_s=0.2)]} for name in names]
    source = write_jsonl(tmp_path / "odd.jsonl", lines)
    report = prepare(source, videos=VIDEOS, out=tmp_path / "odd.store", num_workers=2)
    assert (report.num_stored, report.quarantine) == (3, ())


def test_all_labelled_clips_are_stored(tmp_path: Path) -> None:
    records = [json.loads(line) for line in ANNOTATIONS.read_text().splitlines()]
    out = tmp_path / "labelled.store"
    report = prepare(ANNOTATIONS, videos=VIDEOS, out=out, num_workers=2)
    assert report.quarantine == ()
    assert report.num_stored == len({one["id"] for one in records})
    with FrameStore.open(out, require=StoreSpec()) as store:
        for one in store.records():
            annotation = one.record.annotations[0]
            times_us = [to_time_us(t) for t in frame_times_s(annotation, frames_per_event=4)]
            frames = store.read_frames(one.video_hash, times_us)
            assert frames.shape == (4 * len(annotation.events), 224, 224, 3)
            assert frames.std() > 1.0
    again = prepare(ANNOTATIONS, videos=VIDEOS, out=out, num_workers=2)
    assert again.num_reused == report.num_stored


def frames_of(path: Path, *, limit: int) -> list[av.VideoFrame]:
    """The first frames, small."""
    with av.open(str(path), metadata_errors="replace") as container:
        frames: Iterator[av.VideoFrame] = container.decode(video=0)
        return [
            frame.reformat(width=160, height=120, format="yuv420p")
            for frame, _ in zip(frames, range(limit), strict=False)
        ]


def loop_clip(source: Path, target: Path) -> None:
    """Ten and a half seconds at 10 frames a second, the clip again and again."""
    frames = frames_of(source, limit=60)
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(105):
            frame = frames[number % len(frames)]
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_twelve_videos_of_the_official_annotations(tmp_path: Path) -> None:
    records = load_vidsitu(DATA / "vidsitu").records
    valid = [one.id for one in records if one.split == "valid"]
    # Ids that start with a dash after `v_`, or hold an underscore, are among the first.
    segments = [one for one in valid if one.startswith("v_-") or "_" in one[2:13]][:6] + valid[-6:]
    sources = sorted(path for path in (VIDEOS / "labelled").iterdir() if path.suffix == ".mp4")
    videos = tmp_path / "videos"
    videos.mkdir()
    for segment, source in zip(segments, sources, strict=False):
        loop_clip(source, videos / f"{segment}.mp4")
    # A cut one and one that is no video.
    cut, empty = videos / f"{segments[3]}.mp4", videos / f"{segments[7]}.mp4"
    shutil.copy(VIDEOS / "labelled" / "asl_again.mkv", cut)
    empty.write_bytes(b"")
    out = tmp_path / "valid.store"
    report = prepare(DATA / "vidsitu", videos=videos, out=out, num_workers=2)
    lines = format_coverage(report)
    assert lines[-1] == (
        "VidSitu valid: 12 of 1,324 segments have a file (1,224 are annotated), "
        "10 stored, 2 quarantined"
    )
    assert {one.id: one.reason for one in report.quarantine} == {
        segments[3]: "past-end",
        segments[7]: "empty",
    }
    with FrameStore.open(out) as store:
        stored = store.records()
        assert {one.record.id for one in stored} == set(segments) - {segments[3], segments[7]}
        assert all(len(store.frame_times_us(one.video_hash)) == 20 for one in stored)
        assert store.coverage["splits"]["valid"] == {
            "listed": 1324,
            "annotated": 1224,
            "found": 12,
            "stored": 10,
            "quarantined": 2,
        }
