"""Frozen models as sources of features, each computed once.

The models are the base, the adapted CLIP, and the contextualizer on top of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float32
from torch import Tensor

from figclip.config import FrameLayer
from figclip.datasets.retrieval import youtube_video
from figclip.evaluation.models import ColumnLoader
from figclip.evaluation.sources import DataSource, OpenedSource, open_annotated
from figclip.heads.features import CONTEXTUALIZER, EventFeatures, FeatureSource, list_annotations
from figclip.model.backbone import weights_hash
from figclip.model.contextualizer import VideoContextualizer
from figclip.model.embedder import Embedder
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings
from figclip.model.figclip import FiGCLIP
from figclip.preparation.clips import prepare_clips
from figclip.runtime.progress import Progress
from figclip.training.batches import BatchItem
from figclip.video.sampling import PRESETS, FrameRate, frame_times_s
from figclip.video.store import StoreSpec
from figclip.video.stored import StoredClips, StoredFrames, StoredVideos

_VIDEOS_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenModel(FeatureSource):
    """A model as a source of features."""

    spec: StoreSpec
    embedder: Embedder

    def open_events(
        self,
        data: DataSource,
        *,
        frames_per_event: int,
        cache: Path | None,
        on_progress: Progress | None,
    ) -> OpenedSource:
        """The annotated videos of a split, decoded if they are not yet."""
        return open_annotated(
            data,
            spec=self.spec,
            frames_per_event=frames_per_event,
            cache=cache,
            on_progress=on_progress,
        )

    def event_features(self, videos: StoredVideos, *, frames_per_event: int) -> EventFeatures:
        """Features of the frames of all annotated events."""
        features = embed_event_frames(self.embedder, videos, frames_per_event=frames_per_event)
        if self.contextualizer is None:
            return features
        return contextualise(features, self.contextualizer)

    def open_clips(
        self,
        durations_s: Mapping[str, float],
        *,
        videos: Path | None,
        per_second: float,
        cache: Path | None,
        on_progress: Progress | None,
    ) -> StoredClips:
        """Whole videos, decoded into the cache if they are not yet; their files say how long."""
        assert cache is not None, "whole videos are decoded into the cache"
        return prepare_clips(
            [youtube_video(name) for name in durations_s],
            images=None,
            videos=videos,
            stores=cache / "stores",
            pipeline=self.spec.pipeline,
            size=self.spec.size,
            sampling=FrameRate(per_second),
            on_progress=on_progress,
        )

    def clip_features(
        self, clips: StoredClips, clip_idxs: Sequence[int]
    ) -> tuple[Float32[Tensor, "_ D"], ...]:
        """Embeddings of all frames of some whole videos."""
        times_s = [clips.times_s[clip_idx] for clip_idx in clip_idxs]
        frames = [
            (clip_idx, time_s)
            for clip_idx, of_video in zip(clip_idxs, times_s, strict=True)
            for time_s in of_video
        ]
        embedded_FD = embed_each(self.embedder, clips, frames)
        return embedded_FD.split([len(of_video) for of_video in times_s])


def load_frozen_models(
    model: str | Path,
    *,
    base: str | Path | None,
    layer: FrameLayer = "embedding",
    cache: Path | None,
    device: str,
    embedding: EmbeddingSettings = DEFAULT_EMBEDDING,
    on_progress: Progress | None,
) -> tuple[tuple[FrozenModel, ...], tuple[str, ...]]:
    """Base and adapted model, and the adapted one through its contextualizer where it has one.

    The contextualizer reads embeddings: where features are of another `layer`, it is left out.

    Returns:
        The models, base first (a plain CLIP is `adapted` alone), and what is to be said of them.

    Raises:
        ModelError: of `layer` there is nothing else than the embedding; models cannot be used.
    """
    loader = ColumnLoader(
        model=model,
        base=base,
        preset=PRESETS["figclip"],
        cache=cache,
        device=device,
        embedding=embedding,
        on_progress=on_progress,
    )
    columns, notices = loader.load(alpha=None, scalable=False)
    frozen = [
        FrozenModel(
            name=name,
            info=one.info,
            embedder=one.events if layer == "embedding" else one.events.before_projection(),
            spec=one.spec,
            seen=one.seen,
        )
        for name, one in columns.items()
    ]
    if layer != "embedding":
        return tuple(frozen), tuple(notices)
    if FiGCLIP.from_pretrained(model, device=device).contextualizer is not None:
        # Strength 1, on which the contextualizer was trained.
        trained = FiGCLIP.from_pretrained(
            model, alpha=1.0, base=base, device=device, embedding=embedding
        )
        adapted = frozen[-1]
        embedder = Embedder(
            trained.backbone,
            micro_batch=trained.batch_size,
            cache_file=None if cache is None else cache / "embeddings.sqlite",
            on_progress=None
            if on_progress is None
            else lambda done, total: on_progress("embedding (contextualizer)", done, total),
        )
        info = replace(adapted.info, hash=weights_hash(trained.backbone.clip), alpha=1.0)
        frozen.append(
            replace(
                adapted,
                name=CONTEXTUALIZER,
                info=info,
                embedder=embedder,
                contextualizer=trained.contextualizer,
            )
        )
    return tuple(frozen), tuple(notices)


def embed_event_frames(
    embedder: Embedder, videos: StoredVideos, *, frames_per_event: int
) -> EventFeatures:
    """Embeddings of the frames of all annotated events."""
    items = list_annotations(videos)
    frames: list[tuple[int, float]] = []
    counts: list[int] = []
    for item in items:
        annotation = videos.records[item.video_idx].annotations[item.annotation_idx]
        times_s = frame_times_s(annotation, frames_per_event=frames_per_event)
        frames += [(item.video_idx, time_s) for time_s in times_s]
        counts.append(len(times_s))
    embedded_FD = embed_each(embedder, videos, frames)
    parts = [part.unflatten(0, (-1, frames_per_event)) for part in embedded_FD.split(counts)]
    return EventFeatures(dict(zip(items, parts, strict=True)), embedded_FD.shape[1])


def embed_each(
    embedder: Embedder, reader: StoredFrames, frames: Sequence[tuple[int, float]]
) -> Float32[Tensor, "F D"]:
    """Embeddings of frames, L2-normalised; a frame that comes again is embedded once."""
    distinct = list(dict.fromkeys(frames))
    embedded_ND = torch.from_numpy(embedder.embed_frames(reader, distinct))
    row_of = {frame: row for row, frame in enumerate(distinct)}
    return embedded_ND[torch.tensor([row_of[frame] for frame in frames])]


@torch.no_grad()  # inference tensors could not be trained on
def contextualise(features: EventFeatures, contextualizer: VideoContextualizer) -> EventFeatures:
    """The contextualizer's output of each event, as its one frame (T = 1).

    The frames are those at strength 1, on which the contextualizer was trained.
    """
    device = next(contextualizer.parameters()).device
    items = list(features.rows)
    rows: dict[BatchItem, Tensor] = {}
    for start in range(0, len(items), _VIDEOS_AT_ONCE):
        part = items[start : start + _VIDEOS_AT_ONCE]
        frames_BPTD, mask_BPT = features.padded(part)
        contexts = contextualizer(frames_BPTD.to(device), frame_mask_BPT=mask_BPT.to(device))
        for item, event_PD in zip(part, contexts.event_BPD.cpu(), strict=True):
            rows[item] = event_PD[: len(features.rows[item]), None].clone()
    return EventFeatures(rows, features.dim)
