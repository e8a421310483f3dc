"""Embeds texts, stored frames and clips with one model, in micro-batches, through the cache."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn.functional import normalize

from figclip.errors import ModelError
from figclip.model.backbone import IMAGENET, Backbone, ChannelStatistics, weights_hash
from figclip.model.embedding_cache import EmbeddingCache
from figclip.model.embedding_settings import DEFAULT_EMBEDDING
from figclip.model.families import (
    TextConfig,
    VisionConfig,
    projection,
    text_config,
    vision_config,
)
from figclip.model.tokenizers import tokenizer_content
from figclip.runtime.memory import room_for_batch
from figclip.runtime.process_group import ALONE, Processes
from figclip.runtime.progress import CountProgress, no_progress
from figclip.video.sampling import PRESETS, Preset
from figclip.video.stored import StoredClips, StoredFrames

CHUNK_FRAMES = 4096
"""About how many frames of clips are embedded before they are pooled and forgotten."""

Item = TypeVar("Item")

FrameRef = tuple[int, float]
"""A stored frame: index of its video or clip, time in seconds."""


class Embedder:
    """Embeddings of one model, at whatever strength it is, as arrays.

    `preset` says how clips are pooled and normalised, and where texts are cut. Embeddings are kept
    in `cache_file`, if there is one; models that share a tower share its embeddings. `on_progress`
    is told how many items of how many are done, while missing ones are computed. Of several
    `processes`, which all embed the same items, each computes its share, and all get the same rows:
    micro-batches are dealt whole, so that each row has the very bits that one process would give
    it.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        preset: Preset = PRESETS["figclip"],
        micro_batch: int = DEFAULT_EMBEDDING.batch_size,
        cache_file: Path | None = None,
        on_progress: CountProgress | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self._backbone = backbone
        self._preset = preset
        self._micro_batch = micro_batch
        self._report = on_progress or no_progress
        self._processes = processes
        self._is_projected = True
        self._cache_file = cache_file
        self._text_cache: EmbeddingCache | None = None
        self._frame_cache: EmbeddingCache | None = None
        if cache_file is not None:
            self._text_cache = EmbeddingCache(cache_file, model=_text_identity(backbone))
            self._frame_cache = EmbeddingCache(cache_file, model=_image_identity(backbone))

    def with_preset(self, preset: Preset) -> Embedder:
        """The same model and cache, looking at whole videos in another way."""
        other = copy.copy(self)
        other._preset = preset
        return other

    def before_projection(self) -> Embedder:
        """The same model, whose frames are what its image tower pools before the projection.

        Raises:
            ModelError: a family without projection, in which that is the embedding.
        """
        if not self._backbone.has_projection:
            raise ModelError(
                f"is a {self._backbone.family.title}, whose image tower has no projection: what it "
                "pools is the embedding",
                where=self._backbone.name or "the model",
                fix="Set frames.layer=embedding",
            )
        other = copy.copy(self)
        other._is_projected = False
        if self._cache_file is not None:
            identity = f"pooled/{_image_identity(self._backbone)}"
            other._frame_cache = EmbeddingCache(self._cache_file, model=identity)
        return other

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
        """L2-normalised embeddings of texts, cut as the preset says."""
        prefix = f"{self._preset.max_tokens or ''}/"
        contents = [(prefix + text).encode() for text in texts]
        return self._embed(
            texts,
            contents,
            self._compute_texts,
            dim=self._backbone.dim,
            cache=self._text_cache,
        )

    def count_cut(self, texts: Sequence[str]) -> int:
        """Number of texts that are cut; nothing is embedded."""
        return self._backbone.count_cut(texts, max_tokens=self._preset.max_tokens)

    def embed_frames(
        self, videos: StoredFrames, frames: Sequence[FrameRef]
    ) -> Float32[np.ndarray, "N D"]:
        """L2-normalised embeddings of stored frames, normalised with the model's statistics."""
        return normalised(
            self._raw_frames(videos, frames, statistics=None, on_progress=self._report)
        )

    def embed_clips(
        self, clips: StoredClips, clip_idxs: Sequence[int]
    ) -> Float32[np.ndarray, "N D"]:
        """L2-normalised embeddings of images and whole videos, pooled as the preset says."""
        return self.pool_clips(clips, clip_idxs, pool=self._pooled)

    def pool_clips(
        self,
        clips: StoredClips,
        clip_idxs: Sequence[int],
        *,
        pool: Callable[[Float32[np.ndarray, "N D"], Sequence[int]], Float32[np.ndarray, "C D"]],
    ) -> Float32[np.ndarray, "C D"]:
        """As `embed_clips`, with frames pooled in another way.

        `pool` gets the frames of several clips as the model makes them, one after the other, and
        how many each clip has.
        """
        kind_of = clips.kind_of
        distinct = list(dict.fromkeys(clip_idxs))
        for_videos = IMAGENET if self._preset.imagenet_normalisation else None
        parts = [
            (part, statistics)
            for kind, statistics in (("image", None), ("video", for_videos))
            for part in _chunks(clips, [one for one in distinct if kind_of[one] == kind])
        ]
        total = sum(len(clips.times_s[clip_idx]) for clip_idx in distinct)
        num_before = 0
        rows: dict[int, Float32[np.ndarray, " D"]] = {}
        for part, statistics in parts:
            raw_ND = self._raw_frames(
                clips,
                [(clip_idx, time_s) for clip_idx in part for time_s in clips.times_s[clip_idx]],
                statistics=statistics,
                on_progress=lambda done, _, before=num_before: self._report(before + done, total),
            )
            pooled_ND = pool(raw_ND, [len(clips.times_s[clip_idx]) for clip_idx in part])
            rows.update(zip(part, pooled_ND, strict=True))
            num_before += len(raw_ND)
        if not rows:
            return np.zeros((0, self._frame_dim), np.float32)
        return np.stack([rows[clip_idx] for clip_idx in clip_idxs])

    @property
    def _frame_dim(self) -> int:
        """D of frames."""
        return self._backbone.dim if self._is_projected else self._backbone.pooled_dim

    def _pooled(
        self, raw_ND: Float32[np.ndarray, "N D"], lengths: Sequence[int]
    ) -> Float32[np.ndarray, "C D"]:
        """Mean of each run of so many frames, normalised."""
        frames_ND = normalised(raw_ND) if self._preset.normalised_frames else raw_ND
        starts = np.cumsum([0, *lengths[:-1]])
        sums_CD = np.add.reduceat(frames_ND, starts, axis=0)
        return normalised(sums_CD / np.array(lengths, np.float32)[:, None])

    def _raw_frames(
        self,
        source: StoredFrames,
        frames: Sequence[FrameRef],
        *,
        statistics: ChannelStatistics | None,
        on_progress: CountProgress,
    ) -> Float32[np.ndarray, "N D"]:
        """Embeddings of frames as the model makes them, so that all ways to pool share them."""
        prefix = b"" if statistics is None else repr(statistics).encode()
        contents = [prefix + b"/" + source.content_key(idx, time_s) for idx, time_s in frames]

        def encode(part: list[FrameRef]) -> Tensor:
            pixels = torch.from_numpy(_read(source, part))
            return self._backbone.encode_frames(
                pixels, statistics=statistics, projected=self._is_projected
            )

        def compute(missing: list[FrameRef]) -> Float32[np.ndarray, "N D"]:
            starts = range(0, len(missing), self._micro_batch)
            parts = [missing[start : start + self._micro_batch] for start in starts]
            return self._deal(parts, encode, on_progress=on_progress)

        return self._embed(frames, contents, compute, dim=self._frame_dim, cache=self._frame_cache)

    def _embed(
        self,
        items: Sequence[Item],
        contents: list[bytes],
        compute: Callable[[list[Item]], Float32[np.ndarray, "N D"]],
        *,
        dim: int,
        cache: EmbeddingCache | None,
    ) -> Float32[np.ndarray, "N D"]:
        """Through the cache, when there is one."""
        if not items:
            return np.zeros((0, dim), np.float32)
        if cache is None:
            return compute(list(items))
        return cache.embed(
            items,
            contents=contents,
            dim=dim,
            compute=compute,
            processes=self._processes,
        )

    def _compute_texts(self, texts: list[str]) -> Float32[np.ndarray, "N D"]:
        """Texts through the text tower, similar lengths together."""

        def encode(part: list[int]) -> Tensor:
            tokens = self._backbone.tokenize(
                [texts[i] for i in part], max_tokens=self._preset.max_tokens
            )
            return normalize(self._backbone.encode_tokens(tokens), dim=-1)

        parts = list(self._backbone.micro_batches(texts, size=self._micro_batch))
        rows = np.empty((len(texts), self._backbone.dim), np.float32)
        rows[np.concatenate(parts)] = self._deal(parts, encode, on_progress=self._report)
        return rows

    def _deal(
        self,
        parts: Sequence[list[Item]],
        encode: Callable[[list[Item]], Tensor],
        *,
        on_progress: CountProgress,
    ) -> Float32[np.ndarray, "N D"]:
        """Micro-batches through a tower, each by the process that it is dealt to."""
        total, done = sum(map(len, parts)), 0
        own: list[Float32[np.ndarray, "M D"]] = []
        for number, part in enumerate(parts):
            if self._processes.is_own(number):
                with torch.inference_mode(), room_for_batch(len(part)):
                    own.append(encode(part).float().cpu().numpy())
            done += len(part)
            on_progress(done, total)
        return np.concatenate(self._processes.merge(own))


def model_identity(backbone: Backbone) -> str:
    """Hash of all that decides a model's embeddings, wherever it lies and on whatever it runs."""
    parts = (*_text_parts(backbone), *_image_parts(backbone))
    return hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=16).hexdigest()


def _text_identity(backbone: Backbone) -> str:
    """All that decides a model's text embeddings, to the last bit."""
    return "/".join(map(str, ("text", *_text_parts(backbone), *_hardware(backbone))))


def _image_identity(backbone: Backbone) -> str:
    """All that decides a model's frame embeddings, to the last bit, besides the pixels."""
    return "/".join(map(str, ("image", *_image_parts(backbone), *_hardware(backbone))))


def _text_parts(backbone: Backbone) -> tuple[Any, ...]:
    config = text_config(backbone.clip.config)
    tokenizer = hashlib.blake2b(tokenizer_content(backbone.tokenizer))
    return (
        weights_hash(backbone.clip.text_model),
        weights_hash(projection(backbone.clip, "text")),
        tokenizer.hexdigest(),
        config.eos_token_id,
        *_computation(config),
    )


def _image_parts(backbone: Backbone) -> tuple[Any, ...]:
    return (
        weights_hash(backbone.clip.vision_model),
        weights_hash(projection(backbone.clip, "visual")),
        repr(backbone.preprocessing),
        *_computation(vision_config(backbone.clip.config)),
    )


def _computation(config: TextConfig | VisionConfig) -> tuple[Any, ...]:
    """What else changes a tower's results: weights do not tell the number of heads."""
    return config.hidden_act, config.num_attention_heads, config.layer_norm_eps


def _hardware(backbone: Backbone) -> tuple[Any, ...]:
    """What changes the last bits."""
    return backbone.device.type, backbone.compute_dtype


def normalised(rows_ND: Float32[np.ndarray, "N D"]) -> Float32[np.ndarray, "N D"]:
    """Rows of length 1."""
    return normalize(torch.from_numpy(rows_ND), dim=-1).numpy()


def _chunks(clips: StoredClips, clip_idxs: Sequence[int]) -> Iterator[list[int]]:
    """Clips of about CHUNK_FRAMES frames at a time."""
    part: list[int] = []
    num_frames = 0
    for clip_idx in clip_idxs:
        num_more = len(clips.times_s[clip_idx])
        if part and num_frames + num_more > CHUNK_FRAMES:
            yield part
            part, num_frames = [], 0
        part.append(clip_idx)
        num_frames += num_more
    if part:
        yield part


def _read(source: StoredFrames, frames: Sequence[FrameRef]) -> np.ndarray:
    """Pixels of frames, one query for each run of frames of one video or clip."""
    parts: list[np.ndarray] = []
    start = 0
    for stop in range(1, len(frames) + 1):
        if stop == len(frames) or frames[stop][0] != frames[start][0]:
            times_s = [time_s for _, time_s in frames[start:stop]]
            parts.append(source.read(frames[start][0], times_s))
            start = stop
    return np.concatenate(parts)
