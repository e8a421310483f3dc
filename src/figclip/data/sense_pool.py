"""Verb senses of an annotated set, with the role names they use and how often they occur."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from figclip.data.fillers import filled_slots
from figclip.data.sense_exchange import EventShape, SenseExchange, balance_senses, event_shape
from figclip.records import Event, VideoRecord

Kind = TypeVar("Kind", frozenset[str], EventShape)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SenseKey:
    """What tells senses apart. Annotations may lack the gloss or the identifier, so all three."""

    verb: str
    gloss: str
    sense: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SenseFrame:
    """A verb sense and what it calls its numbered roles.

    Attributes:
        verb: The bare verb: `deflect`.
        gloss: `block, avoid`; may be empty.
        sense: `deflect.01`; may be empty.
        role_names: From slot (`Arg0`) to the name most often used for it (`deflector`), in the
            order of the slots. Slots are listed even where no annotator filled them.
    """

    verb: str
    gloss: str
    sense: str
    role_names: Mapping[str, str]


@dataclass(frozen=True)
class SensePool:
    """All senses of a set of videos, for drawing verbs in place of an event's own.

    The same events in another order give an equal pool.

    Attributes:
        frames: Sorted by verb, gloss and sense. Other members name senses by position in it.
        counts: Events of each sense, beside `frames`.
        counts_by_slots: For each set of filled numbered slots, the senses of the events that fill
            exactly these, with their number of events; ascending positions.
        counts_by_shape: The same for each shape of events.
    """

    frames: tuple[SenseFrame, ...]
    counts: tuple[int, ...]
    counts_by_slots: Mapping[frozenset[str], Mapping[int, int]]
    counts_by_shape: Mapping[EventShape, Mapping[int, int]]

    @cached_property
    def position_of(self) -> Mapping[SenseKey, int]:
        """Position of each sense in `frames`."""
        return {
            SenseKey(verb=frame.verb, gloss=frame.gloss, sense=frame.sense): position
            for position, frame in enumerate(self.frames)
        }

    @cached_property
    def exchanges(self) -> Mapping[EventShape, SenseExchange]:
        """For each shape, which senses stand in for which."""
        return {
            shape: balance_senses(counts, [self.alike(sense) for sense in counts])
            for shape, counts in self.counts_by_shape.items()
        }

    @cached_property
    def senses_by_verb(self) -> Mapping[str, frozenset[int]]:
        """From a verb, as `normalised` writes it, to its senses."""
        return _positions_by(normalised(frame.verb) for frame in self.frames)

    @cached_property
    def senses_by_gloss(self) -> Mapping[str, frozenset[int]]:
        """From a gloss, as `normalised` writes it, to the senses that share it."""
        return _positions_by(normalised(frame.gloss) for frame in self.frames)

    def alike(self, sense: int) -> frozenset[int]:
        """Senses of the same verb or the same gloss (`talk (speak)`, `speak (speak)`)."""
        frame = self.frames[sense]
        alike = self.senses_by_verb[normalised(frame.verb)]
        gloss = normalised(frame.gloss)
        return alike | self.senses_by_gloss[gloss] if gloss else alike

    def covering(self, slots: frozenset[str]) -> dict[int, int]:
        """Senses that have a name for every one of the slots, with their number of events.

        Args:
            slots: Numbered slots.

        Returns:
            From the position in `frames` to the count, ascending positions.
        """
        members = enumerate(zip(self.frames, self.counts, strict=True))
        return {
            position: count
            for position, (frame, count) in members
            if slots <= frame.role_names.keys()
        }


def build_sense_pool(records: Iterable[VideoRecord]) -> SensePool:
    """Collect the senses of all events of all annotations.

    Args:
        records: The videos whose verbs may be drawn; normally those that are trained on.

    Returns:
        The pool. Empty when no record has events.
    """
    counts: Counter[SenseKey] = Counter()
    names: defaultdict[SenseKey, defaultdict[str, Counter[str]]]
    names = defaultdict(lambda: defaultdict(Counter))
    filled: Counter[tuple[frozenset[str], SenseKey]] = Counter()
    shaped: Counter[tuple[EventShape, SenseKey]] = Counter()
    for event in _events(records):
        key = sense_key(event)
        counts[key] += 1
        filled[filled_slots(event), key] += 1
        shaped[event_shape(event), key] += 1
        for role in event.roles:
            if not role.is_modifier:
                names[key][role.slot][role.name] += 1
    keys = sorted(counts)
    return SensePool(
        frames=tuple(_frame(key, names[key]) for key in keys),
        counts=tuple(counts[key] for key in keys),
        counts_by_slots=_counts_by(filled, keys),
        counts_by_shape=_counts_by(shaped, keys),
    )


def sense_key(event: Event) -> SenseKey:
    """The sense of an event's verb."""
    return SenseKey(verb=event.verb, gloss=event.gloss, sense=event.sense)


def normalised(text: str) -> str:
    """Verbs and glosses are equal when case-folded and with single spaces they are."""
    return " ".join(text.split()).casefold()


def _events(records: Iterable[VideoRecord]) -> Iterable[Event]:
    for record in records:
        for annotation in record.annotations:
            yield from annotation.events


def _frame(key: SenseKey, names: Mapping[str, Counter[str]]) -> SenseFrame:
    """The sense with its most frequent role names; the alphabet decides between equals."""
    role_names = {
        slot: min(names[slot], key=lambda name: (-names[slot][name], name))
        for slot in sorted(names)
    }
    return SenseFrame(
        verb=key.verb,
        gloss=key.gloss,
        sense=key.sense,
        role_names=role_names,
    )


def _counts_by(
    counts: Mapping[tuple[Kind, SenseKey], int], keys: Sequence[SenseKey]
) -> dict[Kind, dict[int, int]]:
    """Counts of senses by what comes first, senses by ascending position in the keys."""
    position_of = {key: position for position, key in enumerate(keys)}
    by_kind: defaultdict[Kind, dict[int, int]] = defaultdict(dict)
    for (kind, key), count in sorted(counts.items(), key=lambda item: position_of[item[0][1]]):
        by_kind[kind][position_of[key]] = count
    return dict(by_kind)


def _positions_by(texts: Iterable[str]) -> Mapping[str, frozenset[int]]:
    positions: defaultdict[str, set[int]] = defaultdict(set)
    for position, text in enumerate(texts):
        positions[text].add(position)
    return {text: frozenset(members) for text, members in positions.items()}
