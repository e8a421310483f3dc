"""Counterfeits of annotated events put into words, and the choice between true and false."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from figclip.data.captions import text_hash
from figclip.data.counterfeits import CounterfeitPools, Kind, counterfeit_events
from figclip.metrics.blind import (
    BlindControl,
    choose_blindly,
    draw_foreign_items,
    mirrored_pairs,
)
from figclip.metrics.choice import Choices, choose
from figclip.metrics.similarity import paired_dot_products
from figclip.records import Event
from figclip.tasks.base import FrameTextEmbedder
from figclip.tasks.dense_events import DenseEvents
from figclip.tasks.vectors import embed_unique_texts

NUM_FOREIGN = 8
"""Foreign videos that an item of the blind control is judged by."""

Counterfeits = Sequence[tuple[Event | None, ...]]
"""The counterfeits of each event of a set, None where one could not be drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrasts:
    """Texts of one kind and wording.

    Attributes:
        event_idxs: Events that have at least one counterfeit.
        true: The text of each of them.
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
    """Draw the counterfeits of every event.

    Args:
        events: The events.
        kind: What is changed.
        pools: What to draw from, for each video.
        num_negatives: K, see `data.counterfeits`.
        seed: Of the draws.
    """
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

    Args:
        events: The events.
        counterfeits: Of each of them.
        wording: Writes the text of an event.
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
    """The embedded texts of a block.

    Args:
        embedder: Embeds the texts, each different one once.
        contrasts: At least one item.
    """

    def __init__(self, embedder: FrameTextEmbedder, contrasts: Contrasts) -> None:
        # Masked places hold the true text, whose score is not read.
        columns = [
            [text or true for true, text in zip(contrasts.true, column, strict=True)]
            for column in zip(*contrasts.negatives, strict=True)
        ]
        texts = [*contrasts.true, *(text for column in columns for text in column)]
        texts_MD = embed_unique_texts(embedder, texts)
        self._texts_CND = texts_MD.reshape(1 + len(columns), len(contrasts.true), -1)

    def leads(self, event_ND: Float[np.ndarray, "N D"]) -> Float32[np.ndarray, "N K"]:
        """Cosine of each counterfeit minus that of the true text, with a video for each item."""
        true_N, *false = (paired_dot_products(event_ND, text_ND) for text_ND in self._texts_CND)
        return np.stack(false, axis=1) - true_N[:, None]


def choose_texts(
    contrasts: Contrasts, texts: ContrastEmbeddings, event_ND: Float[np.ndarray, "N D"]
) -> Choices:
    """Compare each true text with its counterfeits under the item's own video.

    Args:
        contrasts: The texts.
        texts: Their embeddings.
        event_ND: The visual embedding of each item.

    Raises:
        MetricError: an embedding is not finite.
    """
    lead_NK = texts.leads(event_ND)
    return choose(np.zeros(len(lead_NK)), lead_NK, present_NK=contrasts.present)


def draw_blind_control(
    events: DenseEvents, contrasts: Contrasts, *, seed: int
) -> BlindControl | None:
    """Draw the foreign videos of the items of a block.

    Args:
        events: The events.
        contrasts: Of these events.
        seed: Of the draws.

    Returns:
        None where there are no two groups of videos.
    """
    groups = events.group_ids
    false = [frozenset(t for t in row if t is not None) for row in contrasts.negatives]
    return draw_foreign_items(
        [events.events[i].key for i in contrasts.event_idxs],
        [groups[i] for i in contrasts.event_idxs],
        mirrored=mirrored_pairs(contrasts.true, false),
        num_foreign=NUM_FOREIGN,
        seed=seed,
    )


def choose_texts_blindly(
    contrasts: Contrasts,
    texts: ContrastEmbeddings,
    event_ND: Float[np.ndarray, "N D"],
    *,
    control: BlindControl,
) -> Choices:
    """Compare each true text with its counterfeits under the videos of other items.

    Args:
        contrasts: The texts.
        texts: Their embeddings.
        event_ND: The visual embedding of each item.
        control: Which videos.

    Raises:
        MetricError: an embedding is not finite.
    """
    # Where there is no further video, -1 reads the last item's, which is not counted.
    lead_NFK = np.stack([texts.leads(event_ND[i]) for i in control.foreign_NF.T], axis=1)
    return choose_blindly(lead_NFK, control=control, present_NK=contrasts.present)
