"""All texts of a run, each once, and which rows belong to which event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from statistics import median

import numpy as np
from jaxtyping import Int64

from figclip.annotations.captions import (
    CaptionFrame,
    CaptionParts,
    Template,
    caption_clauses,
    caption_event,
    concept_phrases,
    text_hash,
    video_hash_of,
)
from figclip.annotations.counterfactuals import CounterfeitPools
from figclip.annotations.filler_negatives import build_filler_pool, filler_negatives
from figclip.annotations.splits import EVALUATED_SPLIT
from figclip.annotations.verb_negatives import build_sense_pool, negative_events, negative_senses
from figclip.config import NegativePolicy, TextConfig
from figclip.records import AnnotationSet, Event, VideoRecord, event_key
from figclip.runtime.garbage import uncollected

MASKED = -1
"""Row of a hard negative that could not be drawn."""

# VidSitu has thousands of roles: each verb's own, in which near names are no slips.
_SHOWN_ROLES, _MOST_ROLES = 12, 200

MASKED_WARNING = 0.4
"""Share of masked hard negatives to warn of. On VidSitu valid it is 0.27: what text alone would
give away is not drawn."""


@dataclass(frozen=True, slots=True)
class EventTexts:
    """Rows of one annotation's texts in the table.

    Those of each event's caption, of its hard negatives, and of the phrases that it is made of. The
    row of a negative or phrase is `MASKED` where there is none. Equal captions have equal hashes;
    `video_hash` is that of all, in whatever order.
    """

    caption_P: Int64[np.ndarray, " P"]
    negative_PK: Int64[np.ndarray, "P K"]
    concept_PC: Int64[np.ndarray, "P C"]
    hash_P: Int64[np.ndarray, " P"]
    video_hash: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRows:
    """Rows of the texts of N events, which belong to A annotations of B videos, all in order.

    `event_A` and `annotation_B` say where the events of an annotation, and the annotations of a
    video, begin; their last entry is where all end.
    """

    caption_N: Int64[np.ndarray, " N"]
    negative_NK: Int64[np.ndarray, "N K"]
    concept_NC: Int64[np.ndarray, "N C"]
    hash_N: Int64[np.ndarray, " N"]
    video_hash_A: Int64[np.ndarray, " A"]
    event_A: Int64[np.ndarray, " _"]
    annotation_B: Int64[np.ndarray, " _"]


Caption = Callable[[Event], str]
Negatives = Callable[[Event, VideoRecord, str], Sequence[str | None]]
Concepts = Callable[[Event], Sequence[str]]


def no_concepts(_: Event) -> tuple[str, ...]:
    """`Concepts` of a table that needs none."""
    return ()


class TextTable:
    """Captions and hard negatives of all annotations of all videos.

    `caption` renders an event; `negatives` are those of (event, its record, its key), None where
    masked, always the same number; `concepts` are the phrases of an event. `texts` has each text
    once; `rows` say whose they are.
    """

    def __init__(
        self,
        records: Iterable[VideoRecord],
        *,
        caption: Caption,
        negatives: Negatives,
        concepts: Concepts = no_concepts,
    ) -> None:
        row_of: dict[str, int] = {}
        captions: list[int] = []
        drawn: list[list[int]] = []
        phrases: list[list[int]] = []
        hashes: list[int] = []
        video_hashes: list[int] = []
        event_A, annotation_B = [0], [0]

        def row(text: str) -> int:
            return row_of.setdefault(text, len(row_of))

        with uncollected():
            for record in records:
                for annotation_idx in range(len(record.annotations)):
                    events = _keyed_events(record, annotation_idx)
                    texts = [caption(event) for _, event in events]
                    false = [negatives(event, record, key) for key, event in events]
                    drawn += [
                        [MASKED if one is None else row(one) for one in each] for each in false
                    ]
                    phrases += [[row(one) for one in concepts(event)] for _, event in events]
                    captions += map(row, texts)
                    own = [text_hash(text) for text in texts]
                    hashes += own
                    video_hashes.append(video_hash_of(own))
                    event_A.append(len(captions))
                annotation_B.append(len(video_hashes))
        self.texts: tuple[str, ...] = tuple(row_of)
        self.rows = TextRows(
            caption_N=np.array(captions, np.int64),
            negative_NK=np.array(drawn, np.int64).reshape(len(drawn), len(next(iter(drawn), ()))),
            concept_NC=_padded(phrases),
            hash_N=np.array(hashes, np.int64),
            video_hash_A=np.array(video_hashes, np.int64),
            event_A=np.array(event_A, np.int64),
            annotation_B=np.array(annotation_B, np.int64),
        )

    @classmethod
    def restore(cls, texts: tuple[str, ...], rows: TextRows) -> TextTable:
        """A table that was made before, of its parts."""
        table = cls.__new__(cls)
        table.texts, table.rows = texts, rows
        return table

    def event_texts(self, video_idx: int, annotation_idx: int) -> EventTexts:
        """Rows of an annotation's texts."""
        rows = self.rows
        annotation = int(rows.annotation_B[video_idx]) + annotation_idx
        events = slice(rows.event_A[annotation], rows.event_A[annotation + 1])
        return EventTexts(
            rows.caption_N[events],
            rows.negative_NK[events],
            rows.concept_NC[events],
            rows.hash_N[events],
            int(rows.video_hash_A[annotation]),
        )

    @property
    def num_annotations(self) -> Int64[np.ndarray, " B"]:
        """Annotations of each video."""
        return np.diff(self.rows.annotation_B)

    @property
    def num_events(self) -> int:
        """Events of all annotations."""
        return len(self.rows.caption_N)

    @property
    def most_events(self) -> Int64[np.ndarray, " B"]:
        """Events of the annotation of each video that has most."""
        return np.maximum.reduceat(np.diff(self.rows.event_A), self.rows.annotation_B[:-1])

    @property
    def masked_fraction(self) -> float:
        """Share of hard negatives that could not be drawn; 0 when none were asked for."""
        rows_NK = self.rows.negative_NK
        return int((rows_NK == MASKED).sum()) / rows_NK.size if rows_NK.size else 0.0


def build_text_table(
    records: Sequence[VideoRecord],
    *,
    template: Template,
    policy: NegativePolicy,
    verb_negatives: int,
    filler_negatives_per_event: int,
    seed: int,
    pools: CounterfeitPools | None = None,
    with_concepts: bool = False,
) -> TextTable:
    """Captions and hard negatives of a set of videos, which are also what these are drawn from.

    `pools` are those of the videos, where they are needed for more; None: what is needed is made.
    Events have their phrases in the table `with_concepts`.
    """
    senses = build_sense_pool(records) if pools is None else pools.senses
    fillers = None
    if filler_negatives_per_event:
        fillers = build_filler_pool(records) if pools is None else pools.fillers

    frames = [CaptionFrame(one.verb, one.role_names, template=template) for one in senses.frames]

    def draw(event: Event, record: VideoRecord, key: str) -> list[str | None]:
        drawn = negative_senses(
            event,
            video=record,
            pool=senses,
            policy=policy,
            num_negatives=verb_negatives,
            seed=seed,
            key=key,
        )
        # Not by `negative_events`: of an event, all but the verb is written the same each time.
        parts = CaptionParts(event, template=template)
        texts: list[str | None] = [parts.caption(frames[sense]) for sense in drawn]
        texts += [None] * (verb_negatives - len(drawn))
        if fillers is not None:
            others = filler_negatives(
                event,
                video=record,
                pool=fillers,
                num_negatives=filler_negatives_per_event,
                seed=seed,
                key=key,
            )
            texts += [
                None if one is None else caption_event(one, template=template) for one in others
            ]
        return texts

    return TextTable(
        records,
        caption=lambda event: caption_event(event, template=template),
        negatives=draw,
        concepts=concept_phrases if with_concepts else no_concepts,
    )


def masked_negatives(records: Sequence[VideoRecord]) -> float:
    """Share of hard negatives that the default settings cannot draw from these videos.

    As `TextTable.masked_fraction`, but nothing is put into words.
    """
    text, pool = TextConfig(), build_sense_pool(records)
    drawn = [
        len(
            negative_senses(
                event,
                video=record,
                pool=pool,
                policy=text.negative_policy,
                num_negatives=text.verb_negatives,
                seed=0,
                key=key,
            )
        )
        for record in records
        for annotation_idx in range(len(record.annotations))
        for key, event in _keyed_events(record, annotation_idx)
    ]
    total = text.verb_negatives * len(drawn)
    return (total - sum(drawn)) / total if total else 0.0


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


def _padded(rows: Sequence[Sequence[int]]) -> Int64[np.ndarray, "N C"]:
    """Rows of unequal length side by side, `MASKED` where one has ended."""
    padded_NC = np.full((len(rows), max(map(len, rows), default=0)), MASKED, np.int64)
    for idx, row in enumerate(rows):
        padded_NC[idx, : len(row)] = row
    return padded_NC


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
