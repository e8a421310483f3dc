"""Embed the events of an annotated set, and choose between true and false texts about them.

Both dense tasks start here: retrieval, and the SRL-swap test with its counterfeits put into words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from figclip.annotations.captions import text_hash
from figclip.annotations.counterfactuals import CounterfeitPools, Kind, counterfeit_events
from figclip.datasets.records import LeftOut
from figclip.metrics.controls import (
    BlindControl,
    Choices,
    choose,
    choose_blindly,
    draw_foreign_items,
    mirrored_pairs,
)
from figclip.metrics.ranking import paired_dot_products
from figclip.records import Event, event_key
from figclip.tasks.base import ContextTextEmbedder, FrameTextEmbedder
from figclip.tasks.media import embed_unique_texts, normalised_rows
from figclip.video.sampling import event_times_s
from figclip.video.stored import StoredVideos

_FRAMES_AT_ONCE = 4096
"""Frames whose embeddings are held at once; the cache stores as many in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseEvent:
    """An event with its `event_key`, the index of its video, and its caption as asked for."""

    key: str
    video_idx: int
    event: Event
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseEvents:
    """All events, video by video, of one annotation each; only videos that have events."""

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
class VisualEmbeddings:
    """Embeddings, normalised, of each event and of each video with all its events."""

    event_ND: Float32[np.ndarray, "N D"]
    video_BD: Float32[np.ndarray, "B D"]


def list_events(
    videos: StoredVideos, *, wording: Callable[[Event], str]
) -> tuple[DenseEvents, tuple[LeftOut, ...]]:
    """The events of each video's first annotation that has any; videos that have none are left out.

    One annotation per video: further ones describe the same events in other words, and a text that
    fits two equal items of the gallery has no rank.
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
) -> VisualEmbeddings:
    """Embed events and videos from T frames of each event, at midpoints of equal parts.

    By means of these, unless the embedder sees events in context.
    """
    assert events.events, "there is no event to embed"
    if isinstance(embedder, ContextTextEmbedder):
        return _embed_in_context(embedder, events, frames_per_event=frames_per_event)
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
    return VisualEmbeddings(normalised_rows(event_ND), means_of_videos(event_ND, events))


def _embed_in_context(
    embedder: ContextTextEmbedder, events: DenseEvents, *, frames_per_event: int
) -> VisualEmbeddings:
    """Events and videos, video by video."""
    event_PDs: list[Float32[np.ndarray, "P D"]] = []
    video_Ds: list[Float32[np.ndarray, " D"]] = []
    for first, last in events.spans():
        frames = [
            (event.video_idx, time_s)
            for event in events.events[first:last]
            for time_s in event_times_s(event.event, frames_per_event)
        ]
        event_PD, video_D = embedder.embed_in_context(
            events.videos, frames, frames_per_event=frames_per_event
        )
        event_PDs.append(event_PD)
        video_Ds.append(video_D)
    return VisualEmbeddings(np.concatenate(event_PDs), np.stack(video_Ds))


def means_of_videos(
    row_ND: Float[np.ndarray, "N D"], events: DenseEvents
) -> Float32[np.ndarray, "B D"]:
    """Mean of the rows of each video's events, normalised."""
    starts = [start for start, _ in events.spans()]
    return normalised_rows(np.add.reduceat(row_ND.astype(np.float64), starts, axis=0))


NUM_FOREIGN = 8
"""Foreign videos that an item of the blind control is judged by."""

Counterfeits = Sequence[tuple[Event | None, ...]]
"""The counterfeits of each event of a set, None where one could not be drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrasts:
    """Texts of one kind and wording.

    Attributes:
        event_idxs: Events that have at least one counterfeit.
        negatives: The same number of counterfeits for each of them, None where there is none.
        num_same: Counterfeits left out because they read as the true text.
    """

    event_idxs: tuple[int, ...]
    true: tuple[str, ...]
    negatives: tuple[tuple[str | None, ...], ...]
    num_same: int

    @property
    def present(self) -> Bool[np.ndarray, "N K"]:
        """False where there is no counterfeit."""
        return np.array([[text is not None for text in row] for row in self.negatives])


def draw_counterfeits(
    events: DenseEvents,
    kind: Kind,
    *,
    pools: Sequence[CounterfeitPools],
    num_negatives: int,
    seed: int,
) -> Counterfeits:
    """Draw the counterfeits of every event."""
    return [
        counterfeit_events(
            event.event,
            kind,
            video=events.videos.records[event.video_idx],
            pools=pools[event.video_idx],
            num_negatives=num_negatives,
            seed=seed,
            key=event.key,
        )
        for event in events.events
    ]


def word_counterfeits(
    events: DenseEvents, counterfeits: Counterfeits, wording: Callable[[Event], str]
) -> Contrasts:
    """Put events and counterfeits into words.

    A counterfeit that reads as the true text (another sense of the same verb may) is left out.
    """
    event_idxs: list[int] = []
    true: list[str] = []
    negatives: list[tuple[str | None, ...]] = []
    num_same = 0
    for event_idx, (event, row) in enumerate(zip(events.events, counterfeits, strict=True)):
        if not any(row):
            continue
        text = wording(event.event)
        worded = [None if one is None else wording(one) for one in row]
        same = [one is not None and text_hash(one) == text_hash(text) for one in worded]
        num_same += sum(same)
        kept = tuple(None if drop else one for drop, one in zip(same, worded, strict=True))
        if any(one is not None for one in kept):
            event_idxs.append(event_idx)
            true.append(text)
            negatives.append(kept)
    return Contrasts(
        event_idxs=tuple(event_idxs),
        true=tuple(true),
        negatives=tuple(negatives),
        num_same=num_same,
    )


class ContrastEmbeddings:
    """The embedded texts of a block; each different text is embedded once."""

    def __init__(self, embedder: FrameTextEmbedder, contrasts: Contrasts) -> None:
        self._present_NK = contrasts.present
        # Masked places hold the true text, whose score is not read.
        columns = [
            [text or true for true, text in zip(contrasts.true, column, strict=True)]
            for column in zip(*contrasts.negatives, strict=True)
        ]
        texts = [*contrasts.true, *(text for column in columns for text in column)]
        texts_MD = embed_unique_texts(embedder, texts)
        self._texts_CND = texts_MD.reshape(1 + len(columns), len(contrasts.true), -1)

    def choose(self, event_ND: Float[np.ndarray, "N D"]) -> Choices:
        """Compare each true text with its counterfeits under the item's own video."""
        lead_NK = self._leads(event_ND)
        return choose(np.zeros(len(lead_NK)), lead_NK, present_NK=self._present_NK)

    def choose_blindly(self, event_ND: Float[np.ndarray, "N D"], control: BlindControl) -> Choices:
        """Compare each true text with its counterfeits under the videos of other items."""
        # Where there is no further video, -1 reads the last item's, which is not counted.
        lead_NFK = np.stack([self._leads(event_ND[i]) for i in control.foreign_NF.T], axis=1)
        return choose_blindly(lead_NFK, control=control, present_NK=self._present_NK)

    def _leads(self, event_ND: Float[np.ndarray, "N D"]) -> Float32[np.ndarray, "N K"]:
        """Cosine of each counterfeit minus that of the true text, with a video for each item."""
        true_N, *false = (paired_dot_products(event_ND, text_ND) for text_ND in self._texts_CND)
        return np.stack(false, axis=1) - true_N[:, None]


def draw_blind_control(
    events: DenseEvents, contrasts: Contrasts, *, seed: int
) -> BlindControl | None:
    """Draw the foreign videos of the items of a block; None without two groups of videos."""
    groups = events.group_ids
    false = [frozenset(t for t in row if t is not None) for row in contrasts.negatives]
    return draw_foreign_items(
        [events.events[i].key for i in contrasts.event_idxs],
        [groups[i] for i in contrasts.event_idxs],
        mirrored=mirrored_pairs(contrasts.true, false),
        num_foreign=NUM_FOREIGN,
        seed=seed,
    )
