"""Images and whole videos as clips: some frames each, lying in frame stores."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from figclip.data.benchmarks.records import Medium, MediumKind
from figclip.data.frames import FrameStore
from figclip.data.video import to_time_us


@dataclass(frozen=True, kw_only=True)
class StoredClips:
    """The media of a benchmark whose frames lie in stores; an image is a clip of one frame.

    Attributes:
        stores: The stores.
        store_of: Index in `stores` of each clip.
        key_of: Key of each clip in its store: hash of its content, and of the part looked at.
        times_s: Times of each clip's frames, at least one.
        clip_of: Index of the clip of each medium that is there. Equal files share a clip.
        absent: Why the others are not there, the same words for the same reason.
    """

    stores: tuple[FrameStore, ...]
    store_of: tuple[int, ...]
    key_of: tuple[str, ...]
    times_s: tuple[tuple[float, ...], ...]
    clip_of: Mapping[Medium, int]
    absent: Mapping[Medium, str]

    def read(self, clip_idx: int, times_s: Sequence[float]) -> UInt8[np.ndarray, "N S S 3"]:
        """Frames of a clip, in the order asked for.

        Raises:
            StoreError: a frame is missing or damaged.
        """
        store = self.stores[self.store_of[clip_idx]]
        return store.read_frames(self.key_of[clip_idx], [to_time_us(t) for t in times_s])

    def content_key(self, clip_idx: int, time_s: float) -> bytes:
        """What determines a frame's pixels: clip, time, size, pipeline and codec."""
        return self.stores[self.store_of[clip_idx]].content_key(self.key_of[clip_idx], time_s)

    @property
    def kind_of(self) -> dict[int, MediumKind]:
        """Kind of each clip; an image and a video are never the same clip."""
        return {clip_idx: medium.kind for medium, clip_idx in self.clip_of.items()}

    @property
    def coverage(self) -> dict[str, int]:
        """How many media there are, in the words of `prepare`'s coverage."""
        stored, absent = len(self.clip_of), len(self.absent)
        missing = sum(reason.endswith("is missing") for reason in self.absent.values())
        return {
            "listed": stored + absent,
            "found": stored + absent - missing,
            "stored": stored,
            "quarantined": absent - missing,
        }

    @property
    def content_hash(self) -> str:
        """Hash of all media that are there: files, parts, times and pixels."""
        digest = hashlib.blake2b(digest_size=16)
        for medium, clip_idx in self.clip_of.items():
            keys = [self.content_key(clip_idx, time_s) for time_s in self.times_s[clip_idx]]
            digest.update(repr((medium, keys)).encode())
        return digest.hexdigest()
