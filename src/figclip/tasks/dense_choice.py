"""Telling an event's true caption from counterfeits: another verb, or who and whom exchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from figclip.config import NegativePolicy
from figclip.data.captions import Template, caption_event
from figclip.data.event_edits import role_swap
from figclip.data.negatives import hard_negatives
from figclip.data.sense_pool import SensePool, build_sense_pool
from figclip.data.stored_videos import StoredVideos
from figclip.metrics.choice import choose
from figclip.records import Event
from figclip.tasks.base import FrameTextEmbedder, ItemScores, LeftOut, Score, Setting, TaskData
from figclip.tasks.dense_events import (
    DenseEvents,
    VisualMeans,
    embed_events,
    embed_unique_texts,
    list_events,
)

VERB = "verb choice"
ROLES = "role swap"
CHANCE = 0.5
POLICY: NegativePolicy = "matched"
"""Negatives that the text alone does not give away, see `data.negatives`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrasts:
    """Counterfeits of one kind.

    Attributes:
        event_idxs: Events that have at least one.
        negatives: The same number of captions for each of them, None where there is none.
    """

    event_idxs: tuple[int, ...]
    negatives: tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceItems:
    """All events with the counterfeits of their captions, by kind."""

    events: DenseEvents
    contrasts: Mapping[str, Contrasts]


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseChoice:
    """The true caption against each counterfeit, by cosine with the event; a `tasks.base.Task`.

    Strict: a tie is not a win; the share of ties is reported beside. Every event counts once,
    however many counterfeits it has. Chance is 50 %. Which modifiers go with a verb tells verb
    negatives from true captions to some degree without looking (LOG.md, negatives): what counts is
    the difference to the base on the same items.

    Attributes:
        template: Wording of the captions.
        frames_per_event: T.
        num_negatives: K verb negatives an event, >= 1.
        seed: Of the verb negatives.
        pool: Senses to draw from; None draws from those of the tested videos. A small set (the
            held-back part of a training set) has too few of its own.
    """

    template: Template
    frames_per_event: int
    num_negatives: int
    seed: int
    pool: SensePool | None = None

    @property
    def name(self) -> str:
        """Name in result files."""
        return "dense_choice"

    @property
    def settings(self) -> Mapping[str, Setting]:
        """What changes the scores."""
        return {
            "template": self.template.name,
            "frames_per_event": self.frames_per_event,
            "annotation": "first with events",
            "verb_negatives": self.num_negatives,
            "negative_policy": POLICY,
            "negative_seed": self.seed,
            "sense_pool": "the tested videos" if self.pool is None else "given",
        }

    def load(self, source: StoredVideos) -> TaskData[ChoiceItems]:
        """Events and their counterfeits."""
        events, left_out = list_events(source, template=self.template)
        verbs = self._verb_negatives(events, self.pool or build_sense_pool(source.records))
        swaps = [(self._swapped_caption(event.event),) for event in events.events]
        contrasts = {VERB: _contrasts(verbs), ROLES: _contrasts(swaps)}
        reasons = {
            VERB: "no other verb of the set takes the event's roles",
            ROLES: "no two roles to exchange that say different things",
        }
        for kind, reason in reasons.items():
            kept = set(contrasts[kind].event_idxs)
            left_out += tuple(
                LeftOut(item=event.key, reason=f"{kind}: {reason}")
                for event_idx, event in enumerate(events.events)
                if event_idx not in kept
            )
        counts = {
            "videos": len(events.videos.records),
            "events": len(events.events),
            **{f"{kind} events": len(one.event_idxs) for kind, one in contrasts.items()},
            f"{VERB} negatives": sum(text is not None for row in verbs for text in row),
            f"{VERB} negatives masked": sum(text is None for row in verbs for text in row),
        }
        items = ChoiceItems(events=events, contrasts=contrasts)
        return TaskData(items=items, counts=counts, left_out=left_out)

    def score(
        self, embedder: FrameTextEmbedder, data: TaskData[ChoiceItems]
    ) -> tuple[ItemScores, ...]:
        """Share of each event's counterfeits that are beaten, and tied."""
        items = data.items
        if not any(one.event_idxs for one in items.contrasts.values()):
            return ()
        visual = embed_events(embedder, items.events, frames_per_event=self.frames_per_event)
        return choose_captions(embedder, items, visual, kinds=(VERB, ROLES))

    def summarise(self, scores: Sequence[ItemScores]) -> dict[str, Score]:
        """Accuracy and ties of each kind."""
        return {
            metric: Score(
                official=float(values.mean()),
                chance=CHANCE if metric.endswith("accuracy") else None,
            )
            for block in scores
            for metric, values in block.values.items()
        }

    def _verb_negatives(self, events: DenseEvents, pool: SensePool) -> list[tuple[str | None, ...]]:
        """K captions an event."""
        return [
            hard_negatives(
                event.event,
                video=events.videos.records[event.video_idx],
                pool=pool,
                policy=POLICY,
                template=self.template,
                num_negatives=self.num_negatives,
                seed=self.seed,
                key=event.key,
            )
            for event in events.events
        ]

    def _swapped_caption(self, event: Event) -> str | None:
        """Caption of the event with who and whom exchanged."""
        swapped = role_swap(event)
        return None if swapped is None else caption_event(swapped, template=self.template)


def choose_captions(
    embedder: FrameTextEmbedder, items: ChoiceItems, visual: VisualMeans, *, kinds: Sequence[str]
) -> tuple[ItemScores, ...]:
    """Score the counterfeits of some kinds; kinds without any are left out.

    Args:
        embedder: Embeds the captions.
        items: Events and counterfeits.
        visual: Embeddings of all events.
        kinds: Of `VERB` and `ROLES`.

    Raises:
        MetricError: an embedding is not finite.
    """
    blocks: list[ItemScores] = []
    groups = items.events.group_ids
    for kind in kinds:
        contrasts = items.contrasts[kind]
        if not contrasts.event_idxs:
            continue
        chosen = [items.events.events[i] for i in contrasts.event_idxs]
        event_ND = visual.event_ND[list(contrasts.event_idxs)]
        # Masked places hold the true caption, whose score is not read.
        columns = [
            [text or event.caption for event, text in zip(chosen, column, strict=True)]
            for column in zip(*contrasts.negatives, strict=True)
        ]
        captions = [event.caption for event in chosen]
        texts_MD = embed_unique_texts(embedder, [*captions, *(t for one in columns for t in one)])
        texts_CND = texts_MD.reshape(1 + len(columns), len(chosen), -1)
        positive_N, *negatives = (_cosines(event_ND, text_ND) for text_ND in texts_CND)
        choices = choose(
            positive_N,
            np.stack(negatives, axis=1),
            present_NK=np.array([[t is not None for t in row] for row in contrasts.negatives]),
        )
        blocks.append(
            ItemScores(
                block=kind,
                item_ids=tuple(event.key for event in chosen),
                group_ids=tuple(groups[i] for i in contrasts.event_idxs),
                values={f"{kind} accuracy": choices.accuracy_N, f"{kind} ties": choices.ties_N},
            )
        )
    return tuple(blocks)


def _contrasts(negatives: Sequence[tuple[str | None, ...]]) -> Contrasts:
    """Those rows that hold a text."""
    kept = [i for i, row in enumerate(negatives) if any(text is not None for text in row)]
    return Contrasts(event_idxs=tuple(kept), negatives=tuple(negatives[i] for i in kept))


def _cosines(
    first_ND: Float32[np.ndarray, "N D"], second_ND: Float32[np.ndarray, "N D"]
) -> Float32[np.ndarray, " N"]:
    """Dot products of rows, rounded so that equal rows tie (see `metrics.ranking`)."""
    products_N = np.einsum("nd,nd->n", first_ND.astype(np.float64), second_ND.astype(np.float64))
    return products_N.astype(np.float32)
