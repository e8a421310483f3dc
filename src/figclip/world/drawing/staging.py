"""Who stands where, how and with which signs, at any moment of a situation."""

from __future__ import annotations

import math
from dataclasses import replace

from figclip.world.drawing.enactments import ENACTMENTS
from figclip.world.drawing.skeleton import joints
from figclip.world.drawing.stage import PACES, Beat, Rope, Sign, Stage
from figclip.world.situations import EVENT_S, Situation

_SIGNS = {"slowly": "snail", "quickly": "bolt", "happily": "heart", "angrily": "vein"}
# Shares of the picture a second, at the pace 1.
_SPEEDS = {
    "walk": 0.11,
    "run": 0.18,
    "jump": 0.12,
    "crawl": 0.07,
    "chase": 0.12,
    "follow": 0.08,
    "push": 0.07,
    "pull": 0.07,
    "carry": 0.1,
    "kick": 0.04,
    "hit": 0.04,
    "greet": 0.0,
}


def stage(situation: Situation, phase: float) -> Stage:
    """Places everything for a moment, phase in [0, 1) of the event."""
    assert 0 <= phase < 1, phase
    beat = Beat(situation=situation, phase=phase)
    staged = ENACTMENTS[situation.verb](beat)
    lefts = [figure.place.real - 0.42 * figure.height for figure in staged.figures]
    rights = [figure.place.real + 0.42 * figure.height for figure in staged.figures]
    middle = (min(lefts) + max(rights)) / 2
    room = max(0.0, 0.46 - (max(rights) - min(lefts)) / 2)
    travel = _SPEEDS.get(situation.verb, 0.0) * EVENT_S * PACES[situation.manner]
    travel = min(travel, 2 * room)
    signed = replace(staged, before=(*staged.before, *_manner_signs(situation, staged, phase)))
    return _moved(signed, complex(travel * (phase - 0.5) - middle))


def _moved(staged: Stage, by: complex) -> Stage:
    """The same stage elsewhere."""

    def moved(thing: Sign | Rope) -> Sign | Rope:
        if isinstance(thing, Sign):
            return replace(thing, place=thing.place + by)
        return Rope(start=thing.start + by, end=thing.end + by)

    return Stage(
        figures=tuple(replace(figure, place=figure.place + by) for figure in staged.figures),
        behind=tuple(moved(thing) for thing in staged.behind),
        before=tuple(moved(thing) for thing in staged.before),
    )


def _manner_signs(situation: Situation, staged: Stage, phase: float) -> list[Sign | Rope]:
    """The agent's manner, behind its head; lines of speed behind whoever is last."""
    agent = staged.figures[0]
    head = agent.point(joints(agent.pose).head)
    place = head + complex(-0.28 * agent.height - 0.07, 0.2 * agent.height + 0.035)
    if situation.manner == "happily":
        place += 0.018j * math.sin(6 * math.pi * phase)
    if situation.manner == "angrily":
        place += 0.008 * math.cos(16 * math.pi * phase)
    signs: list[Sign | Rope] = [Sign(name=_SIGNS[situation.manner], place=place, side=0.135)]
    if situation.manner == "quickly":
        last = min(staged.figures, key=lambda figure: figure.place.real)
        middle = joints(last.pose).hip
        back = last.point(middle) - 0.3 * last.height - 0.085
        signs.append(Sign(name="speed", place=back, side=0.13))
    return signs
