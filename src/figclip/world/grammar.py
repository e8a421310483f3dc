"""Which situations there are: drawn evenly, alone or as the five events of a video.

About one of seven combinations of a verb and the kinds that take part is held out: training never
shows it, though it shows each of its words in other combinations.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from figclip.world.situations import (
    COLOURS,
    DIRECTIONS,
    KINDS,
    MANNERS,
    SCENES,
    SIZES,
    VERBS,
    Actor,
    Situation,
)

NUM_EVENTS = 5

Story = tuple[Situation, ...]
"""The `NUM_EVENTS` situations of a video, in their order."""

_HELD_OUT_MODULUS = 7
_REPEAT_RATE = 0.3
_VERB_NAMES = tuple(VERBS)


def actors_of(situation: Situation) -> tuple[Actor, ...]:
    """The agent, and the patient where there is one."""
    return (situation.agent, situation.patient) if situation.patient else (situation.agent,)


def is_held_out(situation: Situation) -> bool:
    """Whether its combination of verb and kinds is held out.

    Who of the two is the agent does not matter, nor do colours, sizes, direction, manner and
    scene: a situation and its role swap are both held out or both not.
    """
    return _holds_out(situation.verb, [actor.kind for actor in actors_of(situation)])


def sample_situation(rng: random.Random, *, held_out: bool | None) -> Situation:
    """Draws one situation; each fact is close to uniform, and colour exactly.

    Agent and patient differ in kind and in colour, so that each fact tells them apart.

    Args:
        rng: Where chance comes from.
        held_out: Only combinations that are held out, or that are not; None for all.
    """
    verb = rng.choice(_VERB_NAMES)
    num_actors = 1 + VERBS[verb].is_transitive
    kinds = rng.sample(KINDS, num_actors)
    while held_out is not None and _holds_out(verb, kinds) != held_out:
        kinds = rng.sample(KINDS, num_actors)
    return _situation(rng, verb=verb, actors=_actors(rng, kinds), scene=rng.choice(SCENES))


def sample_story(rng: random.Random, *, held_out: bool | None) -> Story:
    """Draws the events of a video: one scene, one cast of two or three, changing roles.

    Now and then the verb stays and the roles change: who chased is chased. Neighbouring events
    differ in the verb or in who does it to whom, all five in something.

    Args:
        rng: Where chance comes from.
        held_out: As for `sample_situation`, of every event.
    """
    cast = _actors(rng, rng.sample(KINDS, rng.choice((2, 3))))
    scene = rng.choice(SCENES)
    events: list[Situation] = []
    while len(events) < NUM_EVENTS:
        event = _next_event(rng, events, cast=cast, scene=scene)
        is_new = event not in events and (not events or _deed(event) != _deed(events[-1]))
        if is_new and (held_out is None or is_held_out(event) == held_out):
            events.append(event)
    return tuple(events)


def _holds_out(verb: str, kinds: Sequence[str]) -> bool:
    """The rule: a sum of places in the lists; 3 spreads the verbs over all remainders."""
    total = 3 * _VERB_NAMES.index(verb) + sum(KINDS.index(kind) for kind in kinds)
    return total % _HELD_OUT_MODULUS == 0


def _actors(rng: random.Random, kinds: Sequence[str]) -> list[Actor]:
    """One of each kind, no two of one colour."""
    colours = rng.sample(COLOURS, len(kinds))
    return [
        Actor(kind=kind, colour=colour, size=rng.choice(SIZES))
        for kind, colour in zip(kinds, colours, strict=True)
    ]


def _next_event(
    rng: random.Random, events: Sequence[Situation], *, cast: Sequence[Actor], scene: str
) -> Situation:
    """An event that may come next; whether it is new is not checked."""
    last = events[-1] if events else None
    if last is None or rng.random() >= _REPEAT_RATE:
        verb = rng.choice(_VERB_NAMES)
        actors = rng.sample(cast, 1 + VERBS[verb].is_transitive)
    elif last.patient is not None:
        verb, actors = last.verb, [last.patient, last.agent]
    else:
        verb, actors = last.verb, [rng.choice([actor for actor in cast if actor != last.agent])]
    return _situation(rng, verb=verb, actors=actors, scene=scene)


def _situation(rng: random.Random, *, verb: str, actors: Sequence[Actor], scene: str) -> Situation:
    """The deed with a direction and a manner."""
    return Situation(
        verb=verb,
        agent=actors[0],
        patient=actors[1] if len(actors) > 1 else None,
        direction=rng.choice(DIRECTIONS),
        manner=rng.choice(MANNERS),
        scene=scene,
    )


def _deed(event: Situation) -> tuple[str, Actor, Actor | None]:
    """Verb and roles."""
    return event.verb, event.agent, event.patient
