"""Clips in frame stores: the right frames, and what identifies them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from figclip.datasets.records import Medium
from figclip.video.store import FrameStore, FrameStoreWriter, StoreSpec
from figclip.video.stored import StoredClips

IMAGE, VIDEO, TWIN, GONE = (
    Medium(kind="image", name="a.jpg"),
    Medium(kind="video", name="v"),
    Medium(kind="video", name="twin"),
    Medium(kind="video", name="gone"),
)


@pytest.fixture
def clips(tmp_path: Path) -> StoredClips:
    """An image of grey level 10, and a video of levels 20, 21, 22 at 0, 1, 2 s."""
    contents = {"images": ("i", [10], [0]), "videos": ("v", [20, 21, 22], [0, 10**6, 2 * 10**6])}
    stores: list[FrameStore] = []
    for name, (key, levels, times_us) in contents.items():
        spec = StoreSpec(size=4, codec="raw")
        frames = np.stack([np.full((4, 4, 3), level, np.uint8) for level in levels])
        with FrameStoreWriter(tmp_path / name, spec=spec) as writer:
            writer.add_video(key, key, frames, times_us=times_us, duration_s=3.0)
        stores.append(FrameStore.open(tmp_path / name))
    return StoredClips(
        stores=tuple(stores),
        store_of=(0, 1),
        key_of=("i", "v"),
        times_s=((0.0,), (0.0, 2.0)),
        clip_of={IMAGE: 0, VIDEO: 1, TWIN: 1},
        absent={GONE: "the video is missing"},
    )


def test_frames_come_from_the_clips_store_in_the_order_asked_for(clips: StoredClips):
    assert clips.read(0, [0.0])[:, 0, 0, 0].tolist() == [10]
    assert clips.read(1, [2.0, 0.0, 1.0])[:, 0, 0, 0].tolist() == [22, 20, 21]


def test_kinds(clips: StoredClips):
    assert clips.kind_of == {0: "image", 1: "video"}


def test_the_hash_is_of_what_is_there(clips: StoredClips):
    changes = (
        {"times_s": ((0.0,), (0.0, 1.0))},
        {"key_of": ("j", "v")},
        {"clip_of": {IMAGE: 0, VIDEO: 1}},
    )
    hashes = {replace(clips, **change).content_hash for change in changes}  # type: ignore[arg-type]
    assert len(hashes | {clips.content_hash}) == 4
    assert replace(clips, absent={}).content_hash == clips.content_hash
