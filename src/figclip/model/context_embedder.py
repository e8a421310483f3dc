"""Embeds videos and events by the Video Contextualizer, and all else as the merged model does."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32

from figclip.model.backbone import weights_hash
from figclip.model.embedder import Embedder, FrameRef, model_identity, normalised
from figclip.model.figclip import FiGCLIP
from figclip.model.pooling import Pooling, mean_of_both
from figclip.video.stored import StoredClips, StoredFrames

_CLIPS_AT_ONCE = 64


def long_text_identity(model: FiGCLIP) -> str:
    """Hash of all that decides what a model compares long texts with; empty: with the mean."""
    if model.long_pooling == "mean":
        return ""
    contextualizer, frames_per_event = model.require_contextualizer()
    trained = model_identity(model.trained)
    parts = (weights_hash(contextualizer), trained, frames_per_event, model.long_pooling)
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextEmbedder:
    """Embeddings of whole videos and of annotated events by a model's contextualizer.

    Attributes:
        model: It has a contextualizer.
        pooling: `vc` or `both`.
        merged: Embeds texts, images and single frames: the model at the strength it is merged at.
        trained: Embeds frames of videos: `model.trained`, at strength 1.
    """

    model: FiGCLIP
    pooling: Pooling
    merged: Embedder
    trained: Embedder

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
        """L2-normalised embeddings of texts, cut as the preset says."""
        return self.merged.embed_texts(texts)

    def count_cut(self, texts: Sequence[str]) -> int:
        """Number of texts that are cut; nothing is embedded."""
        return self.merged.count_cut(texts)

    def embed_frames(
        self, videos: StoredFrames, frames: Sequence[FrameRef]
    ) -> Float32[np.ndarray, "N D"]:
        """L2-normalised embeddings of stored frames."""
        return self.merged.embed_frames(videos, frames)

    def embed_clips(
        self, clips: StoredClips, clip_idxs: Sequence[int]
    ) -> Float32[np.ndarray, "N D"]:
        """L2-normalised embeddings of images, and of whole videos in context."""
        kind_of = clips.kind_of
        rows: dict[int, Float32[np.ndarray, " D"]] = {}
        images = [one for one in dict.fromkeys(clip_idxs) if kind_of[one] == "image"]
        videos = [one for one in dict.fromkeys(clip_idxs) if kind_of[one] == "video"]
        rows.update(zip(images, self.merged.embed_clips(clips, images), strict=True))
        video_ND = self.trained.pool_clips(clips, videos, pool=self._pooled)
        if self.pooling == "both":
            video_ND = _both(self.merged.embed_clips(clips, videos), video_ND)
        rows.update(zip(videos, video_ND, strict=True))
        return np.stack([rows[one] for one in clip_idxs])

    def embed_in_context(
        self, videos: StoredFrames, frames: Sequence[FrameRef], *, frames_per_event: int
    ) -> tuple[Float32[np.ndarray, "P D"], Float32[np.ndarray, " D"]]:
        """The events of one video in each other's context, and the video.

        Args:
            videos: Where the frames are.
            frames: T frames of each event in turn, T being `frames_per_event`.
            frames_per_event: As the contextualizer was trained on.

        Raises:
            ModelError: it was trained on another T, or there are more events than it has places.
        """
        per_event = (-1, frames_per_event)
        embedded = torch.from_numpy(self.trained.embed_frames(videos, frames))
        contexts = self.model.contextualise(embedded.unflatten(0, per_event))
        event_PD, video_1D = contexts.event_BPD[0].numpy(), contexts.video_BD.numpy()
        if self.pooling == "both":
            merged_FD = self.merged.embed_frames(videos, frames)
            means_PD = merged_FD.reshape(*per_event, merged_FD.shape[1]).mean(axis=1)
            event_PD = _both(normalised(means_PD), event_PD)
            video_1D = _both(normalised(merged_FD.mean(axis=0, keepdims=True)), video_1D)
        return event_PD, video_1D[0]

    def _pooled(
        self, raw_ND: Float32[np.ndarray, "N D"], lengths: Sequence[int]
    ) -> Float32[np.ndarray, "C D"]:
        """The contextualizer's output for each run of so many frames; equal ones together."""
        frames = list(torch.from_numpy(normalised(raw_ND)).split(list(lengths)))
        pooled_CD = np.empty((len(frames), raw_ND.shape[1]), np.float32)
        for length in dict.fromkeys(lengths):
            alike = [i for i, one in enumerate(lengths) if one == length]
            for start in range(0, len(alike), _CLIPS_AT_ONCE):
                part = alike[start : start + _CLIPS_AT_ONCE]
                stacked_CND = torch.stack([frames[i] for i in part])
                pooled_CD[part] = self.model.pool_in_context(stacked_CND).numpy()
        return pooled_CD


def _both(
    mean_ND: Float32[np.ndarray, "N D"], vc_ND: Float32[np.ndarray, "N D"]
) -> Float32[np.ndarray, "N D"]:
    """As `mean_of_both`."""
    return mean_of_both(torch.from_numpy(mean_ND), torch.from_numpy(vc_ND)).numpy()
