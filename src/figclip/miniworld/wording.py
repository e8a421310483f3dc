"""Natural sentences of a situation, in styles of which some are kept for evaluation."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from figclip.miniworld.situations import VERBS, Actor, Situation

Fact = Literal["size", "colour", "direction", "manner", "scene"]
"""What a sentence may leave out; verb and kinds are always told."""

ALL_FACTS: frozenset[Fact] = frozenset(get_args(Fact))
PEOPLE = ("man", "woman")

Wording = Callable[[Situation, frozenset[Fact], random.Random], str]
"""A way to tell a situation and some of its facts, the same for the same state of chance."""


@dataclass(frozen=True, slots=True)
class VerbForms:
    """The inflected forms of a verb: `chases`, `chasing`, and `chased` where it has a passive."""

    does: str
    doing: str
    done: str = ""


VERB_FORMS: dict[str, VerbForms] = {
    "walk": VerbForms("walks", "walking"),
    "run": VerbForms("runs", "running"),
    "jump": VerbForms("jumps", "jumping"),
    "crawl": VerbForms("crawls", "crawling"),
    "sleep": VerbForms("sleeps", "sleeping"),
    "sit": VerbForms("sits", "sitting"),
    "dance": VerbForms("dances", "dancing"),
    "fall": VerbForms("falls", "falling"),
    "chase": VerbForms("chases", "chasing", "chased"),
    "follow": VerbForms("follows", "following", "followed"),
    "push": VerbForms("pushes", "pushing", "pushed"),
    "pull": VerbForms("pulls", "pulling", "pulled"),
    "carry": VerbForms("carries", "carrying", "carried"),
    "kick": VerbForms("kicks", "kicking", "kicked"),
    "hit": VerbForms("hits", "hitting", "hit"),
    "greet": VerbForms("greets", "greeting", "greeted"),
}

_PREPOSITIONS = {"beach": "on", "street": "on"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """A sentence with gaps: `{agent}`, `{patient}`, `{does}`, `{doing}`, `{done}`, `{way}`, …."""

    name: str
    transitive: str
    intransitive: str


TRAINING_STYLES: tuple[Style, ...] = (
    Style(
        name="is doing",
        transitive="{agent} is {doing} {patient} {way} {manner} {place}",
        intransitive="{agent} is {doing} {way} {manner} {place}",
    ),
    Style(
        name="does",
        transitive="{agent} {does} {patient} {way} {place} {manner}",
        intransitive="{agent} {does} {way} {place} {manner}",
    ),
    Style(
        name="doing",
        transitive="{agent} {doing} {patient} {manner} {way} {place}",
        intransitive="{agent} {doing} {manner} {way} {place}",
    ),
    Style(
        name="place first",
        transitive="{place}, {agent} {does} {patient} {way} {manner}",
        intransitive="{place}, {agent} {does} {way} {manner}",
    ),
    Style(
        name="manner first",
        transitive="{agent} {manner} {does} {patient} {way} {place}",
        intransitive="{agent} {manner} {does} {way} {place}",
    ),
    Style(
        name="there is",
        transitive="there is {agent} {doing} {patient} {manner} {place} {way}",
        intransitive="there is {agent} {doing} {manner} {place} {way}",
    ),
    Style(
        name="is done",
        transitive="{patient} is {done} {way} by {agent} {place} {manner}",
        intransitive="{agent} is {manner} {doing} {way} {place}",
    ),
    Style(
        name="gets done",
        transitive="{patient} gets {done} {manner} by {agent} {way} {place}",
        intransitive="{agent} {does} {place} {manner} {way}",
    ),
    Style(
        name="place first, is done",
        transitive="{place}, {patient} is {manner} {done} by {agent} {way}",
        intransitive="{place}, {agent} is {manner} {doing} {way}",
    ),
    Style(
        name="there is, being done",
        transitive="there is {patient} being {done} {way} {manner} by {agent} {place}",
        intransitive="there is {agent} {manner} {doing} {way} {place}",
    ),
)

EVALUATION_STYLES: tuple[Style, ...] = (
    Style(
        name="here is doing",
        transitive="here {agent} is {manner} {doing} {patient} {way} {place}",
        intransitive="here {agent} is {manner} {doing} {way} {place}",
    ),
    Style(
        name="this is, doing",
        transitive="this is {agent} {doing} {patient} {place} {manner} {way}",
        intransitive="this is {agent} {doing} {place} {manner} {way}",
    ),
    Style(
        name="we see, doing",
        transitive="{place} we see {agent} {doing} {patient} {way} {manner}",
        intransitive="{place} we see {agent} {doing} {way} {manner}",
    ),
    Style(
        name="here is being done",
        transitive="here {patient} is being {done} {way} {manner} by {agent} {place}",
        intransitive="here {agent} {does} {way} {manner} {place}",
    ),
    Style(
        name="this is, done",
        transitive="this is {patient} {manner} {done} by {agent} {way} {place}",
        intransitive="this is {agent} {manner} {doing} {way} {place}",
    ),
    Style(
        name="we see, done",
        transitive="we see {patient} {done} by {agent} {manner} {way} {place}",
        intransitive="we see {agent} {doing} {manner} {way} {place}",
    ),
)


def natural_sentence(
    situation: Situation, style: Style, *, tells: frozenset[Fact] = ALL_FACTS
) -> str:
    """A sentence as a person would write it, without a full stop.

    `a small red cat is chased to the left by a big blue dog in the park`

    Two situations in the same style and with the same facts read the same but for what differs.

    `tells` are facts beside verb and kinds; the direction is only told of verbs that move.
    """
    forms, patient = VERB_FORMS[situation.verb], situation.patient
    frame = style.intransitive if patient is None else style.transitive
    text = frame.format(
        agent=with_article(noun_phrase(situation.agent, tells=tells)),
        patient=with_article(noun_phrase(patient, tells=tells)) if patient else "",
        does=forms.does,
        doing=forms.doing,
        done=forms.done,
        way=f"to the {situation.direction}" if _tells_direction(situation, tells) else "",
        manner=situation.manner if "manner" in tells else "",
        place=place_phrase(situation.scene) if "scene" in tells else "",
    )
    return " ".join(text.split()).removeprefix(", ")


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


def _tells_direction(situation: Situation, tells: frozenset[Fact]) -> bool:
    """Whether the sentence says left or right."""
    return VERBS[situation.verb].moves and "direction" in tells
