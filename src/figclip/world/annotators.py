"""What annotators write down of a video, in VidSitu's roles and each in their own words."""

from __future__ import annotations

import random
from collections.abc import Sequence

from figclip.world.situations import VERBS, Actor, Situation
from figclip.world.wording import PEOPLE, place_phrase

SCENE_ROLE = "Scene of the Event"

_ABSENT = "-"
_ABSENT_RATE = 0.04
_MISSING_RATE = 0.04

# Wording and how many of a hundred annotators choose it. All tell the kind, most the colour.
_ANIMAL_WORDINGS = {
    "{size} {colour} {kind}": 30,
    "the {size} {colour} {kind}": 12,
    "{colour} {kind}": 24,
    "the {colour} {kind}": 14,
    "{kind} in {colour}": 8,
    "{size} {kind}": 8,
    "{kind}": 4,
}
_PERSON_WORDINGS = {
    "{size} {kind} in {colour}": 30,
    "the {size} {kind} in {colour}": 12,
    "{kind} in {colour}": 26,
    "the {kind} in {colour}": 10,
    "{kind} wearing {colour}": 10,
    "{size} {kind}": 8,
    "{kind}": 4,
}
_DIRECTION_WORDINGS = ("{}", "to the {}", "towards the {}")
_MANNER_WORDINGS = ("{}", "{}", "very {}")
_SCENE_WORDINGS = ("{scene}", "the {scene}", "{place}")


def annotate(story: Sequence[Situation], rng: random.Random) -> tuple[dict[str, str], ...]:
    """The roles of each event as one annotator fills them.

    An annotator calls the same actor and place the same all through the video, as VidSitu asks
    for. Now and then a direction or manner is `-` or missing, a scene `-`; roles that the scorer of
    VidSitu compares between annotators are always there.

    Args:
        story: The events of a video.
        rng: The annotator.

    Returns:
        For each event its `Args`: from `Arg0 (chaser)`, … to the text, in VidSitu's order.
    """
    names: dict[Actor, str] = {}
    scene_wording = rng.choice(_SCENE_WORDINGS)
    return tuple(
        _event_roles(situation, rng, names=names, scene_wording=scene_wording)
        for situation in story
    )


def _event_roles(
    situation: Situation, rng: random.Random, *, names: dict[Actor, str], scene_wording: str
) -> dict[str, str]:
    """The roles of one event; `names` gets those who are new."""
    verb, scene = VERBS[situation.verb], situation.scene
    roles = {f"Arg0 ({verb.agent_role})": _name(situation.agent, names, rng)}
    if situation.patient is not None:
        roles[f"Arg1 ({verb.patient_role})"] = _name(situation.patient, names, rng)
    modifiers = {"manner": rng.choice(_MANNER_WORDINGS).format(situation.manner)}
    if verb.moves:
        direction = rng.choice(_DIRECTION_WORDINGS).format(situation.direction)
        modifiers = {"direction": direction, **modifiers}
    for name, text in modifiers.items():
        if rng.random() >= _MISSING_RATE:
            roles[f"ArgM ({name})"] = _or_dash(text, rng)
    place = scene_wording.format(scene=scene, place=place_phrase(scene))
    return {**roles, SCENE_ROLE: _or_dash(place, rng)}


def _name(actor: Actor, names: dict[Actor, str], rng: random.Random) -> str:
    """What the annotator calls the actor, chosen when first seen."""
    if actor not in names:
        wordings = _PERSON_WORDINGS if actor.kind in PEOPLE else _ANIMAL_WORDINGS
        (wording,) = rng.choices(list(wordings), weights=list(wordings.values()))
        names[actor] = wording.format(size=actor.size, colour=actor.colour, kind=actor.kind)
    return names[actor]


def _or_dash(text: str, rng: random.Random) -> str:
    """The text, or the dash that real annotations have where there is none."""
    return _ABSENT if rng.random() < _ABSENT_RATE else text
