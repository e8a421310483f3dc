"""Hard negatives that put another verb sense, with its own role names, in place of an event's verb.

Nouns, direction, manner and scene stay, so that only the verb and its roles tell true from false.
A negative depends on the event, the pool of senses, the seed and the event's key only: the order in
which events are asked for does not matter, and texts can be cached for a whole run.

A verb decides what its roles are called and which modifiers it takes: in VidSitu every sense has
its own list. A negative that keeps an event's modifiers under another sense can therefore be told
from a true caption by that combination alone (`run` without a goal, `rise` instead of `fall`). So
senses are exchanged only among events of the same shape, and in numbers that balance.

Also here: the pool of verb senses of an annotated set (their role names, and how often they occur),
and the single edits of an event that other tests build on (exchange two roles, replace a filler).
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float64

from figclip.annotations.captions import text_hash, trimmed_role_name
from figclip.annotations.roles import filled_roles, filled_slots, told_text
from figclip.config import NegativePolicy
from figclip.records import MODIFIER_SLOT, Event, Role, VideoRecord

_NUM_ROUNDS = 100
"""On VidSitu valid the shares then fill 72.8 % of the places, which is the most that can be
(linear programme: 72.8 %, 2026-11-28)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventShape:
    """What a caption shows of an event besides its words: what says something of it."""

    slots: frozenset[str]
    modifiers: frozenset[str]
    has_scene: bool


def event_shape(event: Event) -> EventShape:
    """The shape of an event."""
    told = [role for role in event.roles if told_text(role.text)]
    return _shape(
        tuple([role.slot for role in told if role.slot != MODIFIER_SLOT]),
        tuple([role.name for role in told if role.slot == MODIFIER_SLOT]),
        bool(told_text(event.scene)),
    )


@lru_cache(maxsize=8192)
def _shape(slots: tuple[str, ...], modifiers: tuple[str, ...], has_scene: bool) -> EventShape:
    """A shape; there are few, and their sets remember their hashes."""
    return EventShape(
        slots=frozenset(slots),
        modifiers=frozenset(map(trimmed_role_name, modifiers)),
        has_scene=has_scene,
    )


@dataclass(frozen=True)
class SenseExchange:
    """The exchange among the senses of the events of one shape.

    Attributes:
        senses: Position of each in the pool, ascending. S of them.
        share_SS: Row: the true sense; column: the share of its negatives that get this sense. What
            a row lacks to 1 has no negative.
        count_S: Events of each sense.
    """

    senses: tuple[int, ...]
    share_SS: Float64[np.ndarray, "S S"]
    count_S: Float64[np.ndarray, " S"]

    def shares_for(self, sense: int) -> SenseShares:
        """Share of each sense among the negatives of a true one, sense by position in the pool.

        A sense that no event of the pool has in this shape gets the others as often as they occur.
        """
        position = self.position_of.get(sense)
        if position not in self._shares:
            row_S = self.count_S / self.count_S.sum()
            row_S = row_S if position is None else self.share_SS[position]
            self._shares[position] = SenseShares(row_S, sum(row_S.tolist()))
        return self._shares[position]

    @cached_property
    def position_of(self) -> Mapping[int, int]:
        """Position of each sense in `senses`."""
        return {sense: position for position, sense in enumerate(self.senses)}

    @cached_property
    def _shares(self) -> dict[int | None, SenseShares]:
        """Shares that were asked for, by position of the true sense; None for those without one."""
        return {}


@dataclass(frozen=True, slots=True)
class SenseShares:
    """Shares of the senses of an exchange, in their order, and their sum."""

    share_S: Float64[np.ndarray, " S"]
    filled: float


def balance_senses(counts: Mapping[int, int], excluded: Sequence[frozenset[int]]) -> SenseExchange:
    """Exchange the senses of one shape, which have so many events, by position in the pool.

    Every event gives its place to at most one sense (times K), and every sense takes at most as
    many places as it has events; under these bounds as many places are filled as can be, as evenly
    as can be. A sense with more events than all that may replace it (`talk`) leaves places empty.
    `excluded` are those that may not stand in for each, itself too, in the order of `counts`.

    Source:
        Iterative proportional fitting (Sinkhorn and Knopp 1967), with rows that may fall short.
    """
    senses = tuple(counts)
    count_S = np.array([counts[sense] for sense in senses], np.float64)
    may_SS: Bool[np.ndarray, "S S"] = np.array(
        [[other not in row for other in senses] for row in excluded], bool
    ).reshape(len(senses), len(senses))
    places_SS = may_SS * count_S[:, None] * count_S
    for _ in range(_NUM_ROUNDS):
        places_SS = places_SS * _factors(count_S, places_SS.sum(axis=0))
        # Rows only shrink, so that no column passes its bound again.
        places_SS = places_SS * np.minimum(1, _factors(count_S, places_SS.sum(axis=1)))[:, None]
    return SenseExchange(senses, places_SS / count_S[:, None], count_S)


def _factors(
    wanted_S: Float64[np.ndarray, " S"], found_S: Float64[np.ndarray, " S"]
) -> Float64[np.ndarray, " S"]:
    """What to multiply by; 1 where there is nothing to multiply."""
    return np.divide(wanted_S, found_S, out=np.ones_like(wanted_S), where=found_S > 0)


Kind = TypeVar("Kind", frozenset[str], EventShape)


SenseKey = tuple[str, str, str]
"""Verb, gloss and sense. Annotations may lack the gloss or the identifier, so all three."""


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
            (one.verb, one.gloss, one.sense): position for position, one in enumerate(self.frames)
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

        Keys are positions in `frames`, ascending.
        """
        members = enumerate(zip(self.frames, self.counts, strict=True))
        return {
            position: count
            for position, (frame, count) in members
            if slots <= frame.role_names.keys()
        }


def build_sense_pool(records: Iterable[VideoRecord]) -> SensePool:
    """Collect the senses of all events of all annotations."""
    shaped: Counter[tuple[EventShape, SenseKey]] = Counter()
    named: Counter[tuple[SenseKey, tuple[tuple[str, str], ...]]] = Counter()
    annotations = (annotation for record in records for annotation in record.annotations)
    for event in (event for annotation in annotations for event in annotation.events):
        key = sense_key(event)
        shaped[event_shape(event), key] += 1
        slots = [(one.slot, one.name) for one in event.roles if one.slot != MODIFIER_SLOT]
        named[key, tuple(slots)] += 1
    counts: Counter[SenseKey] = Counter()
    filled: Counter[tuple[frozenset[str], SenseKey]] = Counter()
    for (shape, key), count in shaped.items():
        counts[key] += count
        filled[shape.slots, key] += count
    names: defaultdict[SenseKey, defaultdict[str, Counter[str]]]
    names = defaultdict(lambda: defaultdict(Counter))
    for (key, slots), count in named.items():
        for slot, name in slots:
            names[key][slot][name] += count
    keys = sorted(counts)
    return SensePool(
        frames=tuple(_frame(key, names[key]) for key in keys),
        counts=tuple(counts[key] for key in keys),
        counts_by_slots=_counts_by(filled, keys),
        counts_by_shape=_counts_by(shaped, keys),
    )


def sense_key(event: Event) -> SenseKey:
    """The sense of an event's verb."""
    return event.verb, event.gloss, event.sense


@lru_cache(maxsize=8192)
def normalised(text: str) -> str:
    """Verbs and glosses are equal when case-folded and with single spaces they are."""
    return " ".join(text.split()).casefold()


def _frame(key: SenseKey, names: Mapping[str, Counter[str]]) -> SenseFrame:
    """The sense with its most frequent role names; the alphabet decides between equals."""
    role_names = {
        slot: min(names[slot], key=lambda name: (-names[slot][name], name))
        for slot in sorted(names)
    }
    verb, gloss, sense = key
    return SenseFrame(verb=verb, gloss=gloss, sense=sense, role_names=role_names)


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


def replace_verb(event: Event, frame: SenseFrame) -> Event:
    """The event with another verb sense, which names the numbered roles slot by slot.

    Modifiers, scene and the order of the roles stay. Roles in a slot that the sense lacks go: a
    caption that is shorter for it gives the negative away, see `negatives.negative_events`.
    """
    roles = (
        role if role.is_modifier else replace(role, name=frame.role_names[role.slot])
        for role in event.roles
        if role.is_modifier or role.slot in frame.role_names
    )
    return replace(event, verb=frame.verb, gloss=frame.gloss, sense=frame.sense, roles=tuple(roles))


def role_swap(event: Event) -> Event | None:
    """The event with who and whom exchanged: `the biter is man, the bitten is dog`.

    Texts of Arg0 and Arg1 change places; where one of them is missing or says nothing, those of
    the first two numbered roles that say something. For evaluation only, never for training.

    None when it has no two such roles, or both say the same.
    """
    roles = list(filled_roles(event))
    pair = _swappable_pair(roles)
    if pair is None:
        return None
    first, second = pair
    texts = roles[first].text, roles[second].text
    if text_hash(texts[0]) == text_hash(texts[1]):
        return None
    roles[first] = replace(roles[first], text=texts[1])
    roles[second] = replace(roles[second], text=texts[0])
    return replace(event, roles=tuple(roles))


def replace_filler(event: Event, position: int, text: str) -> Event:
    """The event with another text in one of its roles, or another scene.

    A position one past the last role means the scene.
    """
    if position == len(event.roles):
        return replace(event, scene=text)
    roles = list(event.roles)
    roles[position] = replace(roles[position], text=text)
    return replace(event, roles=tuple(roles))


def _swappable_pair(roles: Sequence[Role]) -> tuple[int, int] | None:
    """Positions of Arg0 and Arg1, else of the first two numbered roles."""
    numbered = [position for position, role in enumerate(roles) if not role.is_modifier]
    core = {roles[position].slot: position for position in reversed(numbered)}
    if "Arg0" in core and "Arg1" in core:
        return core["Arg0"], core["Arg1"]
    return (numbered[0], numbered[1]) if len(numbered) >= 2 else None


_NOT_IN_POOL = -1


def negative_events(
    event: Event,
    *,
    video: VideoRecord,
    pool: SensePool,
    policy: NegativePolicy,
    num_negatives: int,
    seed: int,
    key: str,
) -> tuple[Event | None, ...]:
    """Draw the hard negatives of one event.

    `balanced` draws senses so that the text alone does not tell which is which: among events of the
    same shape (slots, modifiers, scene), with replacement, in shares that make every sense as often
    false as it is true (`balance_senses`). Columns are masked where nothing is left to
    exchange: on VidSitu valid 27 %, `talk` and `speak` above all.

    `matched` draws among events that fill the same numbered slots, in proportion to their number,
    with replacement. A pool with fewer than K such senses gives one draw for each, then one for
    each further sense that names all filled slots; columns beyond are masked. Few are, but pairs of
    a sense with the modifiers it takes tell (VidSitu: AUC 0.92; `balanced` 0.56).

    `uniform` draws every sense as likely, none twice; the papers' way. It leaks the label: half of
    the senses lack a role that the event fills, and most are rare.

    All leave out every verb of the video, by whichever annotator: no negative is a true caption.
    The first two also leave out senses with the gloss of the event's own (`talk (speak)` for
    `speak (speak)` would be true). `benchmarks/negative_leakage.py` measures all.

    `key` names the event (`records.event_key`) and is unique in the run.

    None among the K events marks a masked column; these come last.
    """
    drawn = negative_senses(
        event,
        video=video,
        pool=pool,
        policy=policy,
        num_negatives=num_negatives,
        seed=seed,
        key=key,
    )
    negatives = [replace_verb(event, pool.frames[sense]) for sense in drawn]
    return (*negatives, *[None] * (num_negatives - len(negatives)))


def negative_senses(
    event: Event,
    *,
    video: VideoRecord,
    pool: SensePool,
    policy: NegativePolicy,
    num_negatives: int,
    seed: int,
    key: str,
) -> list[int]:
    """As `negative_events`: the senses that they have, by position in the pool; masked are none."""
    rng = random.Random(event_seed(seed, key))
    excluded = _senses_of_video(video, pool)
    if policy == "uniform":
        candidates = [sense for sense in range(len(pool.frames)) if sense not in excluded]
        return rng.sample(candidates, min(num_negatives, len(candidates)))
    if gloss := normalised(event.gloss):
        excluded |= pool.senses_by_gloss.get(gloss, frozenset())
    if policy == "balanced":
        return _balanced_senses(event, excluded, pool, num_negatives, rng)
    return _matched_senses(filled_slots(event), excluded, pool, num_negatives, rng)


def event_seed(seed: int, key: str) -> int:
    """Seed of one event's own random numbers, the same in every process.

    Python's own `hash` differs from process to process.
    """
    return int.from_bytes(hashlib.blake2b(f"{seed}/{key}".encode(), digest_size=8).digest())


def _balanced_senses(
    event: Event, excluded: set[int], pool: SensePool, num_draws: int, rng: random.Random
) -> list[int]:
    """Senses drawn by their share of the exchange; fewer where it leaves places empty."""
    exchange = pool.exchanges.get(event_shape(event))
    if exchange is None:
        return []
    shares = exchange.shares_for(pool.position_of.get(sense_key(event), _NOT_IN_POOL))
    position_of, allowed_S = exchange.position_of, shares.share_S.copy()
    allowed_S[[position_of[sense] for sense in excluded if sense in position_of]] = 0
    below_S = allowed_S.cumsum()
    total = float(below_S[-1])
    if not total:
        return []
    # What the video's own verbs would have taken goes to the others.
    num_filled = sum(rng.random() < shares.filled for _ in range(num_draws))
    # As `rng.choices`, which would add up hundreds of shares for each event in Python.
    drawn = [rng.random() * total for _ in range(num_filled)]
    return [exchange.senses[i] for i in below_S.searchsorted(drawn, side="right").tolist()]


def _matched_senses(
    slots: frozenset[str], excluded: set[int], pool: SensePool, num_draws: int, rng: random.Random
) -> list[int]:
    """Senses drawn by frequency: of the same filled slots first, then covering ones."""
    same = _without(pool.counts_by_slots.get(slots, {}), excluded)
    drawn = _draw(same, min(num_draws, len(same)), rng)
    if len(drawn) == num_draws:
        return drawn
    covering = _without(pool.covering(slots), excluded | same.keys())
    return drawn + _draw(covering, min(num_draws - len(drawn), len(covering)), rng)


def _draw(counts: Mapping[int, int], num_draws: int, rng: random.Random) -> list[int]:
    """Draw in proportion to the counts, with replacement."""
    return rng.choices(list(counts), list(counts.values()), k=num_draws) if num_draws else []


def _without(counts: Mapping[int, int], excluded: set[int]) -> dict[int, int]:
    return {sense: count for sense, count in counts.items() if sense not in excluded}


def _senses_of_video(video: VideoRecord, pool: SensePool) -> set[int]:
    """All senses of the verbs that any annotator gave to any event of the video."""
    verbs = {normalised(one.verb) for annotation in video.annotations for one in annotation.events}
    return {sense for verb in verbs for sense in pool.senses_by_verb.get(verb, ())}
