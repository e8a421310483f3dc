"""Sparse captions of stills, as web text has them: one to three facts, order seldom needed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from figclip.world.grammar import actors_of
from figclip.world.situations import VERBS, Actor, Situation
from figclip.world.wording import (
    PEOPLE,
    VERB_FORMS,
    Fact,
    noun_phrase,
    place_phrase,
    with_article,
)

# Who acts on whom is told by few captions, and by those in either order.
AGENT_FIRST_RATE = 0.45
"""Share of captions of two actors that name the agent first."""

_MAX_FACTS = 3
_SHAPES = {"someone": 36, "pair": 16, "place": 12, "deed": 18, "tags": 18}
_OPENINGS = (
    *("a photo of {}", "a picture of {}", "here is {}", "this is {}", "look at {}"),
    *("we can see {}", "there is {}", "{} today", "{}, nice", "{}, free picture"),
)
_OPENING_RATE = 0.25
_PLACES = ("the {scene}", "{scene}", "a day {place}", "{scene} picture", "somewhere {place}")
_SNOWY = "snowy day"


def web_caption(situation: Situation, rng: random.Random) -> str:
    """One caption of a still of the situation; another draw may tell other facts.

    A fact is a kind, colour, size, verb, direction, manner or scene. `a red cat in the park`,
    `dog chasing`, `snowy day`, `two animals`, `rabbit, street`. A fifth name the verb; where there
    are two actors, one in forty says who does it to whom.

    Args:
        situation: What is seen.
        rng: The writer.
    """
    (shape,) = rng.choices(list(_SHAPES), weights=list(_SHAPES.values()))
    if shape == "tags":
        return _tags(situation, rng)
    if shape == "deed":
        return _deed(situation, rng)
    if shape == "place":
        text = _place(situation.scene, rng)
    elif shape == "pair" and situation.patient is not None:
        text = _pair(situation, rng)
    else:
        text = _someone(situation, rng)
    if text.startswith(("a ", "an ", "the ", "two ")) and rng.random() < _OPENING_RATE:
        return rng.choice(_OPENINGS).format(text)
    return text


def _place(scene: str, rng: random.Random) -> str:
    """The scene alone."""
    if scene == "snow" and rng.random() < 0.3:
        return _SNOWY
    return rng.choice(_PLACES).format(scene=scene, place=place_phrase(scene))


def _someone(situation: Situation, rng: random.Random) -> str:
    """One of the actors, perhaps with colour, size and place."""
    actor = rng.choice(actors_of(situation))
    tells = _looks(rng, colour_rate=0.6, size_rate=0.2)
    phrase = noun_phrase(actor, tells=tells)
    text = with_article(phrase) if rng.random() < 0.7 else phrase
    has_room = 1 + len(tells) < _MAX_FACTS
    return f"{text} {place_phrase(situation.scene)}" if has_room and rng.random() < 0.4 else text


def _pair(situation: Situation, rng: random.Random) -> str:
    """Both actors, nothing said of what they do."""
    first, second = _in_some_order(situation, rng)
    extra = rng.choice(("", "", "colour", "place"))
    place = f" {place_phrase(situation.scene)}" if extra == "place" else ""
    if rng.random() < 0.2:
        return _group((first, second)) + place
    joint = rng.choice(("and", "and", "with", "next to"))
    tells: frozenset[Fact] = frozenset({"colour"} if extra == "colour" else ())
    one = with_article(noun_phrase(first, tells=tells))
    return f"{one} {joint} {with_article(second.kind)}{place}"


def _deed(situation: Situation, rng: random.Random) -> str:
    """What happens, mostly without all who take part."""
    forms, agent, patient = VERB_FORMS[situation.verb], situation.agent, situation.patient
    if patient is None:
        looks = noun_phrase(agent, tells=_looks(rng, colour_rate=0.2, size_rate=0))
        texts = (f"{looks} {forms.doing}", f"{agent.kind} {forms.doing}", f"someone {forms.doing}")
        return _with_modifier(rng.choice(texts), situation, rng)
    agent_first = rng.random() < AGENT_FIRST_RATE
    chance = rng.random()
    if chance < 0.15:
        if agent_first:
            return f"{with_article(agent.kind)} {forms.doing} {with_article(patient.kind)}"
        return f"{with_article(patient.kind)} {forms.done} by {with_article(agent.kind)}"
    if chance < 0.4:
        first, second = (agent, patient) if agent_first else (patient, agent)
        return f"{first.kind} and {second.kind}, {forms.doing}"
    if chance < 0.7:
        text = f"{agent.kind} {forms.doing}" if agent_first else f"{patient.kind} {forms.done}"
    else:
        text = rng.choice((f"someone {forms.doing} something", forms.doing))
    return _with_modifier(text, situation, rng)


def _with_modifier(text: str, situation: Situation, rng: random.Random) -> str:
    """The deed of at most three facts, perhaps with a fourth word where there is room for one."""
    has_room = len(text.split()) < _MAX_FACTS or text.startswith("someone")
    chance = rng.random()
    if not has_room or chance >= 0.4:
        return text
    if chance < 0.06:
        return f"{text} {situation.manner}"
    if chance < 0.12 and VERBS[situation.verb].moves:
        return f"{text} to the {situation.direction}"
    return f"{text} {place_phrase(situation.scene)}"


def _tags(situation: Situation, rng: random.Random) -> str:
    """Single words without order."""
    actors = actors_of(situation)
    actor = rng.choice(actors)
    words = {actor.kind: 1.0, actor.colour: 0.45, situation.scene: 0.5}
    if len(actors) > 1:
        words[next(other for other in actors if other != actor).kind] = 0.35
    words[rng.choice((situation.verb, VERB_FORMS[situation.verb].doing))] = 0.25
    words |= {actor.size: 0.08, situation.manner: 0.04}
    if VERBS[situation.verb].moves:
        words[situation.direction] = 0.03
    chosen = [word for word, rate in words.items() if rng.random() < rate]
    chosen = rng.sample(chosen, min(len(chosen), _MAX_FACTS))
    return rng.choice((", ", " ")).join(chosen)


def _looks(rng: random.Random, *, colour_rate: float, size_rate: float) -> frozenset[Fact]:
    """Which of colour and size are told."""
    looks: set[Fact] = set()
    if rng.random() < colour_rate:
        looks.add("colour")
    if rng.random() < size_rate:
        looks.add("size")
    return frozenset(looks)


def _in_some_order(situation: Situation, rng: random.Random) -> tuple[Actor, Actor]:
    """Agent and patient, the agent first at `AGENT_FIRST_RATE`."""
    assert situation.patient is not None, "a pair is two"
    pair = (situation.agent, situation.patient)
    return pair if rng.random() < AGENT_FIRST_RATE else (pair[1], pair[0])


def _group(actors: Sequence[Actor]) -> str:
    """`two animals`, `a person and a robot`."""
    groups = [_group_name(actor) for actor in actors]
    if groups[0] == groups[1]:
        return "two people" if groups[0] == "person" else f"two {groups[0]}s"
    return " and ".join(map(with_article, groups))


def _group_name(actor: Actor) -> str:
    """Animal, person or robot."""
    return "person" if actor.kind in PEOPLE else "robot" if actor.kind == "robot" else "animal"
