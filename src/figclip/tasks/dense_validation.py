"""The few numbers that choose a checkpoint during training."""

from __future__ import annotations

import numpy as np

from figclip.data.captions import Template
from figclip.data.sense_pool import SensePool
from figclip.data.stored_videos import StoredVideos
from figclip.tasks.base import FrameTextEmbedder
from figclip.tasks.dense_choice import VERB, DenseChoice, choose_captions
from figclip.tasks.dense_events import embed_events, embed_unique_texts
from figclip.tasks.dense_retrieval import retrieve_events


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
    choice = DenseChoice(
        template=template,
        frames_per_event=frames_per_event,
        num_negatives=num_negatives,
        seed=seed,
        pool=pool,
    )
    items = choice.load(videos).items
    if not items.events.events:
        return {}
    visual = embed_events(embedder, items.events, frames_per_event=frames_per_event)
    captions_ND = embed_unique_texts(embedder, [event.caption for event in items.events.events])
    directions = retrieve_events(items.events, visual, captions_ND)
    scores = {
        "event_r1": float(np.mean([one.values[f"{one.block} R@1"].mean() for one in directions]))
    }
    for block in choose_captions(embedder, items, visual, kinds=(VERB,)):
        scores["choice_accuracy"] = float(block.values[f"{VERB} accuracy"].mean())
    return {**scores, "score": float(np.mean(list(scores.values())))}
