"""Situations with one thing changed: what makes a sentence false, and the picture it is true of."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, TypeVar

from figclip.world.grammar import actors_of
from figclip.world.situations import COLOURS, DIRECTIONS, KINDS, MANNERS, SCENES, VERBS, Situation
from figclip.world.wording import Fact

EditKind = Literal[
    "role_swap", "attribute_swap", "verb", "direction", "manner", "kind", "colour", "scene"
]

_Value = TypeVar("_Value")


def can_edit(situation: Situation, kind: EditKind) -> bool:
    """Whether there is something to change: swaps need a patient, a direction needs a movement."""
    if kind in ("role_swap", "attribute_swap"):
        return situation.patient is not None
    return kind != "direction" or VERBS[situation.verb].moves


def edit(situation: Situation, kind: EditKind, rng: random.Random) -> Situation:
    """The situation with one thing changed, all else kept.

    The same style tells both in the same words but for what was changed (and the `in` before a
    person's colour). The change can be undone by an edit of the same kind. Agent and patient still
    differ in kind and colour.

    Args:
        situation: One that `can_edit`.
        kind: `role_swap` exchanges agent and patient, `attribute_swap` their colours; the others
            put something else in. A verb is replaced by one of as many actors that moves as well
            or does not either; `kind` and `colour` change one of the actors.
        rng: Chooses what to put in.
    """
    assert can_edit(situation, kind), f"{situation} has no {kind}"
    return _EDITS[kind](situation, rng)


def facts_to_tell(kind: EditKind) -> frozenset[Fact]:
    """What a short sentence tells that an edit of this kind makes false: colours, and the fact."""
    if kind == "direction" or kind == "manner" or kind == "scene":
        return frozenset({"colour", kind})
    return frozenset({"colour"})


def _swap_roles(situation: Situation, rng: random.Random) -> Situation:
    """Who did it is now the one it is done to."""
    assert situation.patient is not None
    return replace(situation, agent=situation.patient, patient=situation.agent)


def _swap_colours(situation: Situation, rng: random.Random) -> Situation:
    """Each has the other's colour."""
    agent, patient = situation.agent, situation.patient
    assert patient is not None
    return replace(
        situation,
        agent=replace(agent, colour=patient.colour),
        patient=replace(patient, colour=agent.colour),
    )


def _replace_verb(situation: Situation, rng: random.Random) -> Situation:
    """Another deed of the same shape."""
    verb = VERBS[situation.verb]
    shape = (verb.is_transitive, verb.moves)
    names = [name for name, one in VERBS.items() if (one.is_transitive, one.moves) == shape]
    return replace(situation, verb=_another(names, [situation.verb], rng))


def _replace_direction(situation: Situation, rng: random.Random) -> Situation:
    """The other way."""
    return replace(situation, direction=_another(DIRECTIONS, [situation.direction], rng))


def _replace_manner(situation: Situation, rng: random.Random) -> Situation:
    """Another manner."""
    return replace(situation, manner=_another(MANNERS, [situation.manner], rng))


def _replace_scene(situation: Situation, rng: random.Random) -> Situation:
    """Another place."""
    return replace(situation, scene=_another(SCENES, [situation.scene], rng))


def _replace_kind(situation: Situation, rng: random.Random) -> Situation:
    """Someone else of the same colour and size in one of the roles."""
    kind = _another(KINDS, [actor.kind for actor in actors_of(situation)], rng)
    return _replace_in_one(situation, "kind", kind, rng)


def _replace_colour(situation: Situation, rng: random.Random) -> Situation:
    """One of the actors in a new colour."""
    colour = _another(COLOURS, [actor.colour for actor in actors_of(situation)], rng)
    return _replace_in_one(situation, "colour", colour, rng)


def _replace_in_one(
    situation: Situation, field: Literal["kind", "colour"], value: str, rng: random.Random
) -> Situation:
    """The situation with another kind or colour of the agent or the patient."""
    if situation.patient is not None and rng.random() < 0.5:
        return replace(situation, patient=replace(situation.patient, **{field: value}))
    return replace(situation, agent=replace(situation.agent, **{field: value}))


def _another(values: Sequence[_Value], present: Sequence[_Value], rng: random.Random) -> _Value:
    """One of the values that is not there yet."""
    return rng.choice([value for value in values if value not in present])


_EDITS: dict[EditKind, Callable[[Situation, random.Random], Situation]] = {
    "role_swap": _swap_roles,
    "attribute_swap": _swap_colours,
    "verb": _replace_verb,
    "direction": _replace_direction,
    "manner": _replace_manner,
    "kind": _replace_kind,
    "colour": _replace_colour,
    "scene": _replace_scene,
}
