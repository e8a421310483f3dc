"""Which films there are: events that nobody trimmed, with empty shots before, between and after."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from figclip.world.grammar import sample_story
from figclip.world.situations import EVENT_S, SCENES, Situation

FPS = 6
"""Frames a second of the videos that are written; shots that are sampled are whole frames."""

_NUM_EVENTS = 2, 4
_EVENT_RANGE_S = 1.0, float(EVENT_S)
_EMPTY_RANGE_S = 0.5, 1.5
_EMPTY_RATE = 0.6
_MOVE_RATE = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A stretch of a film that shows one event, or nobody.

    Attributes:
        situation: The event; None for an empty scene.
        scene: Of `SCENES`; where there is an event, its own.
        duration_s: Length; an event shorter than `EVENT_S` shows the first part of its enactment.
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

    Args:
        rng: Where chance comes from.
        held_out: Only combinations that are held out from training, or only others.
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
