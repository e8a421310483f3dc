"""All texts of a run, each once, and which rows belong to which event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from figclip.annotations.captions import (
    TEMPLATES,
    Template,
    caption_event,
    caption_video_hash,
    text_hash,
)
from figclip.annotations.filler_negatives import build_filler_pool, filler_negatives
from figclip.annotations.verb_negatives import build_sense_pool, negative_events
from figclip.config import NegativePolicy, TextConfig
from figclip.records import Event, VideoRecord, event_key

MASKED = -1
"""Row of a hard negative that could not be drawn."""

MASKED_WARNING = 0.4
"""Share of masked hard negatives to warn of. On VidSitu valid it is 0.27: what text alone would
give away is not drawn."""


@dataclass(frozen=True, slots=True)
class EventTexts:
    """Rows of one annotation's texts in the table.

    Attributes:
        caption_P: Row of each event's caption.
        negative_PK: Rows of its hard negatives, `MASKED` where there is none.
        hash_P: Hash of each caption; equal texts have equal hashes.
        video_hash: Hash of all captions, in whatever order.
    """

    caption_P: Int64[np.ndarray, " P"]
    negative_PK: Int64[np.ndarray, "P K"]
    hash_P: Int64[np.ndarray, " P"]
    video_hash: int


class TextTable:
    """Captions and hard negatives of all annotations of all videos.

    Args:
        records: The videos, in the order of their indices.
        caption: Renders an event.
        negatives: Hard negatives of (event, its record, its key), None where masked; always the
            same number.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        *,
        caption: Callable[[Event], str],
        negatives: Callable[[Event, VideoRecord, str], Sequence[str | None]],
    ) -> None:
        self.texts: list[str] = []
        self._row_of: dict[str, int] = {}
        self._events = [
            [
                self._add(record, annotation_idx, caption, negatives)
                for annotation_idx in range(len(record.annotations))
            ]
            for record in records
        ]

    def event_texts(self, video_idx: int, annotation_idx: int) -> EventTexts:
        """Rows of an annotation's texts."""
        return self._events[video_idx][annotation_idx]

    @property
    def masked_fraction(self) -> float:
        """Share of hard negatives that could not be drawn; 0 when none were asked for."""
        rows = [texts.negative_PK for video in self._events for texts in video]
        total = sum(row.size for row in rows)
        return sum(int((row == MASKED).sum()) for row in rows) / total if total else 0.0

    def _add(
        self,
        record: VideoRecord,
        annotation_idx: int,
        caption: Callable[[Event], str],
        negatives: Callable[[Event, VideoRecord, str], Sequence[str | None]],
    ) -> EventTexts:
        """Add one annotation's texts."""
        annotation = record.annotations[annotation_idx]
        captions = [caption(event) for event in annotation.events]
        drawn = [
            negatives(
                event,
                record,
                event_key(record.id, annotation_idx=annotation_idx, event_idx=event_idx),
            )
            for event_idx, event in enumerate(annotation.events)
        ]
        rows = [[MASKED if text is None else self._row(text) for text in each] for each in drawn]
        return EventTexts(
            np.array([self._row(text) for text in captions], np.int64),
            np.array(rows, np.int64).reshape(len(captions), -1),
            np.array([text_hash(text) for text in captions], np.int64),
            caption_video_hash(captions),
        )

    def _row(self, text: str) -> int:
        """Row of a text, added when new."""
        row = self._row_of.setdefault(text, len(self.texts))
        if row == len(self.texts):
            self.texts.append(text)
        return row


def build_text_table(
    records: Sequence[VideoRecord],
    *,
    template: Template,
    policy: NegativePolicy,
    verb_negatives: int,
    filler_negatives_per_event: int,
    seed: int,
) -> TextTable:
    """Captions and hard negatives of a set of videos, which are also what these are drawn from."""
    senses = build_sense_pool(records)
    fillers = build_filler_pool(records) if filler_negatives_per_event else None

    def draw(event: Event, record: VideoRecord, key: str) -> list[str | None]:
        drawn = negative_events(
            event,
            video=record,
            pool=senses,
            policy=policy,
            num_negatives=verb_negatives,
            seed=seed,
            key=key,
        )
        if fillers is not None:
            drawn += filler_negatives(
                event,
                video=record,
                pool=fillers,
                num_negatives=filler_negatives_per_event,
                seed=seed,
                key=key,
            )
        return [None if one is None else caption_event(one, template=template) for one in drawn]

    return TextTable(
        records, caption=lambda event: caption_event(event, template=template), negatives=draw
    )


def masked_negatives(records: Sequence[VideoRecord]) -> float:
    """Share of hard negatives that the default settings cannot draw from these videos."""
    text = TextConfig()
    table = build_text_table(
        records,
        template=TEMPLATES[text.template],
        policy=text.negative_policy,
        verb_negatives=text.verb_negatives,
        filler_negatives_per_event=0,
        seed=0,
    )
    return table.masked_fraction


def masked_warning(share: float) -> str:
    """What to say of so many masked negatives.

    Args:
        share: How many of all hard negatives are masked, in [0, 1].
    """
    return (
        f"{share:.0%} of the hard negatives cannot be drawn: too few verbs of these videos take "
        "the same roles and modifiers. More videos help."
    )
