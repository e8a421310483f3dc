"""The few numbers that choose a checkpoint during training."""

from __future__ import annotations

import numpy as np

from figclip.data.captions import Template, caption_event
from figclip.data.counterfeits import CounterfeitPools
from figclip.data.sense_pool import SensePool, build_sense_pool
from figclip.data.stored_videos import StoredVideos
from figclip.tasks.base import FrameTextEmbedder
from figclip.tasks.contrasts import (
    ContrastEmbeddings,
    choose_texts,
    draw_counterfeits,
    word_counterfeits,
)
from figclip.tasks.dense_events import embed_events, list_events
from figclip.tasks.dense_retrieval import retrieve_events
from figclip.tasks.vectors import embed_unique_texts


def validation_scores(
    embedder: FrameTextEmbedder,
    videos: StoredVideos,
    *,
    template: Template,
    frames_per_event: int,
    num_negatives: int,
    seed: int,
    pool: SensePool | None,
) -> dict[str, float]:
    """Score a model on held-back videos, embedding every frame once.

    The role swap is not among the scores: it is only ever tested, never chosen by.

    Args:
        embedder: The model.
        videos: The held-back videos.
        template: Wording of the captions.
        frames_per_event: T.
        num_negatives: K verb negatives an event.
        seed: Of the verb negatives.
        pool: Senses to draw from, normally those of the training set; None for the videos' own.

    Returns:
        Fractions in [0, 1]: `event_r1`, mean over both directions; `choice_accuracy`, true caption
        against verb negatives; `score`, the mean of the two. Without any verb negative,
        `choice_accuracy` is absent and `score` is `event_r1`. Empty without any event.

    Raises:
        MetricError: an embedding is not finite.
    """
    events, _ = list_events(videos, template=template)
    if not events.events:
        return {}
    visual = embed_events(embedder, events, frames_per_event=frames_per_event)
    captions_ND = embed_unique_texts(embedder, [event.caption for event in events.events])
    directions = retrieve_events(events, visual, captions_ND)
    scores = {
        "event_r1": float(np.mean([one.values[f"{one.block} R@1"].mean() for one in directions]))
    }
    # Verbs are drawn, fillers are not.
    pools = CounterfeitPools(senses=pool or build_sense_pool(videos.records), fillers={})
    counterfeits = draw_counterfeits(
        events,
        "verb",
        pools=[pools] * len(events.videos.records),
        num_negatives=num_negatives,
        seed=seed,
    )
    contrasts = word_counterfeits(
        events, counterfeits, lambda event: caption_event(event, template=template)
    )
    if contrasts.event_idxs:
        texts = ContrastEmbeddings(embedder, contrasts)
        choices = choose_texts(contrasts, texts, visual.event_ND[list(contrasts.event_idxs)])
        scores["choice_accuracy"] = float(choices.accuracy_N.mean())
    return {**scores, "score": float(np.mean(list(scores.values())))}
