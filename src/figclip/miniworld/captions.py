"""Caption the mini world three ways: sparse web captions, annotators' roles, dense captions.

Web captions tell one to three facts of a still, and order seldom matters, as in web text.
Annotators tell a video's events in VidSitu's roles, each in their own words; the dense captions are
those that VidSitu's annotations of a story lead to, by rule.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from figclip.annotations.captions import TEMPLATES, Template, caption_event
from figclip.miniworld.grammar import actors_of
from figclip.miniworld.situations import VERBS, Actor, Situation
from figclip.miniworld.wording import (
    PEOPLE,
    VERB_FORMS,
    Fact,
    noun_phrase,
    place_phrase,
    with_article,
)
from figclip.records import Event, Role

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


def dense_captions(
    story: Sequence[Situation], rng: random.Random, *, template: Template = TEMPLATES["default"]
) -> tuple[str, ...]:
    """One caption per event, as adaptation would get it."""
    annotated = annotate(story, rng)
    return tuple(
        caption_event(_event(situation, args), template=template)
        for situation, args in zip(story, annotated, strict=True)
    )


def template_sentence(situation: Situation, tells: frozenset[Fact], rng: random.Random) -> str:
    """The facts in the words of the template, without an annotator's whims; a `wording.Wording`."""
    verb = VERBS[situation.verb]
    texts = {f"Arg0 ({verb.agent_role})": noun_phrase(situation.agent, tells=tells)}
    if situation.patient is not None:
        texts[f"Arg1 ({verb.patient_role})"] = noun_phrase(situation.patient, tells=tells)
    if verb.moves and "direction" in tells:
        texts["ArgM (direction)"] = situation.direction
    if "manner" in tells:
        texts["ArgM (manner)"] = situation.manner
    texts[SCENE_ROLE] = situation.scene if "scene" in tells else ""
    return caption_event(_event(situation, texts), template=TEMPLATES["default"])


def _event(situation: Situation, args: dict[str, str]) -> Event:
    """The annotated event; its times are of no matter here."""
    roles = tuple(_role(name, text) for name, text in args.items() if name != SCENE_ROLE)
    return Event(start_s=0.0, end_s=1.0, verb=situation.verb, roles=roles, scene=args[SCENE_ROLE])


def _role(slot_and_name: str, text: str) -> Role:
    """The role of `Arg0 (chaser)`."""
    slot, _, name = slot_and_name.removesuffix(")").partition(" (")
    return Role(name=name, text=text, slot=slot)
