"""What can happen in the mini world: who does what to whom, which way, how and where.

Situations are drawn evenly. About one of seven combinations of a verb and the kinds that take part
is held out: training never shows it, though it shows each of its words in other combinations. An
edit changes one thing of a situation: it makes a sentence false, and has a picture of its own.

`drawing` shows a situation, `wording` tells it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

KINDS = ("cat", "dog", "rabbit", "bear", "bird", "frog", "robot", "man", "woman")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
SIZES = ("small", "big")
SCENES = ("park", "beach", "street", "forest", "desert", "snow", "kitchen", "cave")
DIRECTIONS = ("left", "right")
MANNERS = ("slowly", "quickly", "happily", "angrily")

EVENT_S = 2
"""Seconds that an event takes from beginning to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Someone in the picture: one of `KINDS`, `COLOURS` and `SIZES`; people wear the colour."""

    kind: str
    colour: str
    size: str


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb as VidSitu's files would have it, and its forms.

    Attributes:
        gloss: What tells its senses apart, as in `push (move by force)`.
        agent_role: `pusher`.
        does, doing, done: `pushes`, `pushing` and, where there is a passive, `pushed`.
        patient_role: `thing pushed`; empty for verbs of one actor.
        moves: Whether the actors move left or right, so that a direction is seen.
    """

    verb: str
    gloss: str
    agent_role: str
    does: str
    doing: str
    patient_role: str = ""
    done: str = ""
    moves: bool = True

    @property
    def sense(self) -> str:
        """Identifier of the sense, `push.01`."""
        return f"{self.verb}.01"

    @property
    def is_transitive(self) -> bool:
        """Whether it has a patient."""
        return bool(self.patient_role)


_VERBS = (
    Verb("walk", "go on foot", "walker", "walks", "walking"),
    Verb("run", "go fast on foot", "runner", "runs", "running"),
    Verb("jump", "leap off the ground", "jumper", "jumps", "jumping"),
    Verb("crawl", "go on hands and knees", "crawler", "crawls", "crawling"),
    Verb("sleep", "be asleep", "sleeper", "sleeps", "sleeping", moves=False),
    Verb("sit", "rest on the ground", "sitter", "sits", "sitting", moves=False),
    Verb("dance", "move to music", "dancer", "dances", "dancing", moves=False),
    Verb("fall", "drop to the ground", "faller", "falls", "falling", moves=False),
    Verb("chase", "run after", "chaser", "chases", "chasing", "one chased", "chased"),
    Verb("follow", "walk behind", "follower", "follows", "following", "one followed", "followed"),
    Verb("push", "move by force", "pusher", "pushes", "pushing", "thing pushed", "pushed"),
    Verb("pull", "drag along", "puller", "pulls", "pulling", "thing pulled", "pulled"),
    Verb("carry", "hold up and go", "carrier", "carries", "carrying", "thing carried", "carried"),
    Verb("kick", "strike with a foot", "kicker", "kicks", "kicking", "one kicked", "kicked"),
    Verb("hit", "strike with a stick", "hitter", "hits", "hitting", "one hit", "hit"),
    Verb("greet", "wave at", "greeter", "greets", "greeting", "one greeted", "greeted"),
)
VERBS = {verb.verb: verb for verb in _VERBS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What happens in one event: one of `VERBS`, `DIRECTIONS`, `MANNERS` and `SCENES`, and by whom.

    `direction` is where they go, or look if they stay.
    """

    verb: str
    agent: Actor
    patient: Actor | None
    direction: str
    manner: str
    scene: str

    def __post_init__(self) -> None:
        assert (self.patient is not None) == VERBS[self.verb].is_transitive


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

    `held_out`: only combinations that are held out, or that are not; None for all.
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
    """
    cast = _actors(rng, rng.sample(KINDS, rng.choice((2, 3))))
    scene = rng.choice(SCENES)
    events: list[Situation] = []
    while len(events) < NUM_EVENTS:
        event = _next_event(rng, events, cast=cast, scene=scene)
        deeds = [(one.verb, one.agent, one.patient) for one in (*events[-1:], event)]
        is_new = event not in events and len(set(deeds)) == len(deeds)
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


EditKind = Literal[
    "role_swap", "attribute_swap", "verb", "direction", "manner", "kind", "colour", "scene"
]


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

    `role_swap` exchanges agent and patient, `attribute_swap` their colours; the others put
    something else in. A verb is replaced by one of as many actors that moves as well or does not
    either; `kind` and `colour` change one of the actors.
    """
    assert can_edit(situation, kind), f"{situation} has no {kind}"
    agent, patient = situation.agent, situation.patient

    def another(values: Sequence[str], *present: str) -> str:
        return rng.choice([value for value in values if value not in present])

    if kind == "verb":
        verb = VERBS[situation.verb]
        shape = (verb.is_transitive, verb.moves)
        alike = [name for name, one in VERBS.items() if (one.is_transitive, one.moves) == shape]
        return replace(situation, verb=another(alike, situation.verb))
    if kind == "direction":
        return replace(situation, direction=another(DIRECTIONS, situation.direction))
    if kind == "manner":
        return replace(situation, manner=another(MANNERS, situation.manner))
    if kind == "scene":
        return replace(situation, scene=another(SCENES, situation.scene))
    if kind == "kind" or kind == "colour":
        values = KINDS if kind == "kind" else COLOURS
        present = [getattr(actor, kind) for actor in actors_of(situation)]
        change = {kind: another(values, *present)}
        if patient is not None and rng.random() < 0.5:
            return replace(situation, patient=replace(patient, **change))
        return replace(situation, agent=replace(agent, **change))
    assert patient is not None
    if kind == "role_swap":
        return replace(situation, agent=patient, patient=agent)
    return replace(
        situation,
        agent=replace(agent, colour=patient.colour),
        patient=replace(patient, colour=agent.colour),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationPair:
    """Two situations that differ in one thing."""

    kind: EditKind
    first: Situation
    second: Situation


def sample_pair(rng: random.Random, kind: EditKind, *, held_out: bool | None) -> SituationPair:
    """Draws a situation that can be edited so, and edits it.

    False for `held_out` holds for both sides, True for the first only: another verb or kind mostly
    leads out of what is held out. Every other edit keeps it.
    """
    while True:
        first = sample_situation(rng, held_out=held_out)
        if not can_edit(first, kind):
            continue
        second = edit(first, kind, rng)
        if held_out is not False or not is_held_out(second):
            return SituationPair(kind=kind, first=first, second=second)


FPS = 2
"""Frames a second of the videos that are written: the four an event that adaptation looks at."""

_NUM_EVENTS = 2, 4
_EVENT_RANGE_S = 1.0, float(EVENT_S)
_EMPTY_RANGE_S = 0.5, 1.5
_EMPTY_RATE = 0.6
_MOVE_RATE = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A stretch of a film that shows one event, or nobody.

    An event shorter than `EVENT_S` shows the first part of its enactment. The scene is the event's
    own, where there is one.
    """

    situation: Situation | None
    scene: str
    duration_s: float

    def __post_init__(self) -> None:
        assert self.duration_s > 0
        if self.situation is not None:
            assert self.situation.scene == self.scene
            assert self.duration_s <= EVENT_S


Film = tuple[Shot, ...]
"""The shots of a video, in their order."""


def whole_events(situations: Sequence[Situation]) -> Film:
    """The film of a trimmed video: one event after the other, each from beginning to end."""
    return tuple(
        Shot(situation=situation, scene=situation.scene, duration_s=EVENT_S)
        for situation in situations
    )


def sample_film(rng: random.Random, *, held_out: bool) -> Film:
    """Draws two to four events of 1 to 2 s, and empty shots of 0.5 to 1.5 s beside some of them.

    The events are linked as those of a story, so that neighbours differ in the verb or in who does
    it to whom. In some films the cast goes on in another scene. An empty shot shows the scenery of
    an event next to it.
    """
    film: list[Shot] = []
    for before, after in pairwise((None, *_events(rng, held_out=held_out), None)):
        if rng.random() < _EMPTY_RATE:
            scene = rng.choice([event.scene for event in (before, after) if event is not None])
            duration_s = _duration_s(rng, _EMPTY_RANGE_S)
            film.append(Shot(situation=None, scene=scene, duration_s=duration_s))
        if after is not None:
            duration_s = _duration_s(rng, _EVENT_RANGE_S)
            film.append(Shot(situation=after, scene=after.scene, duration_s=duration_s))
    return tuple(film)


def _events(rng: random.Random, *, held_out: bool) -> list[Situation]:
    """The beginning of a story, which may move to another scene."""
    events = list(sample_story(rng, held_out=held_out)[: rng.randint(*_NUM_EVENTS)])
    if rng.random() < _MOVE_RATE:
        first = rng.randrange(1, len(events))
        scene = rng.choice([scene for scene in SCENES if scene != events[0].scene])
        events[first:] = [replace(event, scene=scene) for event in events[first:]]
    return events


def _duration_s(rng: random.Random, range_s: tuple[float, float]) -> float:
    """A whole number of frames."""
    fewest, most = (round(FPS * limit_s) for limit_s in range_s)
    return rng.randint(fewest, most) / FPS
