"""Find events and videos by their dense captions and the reverse, and choose checkpoints by it.

`DenseValidation` gives the few numbers that choose a checkpoint and a strength. What text alone can
win chooses nothing: choices count by how far their accuracy exceeds that under foreign videos. All
its texts are plain sentences, not the template that training teaches by heart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Int64

from figclip.annotations.captions import (
    Template,
    caption_event,
    caption_video_hash,
    plain_sentence,
    text_hash,
)
from figclip.annotations.counterfactuals import KINDS, CounterfeitPools, Kind
from figclip.metrics.controls import BlindControl
from figclip.metrics.ranking import hits_at_k, median_rank, ranks_by_label
from figclip.tasks.base import (
    Face,
    FrameTextEmbedder,
    ItemScores,
    Score,
    Setting,
    TaskData,
    TextKind,
)
from figclip.tasks.dense_events import (
    ContrastEmbeddings,
    Contrasts,
    DenseEvents,
    VisualEmbeddings,
    draw_blind_control,
    draw_counterfeits,
    embed_events,
    list_events,
    means_of_videos,
    word_counterfeits,
)
from figclip.tasks.media import embed_unique_texts
from figclip.video.stored import StoredVideos

CUT_OFFS = (1, 5, 10)
HEADLINES = ("events t2v R@1", "events v2t R@1")


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseRetrieval:
    """Retrieval among all events and all videos of a set; a `tasks.base.Task`.

    Events: caption against the mean of the event's frames. Videos: mean of the video's caption
    embeddings against the mean of all its frames. Both directions (`t2v`: text to video). Events
    with equal captions, and videos with equal sets of captions, answer each other's queries. Ties
    count against the query. Recall at a k that no item could miss is left out.
    """

    name: ClassVar[str] = "dense_retrieval"
    face: ClassVar[Face] = "detail"
    texts_are: ClassVar[TextKind] = "sentences"

    template: Template
    frames_per_event: int

    @property
    def settings(self) -> Mapping[str, Setting]:
        """What changes the scores."""
        return {
            "template": self.template.name,
            "frames_per_event": self.frames_per_event,
            "annotation": "first with events",
            "ties": "count against the query",
        }

    def load(self, source: StoredVideos) -> TaskData[DenseEvents]:
        """The events of all videos."""
        events, left_out = list_events(
            source, wording=partial(caption_event, template=self.template)
        )
        counts = {
            "videos": len(events.videos.records),
            "events": len(events.events),
            "different captions": len({text_hash(event.caption) for event in events.events}),
        }
        captions = tuple(event.caption for event in events.events)
        return TaskData(items=events, counts=counts, left_out=left_out, texts=captions)

    def score(
        self, embedder: FrameTextEmbedder, data: TaskData[DenseEvents]
    ) -> tuple[ItemScores, ...]:
        """Ranks and hits of every caption, event, video text and video."""
        events = data.items
        if not events.events:
            return ()
        visual = embed_events(embedder, events, frames_per_event=self.frames_per_event)
        captions_ND = embed_unique_texts(embedder, [event.caption for event in events.events])
        return (
            *retrieve_events(events, visual, captions_ND),
            *_retrieve_videos(events, visual, captions_ND),
        )

    def summarise(self, scores: Sequence[ItemScores]) -> dict[str, Score]:
        """Recalls, mean and median rank of each direction."""
        summary: dict[str, Score] = {}
        for block in scores:
            for metric, values in block.values.items():
                unit = "rank" if metric.endswith("rank") else "fraction"
                summary[metric] = Score(
                    official=float(values.mean()), unit=unit, is_headline=metric in HEADLINES
                )
            rank_Q = block.values[f"{block.block} mean rank"].astype(np.int64)
            median = Score(official=median_rank(rank_Q), unit="rank")
            summary[f"{block.block} median rank"] = median
        return summary


def retrieve_events(
    events: DenseEvents, visual: VisualEmbeddings, captions_ND: Float32[np.ndarray, "N D"]
) -> tuple[ItemScores, ItemScores]:
    """Event retrieval in both directions, text to video first."""
    return _both_directions(
        "events",
        captions_ND,
        visual.event_ND,
        label_N=np.array([text_hash(event.caption) for event in events.events], np.int64),
        item_ids=tuple(event.key for event in events.events),
        group_ids=events.group_ids,
    )


def _retrieve_videos(
    events: DenseEvents, visual: VisualEmbeddings, captions_ND: Float32[np.ndarray, "N D"]
) -> tuple[ItemScores, ItemScores]:
    records = events.videos.records
    captions = [event.caption for event in events.events]
    hashes = [caption_video_hash(captions[first:last]) for first, last in events.spans()]
    return _both_directions(
        "videos",
        means_of_videos(captions_ND, events),
        visual.video_BD,
        label_N=np.array(hashes, np.int64),
        item_ids=tuple(record.id for record in records),
        group_ids=tuple(record.group for record in records),
    )


def _both_directions(
    level: str,
    text_ND: Float32[np.ndarray, "N D"],
    visual_ND: Float32[np.ndarray, "N D"],
    *,
    label_N: Int64[np.ndarray, " N"],
    item_ids: tuple[str, ...],
    group_ids: tuple[str, ...],
) -> tuple[ItemScores, ItemScores]:
    """Texts search among visual items, and the other way round."""

    def block(
        name: str, query_ND: Float32[np.ndarray, "N D"], item_ND: Float32[np.ndarray, "N D"]
    ) -> ItemScores:
        rank_N = ranks_by_label(query_ND, item_ND, query_label_Q=label_N, item_label_N=label_N)
        values = {
            f"{name} R@{k}": hits_at_k(rank_N, k=k) for k in CUT_OFFS if k == 1 or k < len(label_N)
        }
        values[f"{name} mean rank"] = rank_N.astype(np.float64)
        return ItemScores(block=name, item_ids=item_ids, group_ids=group_ids, values=values)

    return block(f"{level} t2v", text_ND, visual_ND), block(f"{level} v2t", visual_ND, text_ND)


CHOOSING_KINDS: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "role swap")
"""The role swap is only ever tested, never chosen by."""
NUM_NEGATIVES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseValidation:
    """What is asked about held-back videos, the same at every step and strength; by kind if any."""

    events: DenseEvents
    contrasts: Mapping[Kind, Contrasts]
    blind: Mapping[Kind, BlindControl]
    frames_per_event: int

    def scores(self, embedder: FrameTextEmbedder) -> dict[str, float]:
        """Score a model, embedding every frame once.

        Returns:
            `event_r1` in [0, 1]: events by sentences and sentences by events, mean of both;
            `over_blind` in [-1, 1]: what accuracy against counterfeits gains by looking, mean over
            kinds, missing where there are none; `score`, the mean of the two. Guessing is at 0 in
            all of them.
        """
        visual = embed_events(embedder, self.events, frames_per_event=self.frames_per_event)
        texts_ND = embed_unique_texts(embedder, [event.caption for event in self.events.events])
        directions = retrieve_events(self.events, visual, texts_ND)
        recalls = [one.values[f"{one.block} R@1"].mean() for one in directions]
        scores = {"event_r1": float(np.mean(recalls))}
        gains: list[float] = []
        for kind, contrasts in self.contrasts.items():
            texts = ContrastEmbeddings(embedder, contrasts)
            event_ND = visual.event_ND[list(contrasts.event_idxs)]
            seen = texts.choose(event_ND)
            blind = texts.choose_blindly(event_ND, self.blind[kind])
            gains.append(float((seen.accuracy_N - blind.accuracy_N).mean()))
        if gains:
            scores["over_blind"] = float(np.mean(gains))
        return {**scores, "score": float(np.mean(list(scores.values())))}


def build_validation(
    videos: StoredVideos, *, pools: CounterfeitPools, frames_per_event: int, seed: int
) -> DenseValidation:
    """Draw what is asked."""
    events, _ = list_events(videos, wording=plain_sentence)
    contrasts: dict[Kind, Contrasts] = {}
    blind: dict[Kind, BlindControl] = {}
    for kind in CHOOSING_KINDS:
        drawn = draw_counterfeits(
            events,
            kind,
            pools=[pools] * len(events.videos.records),
            num_negatives=NUM_NEGATIVES,
            seed=seed,
        )
        worded = word_counterfeits(events, drawn, plain_sentence)
        control = draw_blind_control(events, worded, seed=seed)
        if control is not None:
            contrasts[kind], blind[kind] = worded, control
    return DenseValidation(
        events=events, contrasts=contrasts, blind=blind, frames_per_event=frames_per_event
    )
