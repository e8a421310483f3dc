"""Frozen features of annotated events, computed once: what a head for situations learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from figclip.data.batches import BatchItem
from figclip.data.sampling import frame_times_s
from figclip.data.stored_videos import StoredVideos
from figclip.model.contextualizer import VideoContextualizer
from figclip.tasks.base import FrameTextEmbedder

_VIDEOS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class EventFeatures:
    """Features of the events of every annotation that has any.

    Attributes:
        rows: [P, T, D] of each annotation, L2-normalised.
        dim: D.
    """

    rows: Mapping[BatchItem, Float32[Tensor, "P T D"]]
    dim: int

    def padded(
        self, items: Sequence[BatchItem]
    ) -> tuple[Float32[Tensor, "B P T D"], Bool[Tensor, "B P T"]]:
        """Features of some annotations, and where they are there."""
        rows = [self.rows[item] for item in items]
        frames_BPTD = pad_sequence(rows, batch_first=True)
        masks = [torch.ones(row.shape[:2], dtype=torch.bool) for row in rows]
        return frames_BPTD, pad_sequence(masks, batch_first=True)


def with_events_only(videos: StoredVideos) -> StoredVideos:
    """The videos that have annotated events, with those annotations that hold them."""
    records = [
        replace(record, annotations=tuple(one for one in record.annotations if one.events))
        for record in videos.records
    ]
    whole = replace(videos, records=tuple(records))
    return whole.subset([i for i, record in enumerate(records) if record.annotations])


def list_annotations(videos: StoredVideos) -> list[BatchItem]:
    """All annotations that have events, video by video."""
    return [
        BatchItem(video_idx, annotation_idx)
        for video_idx, record in enumerate(videos.records)
        for annotation_idx, annotation in enumerate(record.annotations)
        if annotation.events
    ]


def embed_event_frames(
    embedder: FrameTextEmbedder, videos: StoredVideos, *, frames_per_event: int
) -> EventFeatures:
    """Embeddings of the frames of all annotated events.

    Args:
        embedder: The model.
        videos: At least one has events.
        frames_per_event: T.

    Raises:
        StoreError: the stores lack a frame.
    """
    items = list_annotations(videos)
    frames: list[tuple[int, float]] = []
    counts: list[int] = []
    for item in items:
        annotation = videos.records[item.video_idx].annotations[item.annotation_idx]
        times_s = frame_times_s(annotation, frames_per_event=frames_per_event)
        frames += [(item.video_idx, time_s) for time_s in times_s]
        counts.append(len(times_s))
    # Annotators of one video mostly share their spans.
    distinct = list(dict.fromkeys(frames))
    embedded_ND = torch.from_numpy(embedder.embed_frames(videos, distinct))
    row_of = {frame: row for row, frame in enumerate(distinct)}
    rows_F = torch.tensor([row_of[frame] for frame in frames])
    parts = [
        embedded_ND[rows].unflatten(0, (-1, frames_per_event)) for rows in rows_F.split(counts)
    ]
    return EventFeatures(dict(zip(items, parts, strict=True)), embedded_ND.shape[1])


@torch.no_grad()  # inference tensors could not be trained on
def contextualise(features: EventFeatures, contextualizer: VideoContextualizer) -> EventFeatures:
    """The contextualizer's output of each event, as its one frame (T = 1).

    Args:
        features: Frames embedded at strength 1, on which the contextualizer was trained.
        contextualizer: Of the adapted model.

    Raises:
        ModelError: more events or frames than it has positions.
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
