"""All texts of a run, each once, and which rows belong to which event."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from statistics import median

import numpy as np
from jaxtyping import Int64

from figclip.annotations.captions import (
    TEMPLATES,
    Template,
    caption_clauses,
    caption_event,
    caption_video_hash,
    text_hash,
)
from figclip.annotations.filler_negatives import build_filler_pool, filler_negatives
from figclip.annotations.splits import EVALUATED_SPLIT
from figclip.annotations.verb_negatives import build_sense_pool, negative_events
from figclip.config import NegativePolicy, TextConfig
from figclip.records import AnnotationSet, Event, VideoRecord, event_key

MASKED = -1
"""Row of a hard negative that could not be drawn."""

# VidSitu has thousands of roles: each verb's own, in which near names are no slips.
_SHOWN_ROLES, _MOST_ROLES = 12, 200

MASKED_WARNING = 0.4
"""Share of masked hard negatives to warn of. On VidSitu valid it is 0.27: what text alone would
give away is not drawn."""


@dataclass(frozen=True, slots=True)
class EventTexts:
    """Rows of one annotation's texts in the table: each event's caption, and its hard negatives.

    A negative's row is `MASKED` where there is none. Equal captions have equal hashes; `video_hash`
    is that of all, in whatever order.
    """

    caption_P: Int64[np.ndarray, " P"]
    negative_PK: Int64[np.ndarray, "P K"]
    hash_P: Int64[np.ndarray, " P"]
    video_hash: int


Caption = Callable[[Event], str]
Negatives = Callable[[Event, VideoRecord, str], Sequence[str | None]]


class TextTable:
    """Captions and hard negatives of all annotations of all videos.

    `caption` renders an event; `negatives` are those of (event, its record, its key), None where
    masked, always the same number.
    """

    def __init__(
        self, records: Sequence[VideoRecord], *, caption: Caption, negatives: Negatives
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
        self, record: VideoRecord, annotation_idx: int, caption: Caption, negatives: Negatives
    ) -> EventTexts:
        """Add one annotation's texts."""
        events = _keyed_events(record, annotation_idx)
        captions = [caption(event) for _, event in events]
        drawn = [negatives(event, record, key) for key, event in events]
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
    """What to say of so large a share, in [0, 1], of masked hard negatives."""
    return (
        f"{share:.0%} of the hard negatives cannot be drawn: too few verbs of these videos take "
        "the same roles and modifiers. More videos help."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventCaption:
    """One event as the text tower will read it: its caption and the caption's tokens are uncut.

    Fillers are the roles and the scene that say something; carried are those that stand in full
    before the cut.
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
    keyed = [
        (record, *one)
        for record in annotations.records
        for annotation_idx in range(len(record.annotations))
        for one in _keyed_events(record, annotation_idx)
    ]
    for record, key, event in keyed:
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


def count_names(records: Sequence[VideoRecord]) -> list[str]:
    """How often annotations name each role and split, with what a slip may have meant."""
    events = [one for record in records for each in record.annotations for one in each.events]
    roles = Counter(role.name for event in events for role in event.roles)
    splits = Counter(record.split for record in records)
    counts = [f"{name} {count:,}" for name, count in roles.most_common(_SHOWN_ROLES)]
    counts += [f"{len(roles) - _SHOWN_ROLES:,} more"] if len(roles) > _SHOWN_ROLES else []
    listed = ", ".join(f"{name} {count:,}" for name, count in splits.most_common())
    lines = [f"Roles: {', '.join(counts) or 'none'}", f"Videos by split: {listed}"]
    for name, count in roles.items() if len(roles) <= _MOST_ROLES else ():
        frequent = [other for other, more in roles.items() if more >= 5 * count]
        if close := get_close_matches(name, frequent, n=1, cutoff=0.8):
            lines.append(f'Role "{name}" ({count:,}): did you mean "{close[0]}"?')
    for name in splits:
        if name != EVALUATED_SPLIT and get_close_matches(name, [EVALUATED_SPLIT]):
            lines.append(f'Split "{name}": `eval` looks for "{EVALUATED_SPLIT}"')
    return lines


def _num_carried(
    clauses: Sequence[str], count_tokens: Callable[[str], int], max_tokens: int
) -> int:
    """Clauses after the first that end before the cut."""
    num_carried = len(clauses) - 1
    while num_carried and count_tokens(", ".join(clauses[: num_carried + 1])) > max_tokens:
        num_carried -= 1
    return num_carried


def _keyed_events(record: VideoRecord, annotation_idx: int) -> list[tuple[str, Event]]:
    """The events of an annotation with their keys."""
    return [
        (event_key(record.id, annotation_idx=annotation_idx, event_idx=event_idx), event)
        for event_idx, event in enumerate(record.annotations[annotation_idx].events)
    ]
