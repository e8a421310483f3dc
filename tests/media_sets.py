"""Small benchmarks without pixels, and embedders that are perfect, worst, blind or random."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float32

from figclip.datasets.records import Medium
from figclip.video.stored import StoredClips
from tests.dense_sets import DIM, direction

MISSING = "the video is missing"


def video(name: str) -> Medium:
    return Medium(kind="video", name=name)


def clips_of(media: Sequence[Medium], *, missing: Sequence[Medium] = ()) -> StoredClips:
    """Clips whose frames nobody reads; equal media share one."""
    there = [one for one in dict.fromkeys(media) if one not in missing]
    return StoredClips(
        stores=(),
        store_of=(0,) * len(there),
        key_of=tuple(one.name for one in there),
        times_s=((0.0,),) * len(there),
        clip_of={one: clip_idx for clip_idx, one in enumerate(there)},
        absent=dict.fromkeys(missing, MISSING),
    )


class TextOracle:
    """Embeds each video as the mean of some texts; every text has a random direction of its own.

    Args:
        texts_of: What each video looks like, by its name.
        truth: +1 for what the video shows, -1 for the opposite.
        reads: What it takes in of a text.
    """

    def __init__(
        self,
        texts_of: Mapping[str, Sequence[str]],
        *,
        truth: float = 1.0,
        reads: Callable[[str], str] = lambda text: text,
    ) -> None:
        self._texts_of = texts_of
        self._truth = truth
        self._reads = reads

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
        return np.stack([direction(self._reads(text)) for text in texts])

    def embed_clips(
        self, clips: StoredClips, clip_idxs: Sequence[int]
    ) -> Float32[np.ndarray, "N D"]:
        rows = [
            np.sum([direction(self._reads(text)) for text in self._texts_of[clips.key_of[i]]], 0)
            for i in clip_idxs
        ]
        return np.stack([self._truth * row / np.linalg.norm(row) for row in rows]).astype(
            np.float32
        )


class Blind:
    """Embeds everything alike."""

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
        return np.full((len(texts), DIM), DIM**-0.5, np.float32)

    def embed_clips(
        self, clips: StoredClips, clip_idxs: Sequence[int]
    ) -> Float32[np.ndarray, "N D"]:
        return np.full((len(clip_idxs), DIM), DIM**-0.5, np.float32)


class Guessing:
    """Embeds every text and every video by chance."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
        return np.stack([direction(f"{self._seed} text {text}") for text in texts])

    def embed_clips(
        self, clips: StoredClips, clip_idxs: Sequence[int]
    ) -> Float32[np.ndarray, "N D"]:
        return np.stack([direction(f"{self._seed} clip {clips.key_of[i]}") for i in clip_idxs])
