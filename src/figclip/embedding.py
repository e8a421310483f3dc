"""Embeds texts and stored frames with one model, in micro-batches, through the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float32
from torch.nn.functional import normalize

from figclip.cache import EmbeddingCache
from figclip.data.stored_videos import StoredVideos
from figclip.model.backbone import Backbone, weights_hash

Item = TypeVar("Item")

FrameRef = tuple[int, float]
"""A frame of `StoredVideos`: index of the video, time in seconds."""


class Embedder:
    """Embeddings of one model, as arrays.

    Args:
        backbone: The model, at whatever strength it is.
        micro_batch: Frames or texts in one forward pass.
        cache_file: Where embeddings are kept; None keeps none (for a model that is being trained).
        on_progress: Told how many items of how many are done, while missing ones are computed.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        micro_batch: int = 32,
        cache_file: Path | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._backbone = backbone
        self._micro_batch = micro_batch
        self._on_progress = on_progress
        self._cache = None
        if cache_file is not None:
            self._cache = EmbeddingCache(cache_file, model=_identity(backbone))

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
        """L2-normalised embeddings of texts, cut at the context length."""
        return self._embed(texts, [b"t" + text.encode() for text in texts], self._compute_texts)

    def embed_frames(
        self, videos: StoredVideos, frames: Sequence[FrameRef]
    ) -> Float32[np.ndarray, "N D"]:
        """L2-normalised embeddings of stored frames."""
        contents = [b"f" + videos.content_key(video, time_s) for video, time_s in frames]

        def compute(part: list[FrameRef]) -> Float32[np.ndarray, "N D"]:
            return self._compute_frames(videos, part)

        return self._embed(frames, contents, compute)

    def _embed(
        self,
        items: Sequence[Item],
        contents: list[bytes],
        compute: Callable[[list[Item]], Float32[np.ndarray, "N D"]],
    ) -> Float32[np.ndarray, "N D"]:
        """Through the cache, when there is one."""
        if not items:
            return np.zeros((0, self._backbone.dim), np.float32)
        if self._cache is None:
            return compute(list(items))
        return self._cache.embed(items, contents=contents, compute=compute)

    def _compute_texts(self, texts: list[str]) -> Float32[np.ndarray, "N D"]:
        """Texts through the text tower, similar lengths together."""
        rows = np.empty((len(texts), self._backbone.dim), np.float32)
        done = 0
        for part in self._backbone.micro_batches(texts, size=self._micro_batch):
            with torch.inference_mode():
                tokens = self._backbone.tokenize([texts[i] for i in part])
                embedded = normalize(self._backbone.encode_tokens(tokens), dim=-1)
            rows[part] = embedded.float().cpu().numpy()
            done += len(part)
            self._report(done, len(texts))
        return rows

    def _compute_frames(
        self, videos: StoredVideos, frames: list[FrameRef]
    ) -> Float32[np.ndarray, "N D"]:
        """Frames through the image tower, in the order given."""
        rows: list[np.ndarray] = []
        for start in range(0, len(frames), self._micro_batch):
            part = frames[start : start + self._micro_batch]
            pixels = torch.from_numpy(_read(videos, part))
            with torch.inference_mode():
                embedded = normalize(self._backbone.encode_frames(pixels), dim=-1)
            rows.append(embedded.float().cpu().numpy())
            self._report(start + len(part), len(frames))
        return np.concatenate(rows)

    def _report(self, done: int, total: int) -> None:
        """Tell the progress display."""
        if self._on_progress is not None:
            self._on_progress(done, total)


def _identity(backbone: Backbone) -> str:
    """All that decides a model's embeddings: weights, activation, normalisation, tokenizer."""
    tokenizer = hashlib.blake2b(backbone.tokenizer.backend_tokenizer.to_str().encode())
    parts = (
        weights_hash(backbone.clip),
        backbone.activation,
        repr(backbone.preprocessing),
        tokenizer.hexdigest(),
    )
    return "/".join(parts)


def _read(videos: StoredVideos, frames: Sequence[FrameRef]) -> np.ndarray:
    """Pixels of frames, one query for each run of frames of one video."""
    parts: list[np.ndarray] = []
    start = 0
    for stop in range(1, len(frames) + 1):
        if stop == len(frames) or frames[stop][0] != frames[start][0]:
            times_s = [time_s for _, time_s in frames[start:stop]]
            parts.append(videos.read(frames[start][0], times_s))
            start = stop
    return np.concatenate(parts)
