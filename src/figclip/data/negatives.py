"""Hard negatives: another verb sense, with its own role names, in place of an event's own.

Nouns, direction, manner and scene stay, so that only the verb and its roles tell true from false.
Negatives are a pure function of the event, the pool, the seed and the event's key: the order in
which events are asked for does not matter, and texts can be cached for a whole run.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping

from figclip.config import NegativePolicy
from figclip.data.captions import Template, caption_event
from figclip.data.event_edits import replace_verb
from figclip.data.fillers import filled_slots
from figclip.data.sense_exchange import event_shape
from figclip.data.sense_pool import SensePool, normalised, sense_key
from figclip.records import Event, VideoRecord

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
    false as it is true (`data.sense_exchange`). Columns are masked where nothing is left to
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

    Args:
        event: The true event.
        video: The video that it belongs to, whose verbs are not drawn.
        pool: Senses to draw from.
        policy: How senses are drawn, see above.
        num_negatives: K, >= 0.
        seed: Seed of the run.
        key: Name of the event (`records.event_key`), unique in the run.

    Returns:
        K events; None marks a masked column, these come last.
    """
    rng = random.Random(event_seed(seed, key))
    excluded = _senses_of_video(video, pool)
    if policy == "uniform":
        candidates = [sense for sense in range(len(pool.frames)) if sense not in excluded]
        drawn = rng.sample(candidates, min(num_negatives, len(candidates)))
    else:
        if gloss := normalised(event.gloss):
            excluded |= pool.senses_by_gloss.get(gloss, frozenset())
        if policy == "balanced":
            drawn = _balanced_senses(event, excluded, pool, num_negatives, rng)
        else:
            drawn = _matched_senses(filled_slots(event), excluded, pool, num_negatives, rng)
    negatives = [replace_verb(event, pool.frames[sense]) for sense in drawn]
    return (*negatives, *[None] * (num_negatives - len(negatives)))


def hard_negatives(
    event: Event,
    *,
    video: VideoRecord,
    pool: SensePool,
    policy: NegativePolicy,
    template: Template,
    num_negatives: int,
    seed: int,
    key: str,
) -> tuple[str | None, ...]:
    """The captions of `negative_events`.

    Args:
        event: The true event.
        video: The video that it belongs to, whose verbs are not drawn.
        pool: Senses to draw from.
        policy: See `negative_events`.
        template: Wording, that of the true caption.
        num_negatives: K, >= 0.
        seed: Seed of the run.
        key: Name of the event (`records.event_key`), unique in the run.

    Returns:
        K captions; None marks a masked column, these come last.
    """
    events = negative_events(
        event,
        video=video,
        pool=pool,
        policy=policy,
        num_negatives=num_negatives,
        seed=seed,
        key=key,
    )
    return tuple(None if one is None else caption_event(one, template=template) for one in events)


def event_seed(seed: int, key: str) -> int:
    """Seed of one event's own random numbers, the same in every process.

    Args:
        seed: Seed of the run.
        key: Name of the event.

    Returns:
        A 64-bit integer. Python's own `hash` differs from process to process.
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
    allowed = {sense: share for sense, share in shares.items() if sense not in excluded}
    if not any(allowed.values()):
        return []
    # What the video's own verbs would have taken goes to the others.
    filled = sum(shares.values())
    num_filled = sum(rng.random() < filled for _ in range(num_draws))
    return rng.choices(list(allowed), list(allowed.values()), k=num_filled)


def _matched_senses(
    slots: frozenset[str],
    excluded: set[int],
    pool: SensePool,
    num_draws: int,
    rng: random.Random,
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
    if num_draws == 0:
        return []
    return rng.choices(list(counts), weights=list(counts.values()), k=num_draws)


def _without(counts: Mapping[int, int], excluded: set[int]) -> dict[int, int]:
    return {sense: count for sense, count in counts.items() if sense not in excluded}


def _senses_of_video(video: VideoRecord, pool: SensePool) -> set[int]:
    """All senses of the verbs that any annotator gave to any event of the video."""
    verbs = {normalised(one.verb) for annotation in video.annotations for one in annotation.events}
    senses: set[int] = set()
    for verb in verbs:
        senses |= pool.senses_by_verb.get(verb, frozenset())
    return senses
