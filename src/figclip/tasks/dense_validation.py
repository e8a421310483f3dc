"""The few numbers that choose a checkpoint and a strength.

What text alone can win chooses nothing: choices count by how far their accuracy exceeds that under
foreign videos. All texts are plain sentences, not the template that training teaches by heart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from figclip.data.counterfeits import KINDS, CounterfeitPools, Kind
from figclip.data.sentences import plain_sentence
from figclip.data.stored_videos import StoredVideos
from figclip.metrics.blind import BlindControl
from figclip.tasks.base import FrameTextEmbedder
from figclip.tasks.contrasts import (
    ContrastEmbeddings,
    Contrasts,
    choose_texts,
    choose_texts_blindly,
    draw_blind_control,
    draw_counterfeits,
    word_counterfeits,
)
from figclip.tasks.dense_events import DenseEvents, embed_events, list_events
from figclip.tasks.dense_retrieval import retrieve_events
from figclip.tasks.vectors import embed_unique_texts

CHOOSING_KINDS: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "role swap")
"""The role swap is only ever tested, never chosen by."""
NUM_NEGATIVES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseValidation:
    """What is asked about held-back videos, the same at every step and strength.

    Attributes:
        events: All events, in plain sentences.
        contrasts: Counterfeits by kind; kinds without any are missing.
        blind: The foreign videos of each kind.
        frames_per_event: T.
    """

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

        Raises:
            MetricError: an embedding is not finite.
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
            seen = choose_texts(contrasts, texts, event_ND)
            blind = choose_texts_blindly(contrasts, texts, event_ND, control=self.blind[kind])
            gains.append(float((seen.accuracy_N - blind.accuracy_N).mean()))
        if gains:
            scores["over_blind"] = float(np.mean(gains))
        return {**scores, "score": float(np.mean(list(scores.values())))}


def build_validation(
    videos: StoredVideos, *, pools: CounterfeitPools, frames_per_event: int, seed: int
) -> DenseValidation:
    """Draw what is asked.

    Args:
        videos: The held-back videos, with at least one event.
        pools: Verbs and fillers to draw from, normally those of the training set.
        frames_per_event: T.
        seed: Of the counterfeits and of the foreign videos.
    """
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
