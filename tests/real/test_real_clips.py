"""Whole real videos, odd ones among them, as every preset looks at them."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import numpy as np
import pytest

from figclip.datasets.records import Medium
from figclip.preparation.clips import prepare_clips
from figclip.video.container import video_duration_s
from figclip.video.decoding import decode_frames
from figclip.video.pixels import PixelPipeline
from figclip.video.sampling import PRESETS, Preset, clip_times_s
from figclip.video.store import _decode_blob, _encode_blob
from figclip.video.stored import StoredClips

pytestmark = pytest.mark.real

VIDEOS = Path(os.environ.get("FIGCLIP_REAL_DATA", "/nonexistent"), "data/videos")
SIZE = 32
# Refused whichever frames are looked at.
REFUSED = {
    "corrupt_midway.mp4": "unreadable video: damaged",
    "audio_only.mp3": "unreadable video: no-video-stream",
    "cover_picture_only.m4a": "unreadable video: cover-only",
    "bad_bitstream.webm": "unreadable video: damaged",
    "two_first_slices.mp4": "unreadable video: damaged",
    "not_decodable.mp4": "unreadable video: damaged",
    "encrypted.mp4": "unreadable video: encrypted",
    "no_video_streams.mkv": "unreadable video: no-video-stream",
    "header_32_bytes.mp4": "unreadable video",
    "empty.mp4": "unreadable video: empty",
    "bit_damage.mp4": "unreadable video: damaged",
    "text.mp4": "unreadable video",
    "random.bin.mp4": "unreadable video",
    "folder.mp4": "unreadable video: not-a-file",
}
# Damaged at the end: refused where a frame is wanted from there.
DAMAGED_LATE = {
    "figclip": {"rot_truncated.mp4"},
    "event": set[str](),  # its last frame is at seven eighths
    "clip4clip": set[str](),
    "clip4clip_64": set[str](),
    "vificlip": {"cut_at_first_packet.mp4", "rot_truncated.mp4"},
    "velociti": {"cut_at_first_packet.mp4"},
}


def listed_files() -> dict[str, str]:
    """Name and expectation of every file."""
    files: dict[str, str] = {}
    for name in ("odd.csv", "labels.csv"):
        with (VIDEOS / name).open(newline="") as file:
            for row in csv.DictReader(file):
                files[row["file"]] = row.get("expected", "decodes")
    return files


def prepare_all(media: list[Medium], stores: Path, preset: Preset, **folders: Path) -> StoredClips:
    return prepare_clips(
        media,
        images=folders.get("images"),
        videos=folders.get("videos"),
        stores=stores,
        pipeline=preset.pipeline or "pil",
        size=SIZE,
        sampling=preset.sampling,
        num_workers=2,
    )


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_every_file_is_stored_or_refused_by_name(preset: Preset, tmp_path: Path):
    files = listed_files()
    assert len(files) == 76
    media = [Medium(kind="video", name=name) for name in files]
    clips = prepare_all(media, tmp_path / "stores", preset, videos=VIDEOS)
    assert len(clips.clip_of) + len(clips.absent) == 76
    refused = {Path(medium.name).name: reason for medium, reason in clips.absent.items()}
    late = dict.fromkeys(DAMAGED_LATE[preset.name], "unreadable video: damaged")
    assert refused == REFUSED | late
    for name, expected in files.items():
        if expected.startswith("decodes") and " or " not in expected:
            assert Path(name).name not in refused, name
        elif expected == "clear error":
            assert Path(name).name in refused, name
    pipeline = PixelPipeline(name=preset.pipeline or "pil", size=SIZE)
    for medium, clip_idx in clips.clip_of.items():
        times_s = clips.times_s[clip_idx]
        path = VIDEOS / medium.name
        assert times_s == clip_times_s(video_duration_s(path), preset.sampling)
        spec = clips.stores[0].spec
        exact = decode_frames(path, times_s, pipeline=pipeline).frames_NHWC
        through_jpeg = [_decode_blob(_encode_blob(one, spec=spec), spec=spec) for one in exact]
        assert np.array_equal(clips.read(clip_idx, times_s), through_jpeg), medium.name
    start = time.perf_counter()
    again = prepare_all(media, tmp_path / "stores", preset, videos=VIDEOS)
    assert again.content_hash == clips.content_hash
    assert again.absent == clips.absent
    assert time.perf_counter() - start < 30


def test_bare_names_are_found_in_the_folders(tmp_path: Path):
    names = [name for name in listed_files() if name.startswith("labelled/")]
    bare = [Medium(kind="video", name=Path(name).stem) for name in names]
    clips = prepare_all(bare, tmp_path / "stores", PRESETS["clip4clip"], videos=VIDEOS)
    assert clips.absent == {}
    assert len(clips.clip_of) == 30


def test_no_video_is_taken_for_an_image(tmp_path: Path):
    """But for GIF and animated PNG, whose first picture is one."""
    media = [Medium(kind="image", name=name) for name in listed_files()]
    clips = prepare_all(media, tmp_path / "stores", PRESETS["figclip"], images=VIDEOS)
    expected = {medium for medium in media if medium.name.endswith((".gif", ".png"))}
    assert set(clips.clip_of) == expected
    assert set(clips.absent.values()) == {
        "unreadable image: empty",
        "unreadable image: not-a-file",
        "unreadable image: not-an-image",
    }
