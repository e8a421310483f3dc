"""The events of an annotated set and their visual embeddings: what both dense tasks start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64

from figclip.data.sampling import event_times_s
from figclip.data.stored_videos import StoredVideos
from figclip.records import Event, event_key
from figclip.tasks.base import FrameTextEmbedder, LeftOut
from figclip.tasks.vectors import normalised_rows

_FRAMES_AT_ONCE = 4096
"""Frames whose embeddings are held at once; the cache stores as many in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseEvent:
    """An event with its dense caption.

    Attributes:
        key: `records.event_key`.
        video_idx: Index of its video in `DenseEvents.videos`.
        event: The annotation.
        caption: Its text in the wording asked for.
    """

    key: str
    video_idx: int
    event: Event
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseEvents:
    """All events, video by video.

    Attributes:
        videos: Only those that have events.
        events: Of one annotation a video; the events of a video are neighbours.
    """

    videos: StoredVideos
    events: tuple[DenseEvent, ...]

    @property
    def group_ids(self) -> tuple[str, ...]:
        """Group of each event."""
        return tuple(self.videos.records[event.video_idx].group for event in self.events)

    def spans(self) -> list[tuple[int, int]]:
        """First and past-the-last event of each video."""
        video_N = np.array([event.video_idx for event in self.events], np.int64)
        bounds = np.searchsorted(video_N, np.arange(len(self.videos.records) + 1))
        return [(int(a), int(b)) for a, b in zip(bounds, bounds[1:], strict=False)]


@dataclass(frozen=True, slots=True)
class VisualMeans:
    """Means of frame embeddings, normalised.

    Attributes:
        event_ND: Of each event's frames.
        video_BD: Of all frames of all events of each video.
    """

    event_ND: Float32[np.ndarray, "N D"]
    video_BD: Float32[np.ndarray, "B D"]


def list_events(
    videos: StoredVideos, *, wording: Callable[[Event], str]
) -> tuple[DenseEvents, tuple[LeftOut, ...]]:
    """The events of each video's first annotation that has any.

    One annotation a video: further ones describe the same events in other words, and a text that
    fits two equal items of the gallery has no rank.

    Args:
        videos: Annotated videos.
        wording: Writes the text of an event.

    Returns:
        The events, and the videos that have none.
    """
    events: list[DenseEvent] = []
    kept: list[int] = []
    left_out: list[LeftOut] = []
    for record_idx, record in enumerate(videos.records):
        with_events = (i for i, one in enumerate(record.annotations) if one.events)
        annotation_idx = next(with_events, None)
        if annotation_idx is None:
            left_out.append(LeftOut(item=record.id, reason="the video has no annotated events"))
            continue
        events += [
            DenseEvent(
                key=event_key(record.id, annotation_idx=annotation_idx, event_idx=event_idx),
                video_idx=len(kept),
                event=event,
                caption=wording(event),
            )
            for event_idx, event in enumerate(record.annotations[annotation_idx].events)
        ]
        kept.append(record_idx)
    return DenseEvents(videos=videos.subset(kept), events=tuple(events)), tuple(left_out)


def embed_events(
    embedder: FrameTextEmbedder, events: DenseEvents, *, frames_per_event: int
) -> VisualMeans:
    """Embed events and videos by the means of their frames.

    Args:
        embedder: The model.
        events: At least one.
        frames_per_event: T: frames at the midpoints of T equal segments of an event.

    Raises:
        StoreError: the stores lack a frame.
    """
    assert events.events, "there is no event to embed"
    sums: list[Float64[np.ndarray, "N D"]] = []
    step = max(1, _FRAMES_AT_ONCE // frames_per_event)
    for start in range(0, len(events.events), step):
        frames = [
            (event.video_idx, time_s)
            for event in events.events[start : start + step]
            for time_s in event_times_s(event.event, frames_per_event)
        ]
        embedded = embedder.embed_frames(events.videos, frames).astype(np.float64)
        sums.append(embedded.reshape(-1, frames_per_event, embedded.shape[1]).sum(axis=1))
    event_ND = np.concatenate(sums)
    return VisualMeans(normalised_rows(event_ND), means_of_videos(event_ND, events))


def means_of_videos(
    row_ND: Float[np.ndarray, "N D"], events: DenseEvents
) -> Float32[np.ndarray, "B D"]:
    """Mean of the rows of each video's events, normalised."""
    starts = [start for start, _ in events.spans()]
    return normalised_rows(np.add.reduceat(row_ND.astype(np.float64), starts, axis=0))
