"""What `figclip preview` tells of an annotated set: captions, tokens, what is cut, negatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from figclip.annotations.captions import Template, caption_clauses, caption_event
from figclip.annotations.verb_negatives import build_sense_pool, negative_events
from figclip.config import NegativePolicy
from figclip.records import AnnotationSet, Event, VideoRecord, event_key


@dataclass(frozen=True, slots=True, kw_only=True)
class EventCaption:
    """One event as the text tower will read it.

    Attributes:
        caption: The dense caption, uncut.
        num_tokens: Tokens of the uncut caption with start and end.
        num_fillers: Roles and scene that say something.
        num_carried_fillers: Those of them that stand in full before the cut.
    """

    key: str
    caption: str
    negatives: tuple[str | None, ...]
    num_tokens: int
    num_fillers: int
    num_carried_fillers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionStatistics:
    """Captions of a set and what they amount to.

    `max_tokens`: Where captions are cut, start and end included.
    """

    rows: tuple[EventCaption, ...]
    max_tokens: int

    @property
    def median_tokens(self) -> float:
        """Median number of tokens of a caption; 0 without events."""
        return median(row.num_tokens for row in self.rows) if self.rows else 0.0

    @property
    def most_tokens(self) -> int:
        """Tokens of the longest caption; 0 without events."""
        return max((row.num_tokens for row in self.rows), default=0)

    @property
    def cut(self) -> tuple[EventCaption, ...]:
        """The rows whose caption is longer than the text tower reads."""
        return tuple(row for row in self.rows if row.num_tokens > self.max_tokens)

    @property
    def coverage(self) -> float:
        """Share in [0, 1] of the fillers that captions carry in full; 1 without fillers."""
        num_fillers = sum(row.num_fillers for row in self.rows)
        num_carried = sum(row.num_carried_fillers for row in self.rows)
        return num_carried / num_fillers if num_fillers else 1.0

    @property
    def masked_share(self) -> float:
        """Share in [0, 1] of the columns of negatives that are masked; 0 without columns."""
        columns = [negative for row in self.rows for negative in row.negatives]
        return columns.count(None) / len(columns) if columns else 0.0


def caption_statistics(
    annotations: AnnotationSet,
    *,
    template: Template,
    policy: NegativePolicy,
    num_negatives: int,
    seed: int,
    count_tokens: Callable[[str], int],
    max_tokens: int,
) -> CaptionStatistics:
    """Write and measure every caption of a set.

    Negatives are drawn from the set itself. `count_tokens` counts the tokens of an uncut text with
    start and end; a text cut after a whole word must never have more than the text. `max_tokens` is
    what the text tower reads, 77 for CLIP.

    Videos with plain sentences only have no rows.
    """
    pool = build_sense_pool(annotations.records)
    rows: list[EventCaption] = []
    for record, key, event in _keyed_events(annotations):
        negatives = negative_events(
            event,
            video=record,
            pool=pool,
            policy=policy,
            num_negatives=num_negatives,
            seed=seed,
            key=key,
        )
        # One clause is the verb's, every other one carries one filler.
        clauses = caption_clauses(event, template=template)
        rows.append(
            EventCaption(
                key=key,
                caption=", ".join(clauses),
                negatives=tuple(
                    None if one is None else caption_event(one, template=template)
                    for one in negatives
                ),
                num_tokens=count_tokens(", ".join(clauses)),
                num_fillers=len(clauses) - 1,
                num_carried_fillers=_num_carried(clauses, count_tokens, max_tokens),
            )
        )
    return CaptionStatistics(rows=tuple(rows), max_tokens=max_tokens)


def _num_carried(
    clauses: Sequence[str], count_tokens: Callable[[str], int], max_tokens: int
) -> int:
    """Clauses after the first that end before the cut."""
    num_carried = len(clauses) - 1
    while num_carried and count_tokens(", ".join(clauses[: num_carried + 1])) > max_tokens:
        num_carried -= 1
    return num_carried


def _keyed_events(annotations: AnnotationSet) -> Iterator[tuple[VideoRecord, str, Event]]:
    """Every event of every annotation with its video and its key."""
    for record in annotations.records:
        for annotation_idx, annotation in enumerate(record.annotations):
            for event_idx, event in enumerate(annotation.events):
                key = event_key(record.id, annotation_idx=annotation_idx, event_idx=event_idx)
                yield record, key, event
