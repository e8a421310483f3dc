"""Tell situations in words: natural sentences, web captions, annotators' roles, dense captions.

Natural sentences come in styles, of which some are kept for evaluation. Web captions tell one to
three facts of a still, and order seldom matters, as in web text. Annotators tell a video's events
in VidSitu's roles, each in their own words; the dense captions are those that VidSitu's annotations
of a story lead to, by rule.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from figclip.annotations.captions import TEMPLATES, Template, caption_event
from figclip.annotations.vidsitu import SCENE_ROLE
from figclip.miniworld.situations import VERBS, Actor, EditKind, Situation, actors_of
from figclip.records import Event, Role

Fact = Literal["size", "colour", "direction", "manner", "scene"]
"""What a sentence may leave out; verb and kinds are always told."""

ALL_FACTS: frozenset[Fact] = frozenset(get_args(Fact))
PEOPLE = ("man", "woman")

Wording = Callable[[Situation, frozenset[Fact], random.Random], str]
"""A way to tell a situation and some of its facts, the same for the same state of chance."""


_PREPOSITIONS = {"beach": "on", "street": "on"}


@dataclass(frozen=True, slots=True)
class Style:
    """A sentence with gaps: `{agent}`, `{patient}`, `{does}`, `{doing}`, `{done}`, `{way}`, ….

    `intransitive` tells of one actor what a passive cannot; an active sentence drops its patient.
    """

    transitive: str
    intransitive: str = ""


TRAINING_STYLES: tuple[Style, ...] = (
    Style("{agent} is {doing} {patient} {way} {manner} {place}"),
    Style("{agent} {does} {patient} {way} {place} {manner}"),
    Style("{agent} {doing} {patient} {manner} {way} {place}"),
    Style("{place}, {agent} {does} {patient} {way} {manner}"),
    Style("{agent} {manner} {does} {patient} {way} {place}"),
    Style("there is {agent} {doing} {patient} {manner} {place} {way}"),
    Style(
        "{patient} is {done} {way} by {agent} {place} {manner}",
        "{agent} is {manner} {doing} {way} {place}",
    ),
    Style(
        "{patient} gets {done} {manner} by {agent} {way} {place}",
        "{agent} {does} {place} {manner} {way}",
    ),
    Style(
        "{place}, {patient} is {manner} {done} by {agent} {way}",
        "{place}, {agent} is {manner} {doing} {way}",
    ),
    Style(
        "there is {patient} being {done} {way} {manner} by {agent} {place}",
        "there is {agent} {manner} {doing} {way} {place}",
    ),
)

EVALUATION_STYLES: tuple[Style, ...] = (
    Style("here {agent} is {manner} {doing} {patient} {way} {place}"),
    Style("this is {agent} {doing} {patient} {place} {manner} {way}"),
    Style("{place} we see {agent} {doing} {patient} {way} {manner}"),
    Style(
        "here {patient} is being {done} {way} {manner} by {agent} {place}",
        "here {agent} {does} {way} {manner} {place}",
    ),
    Style(
        "this is {patient} {manner} {done} by {agent} {way} {place}",
        "this is {agent} {manner} {doing} {way} {place}",
    ),
    Style(
        "we see {patient} {done} by {agent} {manner} {way} {place}",
        "we see {agent} {doing} {manner} {way} {place}",
    ),
)


def natural_sentence(
    situation: Situation, style: Style, *, tells: frozenset[Fact] = ALL_FACTS
) -> str:
    """A sentence as a person would write it, without a full stop.

    `a small red cat is chased to the left by a big blue dog in the park`

    Two situations in the same style and with the same facts read the same but for what differs.
    It `tells` facts beside verb and kinds; the direction is only told of verbs that move.
    """
    verb, patient = VERBS[situation.verb], situation.patient
    frame = style.intransitive if patient is None and style.intransitive else style.transitive
    text = frame.format(
        agent=with_article(noun_phrase(situation.agent, tells=tells)),
        patient=with_article(noun_phrase(patient, tells=tells)) if patient else "",
        does=verb.does,
        doing=verb.doing,
        done=verb.done,
        way=f"to the {situation.direction}" if verb.moves and "direction" in tells else "",
        manner=situation.manner if "manner" in tells else "",
        place=place_phrase(situation.scene) if "scene" in tells else "",
    )
    return " ".join(text.split()).removeprefix(", ")


def facts_to_tell(kind: EditKind) -> frozenset[Fact]:
    """What a short sentence tells that an edit of this kind makes false: colours, and the fact."""
    if kind == "direction" or kind == "manner" or kind == "scene":
        return frozenset({"colour", kind})
    return frozenset({"colour"})


def evaluation_sentence(situation: Situation, tells: frozenset[Fact], rng: random.Random) -> str:
    """A natural sentence in one of `EVALUATION_STYLES`; a `Wording`."""
    return natural_sentence(situation, rng.choice(EVALUATION_STYLES), tells=tells)


def noun_phrase(actor: Actor, *, tells: frozenset[Fact]) -> str:
    """`small red cat`, `small man in red`; without size and colour where they are not told."""
    size = f"{actor.size} " if "size" in tells else ""
    if "colour" not in tells:
        return f"{size}{actor.kind}"
    if actor.kind in PEOPLE:
        return f"{size}{actor.kind} in {actor.colour}"
    return f"{size}{actor.colour} {actor.kind}"


def with_article(phrase: str) -> str:
    """`an orange cat`."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def place_phrase(scene: str) -> str:
    """`in the park`, `on the beach`."""
    return f"{_PREPOSITIONS.get(scene, 'in')} the {scene}"


# Who acts on whom is told by few captions, and by those in either order.
_AGENT_FIRST_RATE = 0.45
_MAX_FACTS = 3
_SHAPES = {"someone": 36, "pair": 16, "place": 12, "deed": 18, "tags": 18}
_OPENINGS = (
    *("a photo of {}", "a picture of {}", "here is {}", "this is {}", "look at {}"),
    *("we can see {}", "there is {}", "{} today", "{}, nice", "{}, free picture"),
)
_OPENING_RATE = 0.25
_PLACES = ("the {scene}", "{scene}", "a day {place}", "{scene} picture", "somewhere {place}")


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
        scene = situation.scene
        is_snowy = scene == "snow" and rng.random() < 0.3
        text = "snowy day" if is_snowy else rng.choice(_PLACES)
        text = text.format(scene=scene, place=place_phrase(scene))
    elif shape == "pair" and situation.patient is not None:
        text = _pair(situation, rng)
    else:
        text = _someone(situation, rng)
    if text.startswith(("a ", "an ", "the ", "two ")) and rng.random() < _OPENING_RATE:
        return rng.choice(_OPENINGS).format(text)
    return text


def _someone(situation: Situation, rng: random.Random) -> str:
    """One of the actors, perhaps with colour, size and place."""
    actor = rng.choice(actors_of(situation))
    tells = _looks(rng, colour_rate=0.6, size_rate=0.2)
    phrase = noun_phrase(actor, tells=tells)
    text = with_article(phrase) if rng.random() < 0.7 else phrase
    has_room = 1 + len(tells) < _MAX_FACTS
    return f"{text} {place_phrase(situation.scene)}" if has_room and rng.random() < 0.4 else text


def _pair(situation: Situation, rng: random.Random) -> str:
    """Both actors in some order, nothing said of what they do."""
    first, second = actors_of(situation)
    if rng.random() >= _AGENT_FIRST_RATE:
        first, second = second, first
    extra = rng.choice(("", "", "colour", "place"))
    place = f" {place_phrase(situation.scene)}" if extra == "place" else ""
    if rng.random() < 0.2:
        one, other = (
            "person" if kind in PEOPLE else "robot" if kind == "robot" else "animal"
            for kind in (first.kind, second.kind)
        )
        if one == other:
            return ("two people" if one == "person" else f"two {one}s") + place
        return f"{with_article(one)} and {with_article(other)}{place}"
    joint = rng.choice(("and", "and", "with", "next to"))
    tells: frozenset[Fact] = frozenset({"colour"} if extra == "colour" else ())
    one = with_article(noun_phrase(first, tells=tells))
    return f"{one} {joint} {with_article(second.kind)}{place}"


def _deed(situation: Situation, rng: random.Random) -> str:
    """What happens, mostly without all who take part."""
    verb, agent, patient = VERBS[situation.verb], situation.agent, situation.patient
    if patient is None:
        looks = noun_phrase(agent, tells=_looks(rng, colour_rate=0.2, size_rate=0))
        texts = (f"{looks} {verb.doing}", f"{agent.kind} {verb.doing}", f"someone {verb.doing}")
        return _with_modifier(rng.choice(texts), situation, rng)
    agent_first = rng.random() < _AGENT_FIRST_RATE
    chance = rng.random()
    if chance < 0.15:
        if agent_first:
            return f"{with_article(agent.kind)} {verb.doing} {with_article(patient.kind)}"
        return f"{with_article(patient.kind)} {verb.done} by {with_article(agent.kind)}"
    if chance < 0.4:
        first, second = (agent, patient) if agent_first else (patient, agent)
        return f"{first.kind} and {second.kind}, {verb.doing}"
    if chance < 0.7:
        text = f"{agent.kind} {verb.doing}" if agent_first else f"{patient.kind} {verb.done}"
    else:
        text = rng.choice((f"someone {verb.doing} something", verb.doing))
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
    words[rng.choice((situation.verb, VERBS[situation.verb].doing))] = 0.25
    words |= {actor.size: 0.08, situation.manner: 0.04}
    if VERBS[situation.verb].moves:
        words[situation.direction] = 0.03
    chosen = [word for word, rate in words.items() if rng.random() < rate]
    chosen = rng.sample(chosen, min(len(chosen), _MAX_FACTS))
    return rng.choice((", ", " ")).join(chosen)


def _looks(rng: random.Random, *, colour_rate: float, size_rate: float) -> frozenset[Fact]:
    """Which of colour and size are told."""
    rates: dict[Fact, float] = {"colour": colour_rate, "size": size_rate}
    return frozenset(fact for fact, rate in rates.items() if rng.random() < rate)


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
    """The facts in the words of the template, without an annotator's whims; a `Wording`."""
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
    """The event of `Args`, from `Arg0 (chaser)`, … to the text; its times are of no matter here."""
    keys = [(key, key.removesuffix(")").partition(" (")) for key in args if key != SCENE_ROLE]
    roles = tuple(Role(name=name, text=args[key], slot=slot) for key, (slot, _, name) in keys)
    return Event(start_s=0.0, end_s=1.0, verb=situation.verb, roles=roles, scene=args[SCENE_ROLE])
