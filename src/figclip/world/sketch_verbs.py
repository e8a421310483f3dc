"""The sketch's verbs: what their annotations are called and how they are seen in the motion."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from figclip.world.sketch_figures import Figure, Line, Picture, Placed

MANNERS = ("slowly", "quickly")

_STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_SCENE = "Scene of the Event"
# As in the real files, some verbs have a location role and then no scene.
_LOCATION = "ArgM (location)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What happens in one event.

    Attributes:
        verb: One of `VERBS`.
        agent: Who acts; what falls, for verbs of `AGENTLESS`.
        patient: To whom or what; None for verbs of one figure.
        direction: One of the verb's directions.
        manner: One of `MANNERS`: the speed.
        scene: One of `SCENES`.
    """

    verb: Verb
    agent: Figure
    patient: Figure | None
    direction: str
    manner: str
    scene: str

    @property
    def is_quick(self) -> bool:
        """True for the second of `MANNERS`."""
        return self.manner == MANNERS[1]

    def by_speed(self, slow: float, quick: float) -> float:
        """The number that the manner chooses."""
        return quick if self.is_quick else slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A verb sense with the ordered roles that its annotations have, and how it is drawn.

    Attributes:
        roles: From the official role key to a field: agent, patient, direction, manner or scene.
        directions: Those that it can be drawn in.
        draw: Makes the picture at a time in [0, 1) of the event.
    """

    name: str
    gloss: str
    sense: str
    roles: dict[str, str]
    directions: tuple[str, ...]
    draw: Callable[[Deed, float], Picture]

    @property
    def label(self) -> str:
        """As annotations write it: `push (move by force)`."""
        return f"{self.name} ({self.gloss})"

    @property
    def has_patient(self) -> bool:
        """True when the verb takes two figures."""
        return "patient" in self.roles.values()


_CENTRE = (64.0, 70.0)
_FLOOR_Y = 100.0


def _travel(deed: Deed, t: float) -> tuple[float, float]:
    """Centre of what crosses the picture in the event's direction at time t."""
    dx, dy = _STEPS[deed.direction]
    way = deed.by_speed(18, 48) * (t - 0.5)
    return _CENTRE[0] + way * dx, _CENTRE[1] + way * dy


def _ahead(point: tuple[float, float], deed: Deed, distance: float) -> tuple[float, float]:
    """The point moved along the event's direction."""
    dx, dy = _STEPS[deed.direction]
    return point[0] + distance * dx, point[1] + distance * dy


def _mover(figure: Figure, point: tuple[float, float], deed: Deed, t: float) -> Placed:
    """A figure that walks in the event's direction."""
    return Placed(
        figure=figure,
        x=point[0],
        y=point[1],
        faces_left=deed.direction == "left",
        steps=t * deed.by_speed(4, 12),
    )


def _trail(deed: Deed, rear: Placed) -> tuple[Line, ...]:
    """What the rear figure leaves behind: short prints, long ones when it is quick."""
    dx, dy = _STEPS[deed.direction]
    length, gap = deed.by_speed(2, 9), deed.by_speed(6, 14)
    edge = rear.figure.side_px / 2 + 2
    foot_y = rear.y + (0 if dy else rear.figure.side_px / 2 - 2)
    marks: list[Line] = []
    for number in range(3):
        for side in (-1, 1) if dy or deed.is_quick else (0,):
            back = edge + number * gap
            x, y = rear.x - back * dx, foot_y - back * dy
            x, y = x + side * 5 * abs(dy), y + side * 3 * abs(dx)
            marks.append((x, y, x - length * dx, y - length * dy))
    return tuple(marks)


def _pair(deed: Deed) -> tuple[Figure, Figure, float]:
    """Agent, patient, and the distance of their centres when they touch."""
    assert deed.patient is not None, f"{deed.verb.name} is drawn with a patient"
    return deed.agent, deed.patient, 0.45 * (deed.agent.side_px + deed.patient.side_px)


def _draw_walk(deed: Deed, t: float) -> Picture:
    """The agent crosses the picture."""
    agent = _mover(deed.agent, _travel(deed, t), deed, t)
    return Picture(placed=(agent,), marks=_trail(deed, agent))


def _draw_jump(deed: Deed, t: float) -> Picture:
    """The agent hops, off its shadow; `up` is on the spot and high."""
    hop = abs(math.sin(math.pi * t * deed.by_speed(1, 3)))
    if deed.direction == "up":
        x, y = _CENTRE[0], _FLOOR_Y
        return Picture(placed=(Placed(figure=deed.agent, x=x, y=y, height=4 + 52 * hop),))
    agent = _mover(deed.agent, _travel(deed, t), deed, 0)
    agent = replace(agent, y=agent.y + 12, height=24 * hop)
    return Picture(placed=(agent,), marks=_trail(deed, agent))


def _draw_spin(deed: Deed, t: float) -> Picture:
    """The agent turns on the spot within a ring."""
    x, y = _CENTRE
    sign = -1 if deed.direction == "left" else 1
    angle = 360 * t * deed.by_speed(0.5, 1.5) * sign
    radius = deed.agent.side_px * 0.5 + 10
    arcs = tuple(
        _arc(x, y, radius, math.radians(angle + start + step), math.radians(14))
        for start in (0, 180)
        for step in range(0, int(deed.by_speed(30, 120)), 15)
    )
    agent = Placed(figure=deed.agent, x=x, y=y, angle=angle, faces_left=sign < 0)
    return Picture(placed=(agent,), marks=arcs)


def _arc(x: float, y: float, radius: float, angle: float, width: float) -> Line:
    """A short piece of a circle, as a line."""
    ends = (angle, angle + width)
    (x0, y0), (x1, y1) = ((x + radius * math.cos(a), y + radius * math.sin(a)) for a in ends)
    return x0, y0, x1, y1


def _draw_push(deed: Deed, t: float) -> Picture:
    """The agent shoves the patient before it."""
    agent, patient, touch = _pair(deed)
    centre = _travel(deed, t)
    rear = _mover(agent, _ahead(centre, deed, -touch / 2), deed, t)
    front = _mover(patient, _ahead(centre, deed, touch / 2), deed, 0)
    return Picture(placed=(rear, front), marks=_trail(deed, rear))


def _draw_pull(deed: Deed, t: float) -> Picture:
    """The agent drags the patient behind it by a rope."""
    agent, patient, touch = _pair(deed)
    centre = _travel(deed, t)
    front = _mover(agent, _ahead(centre, deed, touch / 2 + 6), deed, t)
    rear = _mover(patient, _ahead(centre, deed, -touch / 2 - 6), deed, 0)
    rope = (front.x, front.y, rear.x, rear.y)
    return Picture(placed=(rear, front), marks=_trail(deed, rear), ropes=(rope,))


def _draw_follow(deed: Deed, t: float) -> Picture:
    """Both walk, the agent at some distance behind the patient."""
    agent, patient, touch = _pair(deed)
    centre = _travel(deed, t)
    rear = _mover(agent, _ahead(centre, deed, -touch / 2 - 6), deed, t)
    front = _mover(patient, _ahead(centre, deed, touch / 2 + 6), deed, t)
    return Picture(placed=(rear, front), marks=(*_trail(deed, rear), *_trail(deed, front)[:2]))


def _draw_carry(deed: Deed, t: float) -> Picture:
    """The patient rides on the agent."""
    agent, patient, _ = _pair(deed)
    below = _mover(agent, _travel(deed, t), deed, t)
    below = replace(below, y=below.y + 8)
    on_top = replace(below, figure=patient, height=_top_of(agent, patient), steps=0)
    return Picture(placed=(below, on_top), marks=_trail(deed, below))


def _top_of(below: Figure, above: Figure) -> float:
    """Height of a figure that stands on another."""
    return (below.side_px + above.side_px) / 2 - 2


def _draw_lift(deed: Deed, t: float) -> Picture:
    """The agent stands still and raises the patient over its head."""
    agent, patient, _ = _pair(deed)
    below = Placed(figure=agent, x=_CENTRE[0], y=_FLOOR_Y)
    height = _top_of(agent, patient) + deed.by_speed(12, 40) * t
    above = Placed(figure=patient, x=below.x, y=below.y, height=height)
    # Arms of rubber: they show who lifts, also when the patient is high.
    shoulder_y, hand_y = below.y - 2, below.y - height + patient.side_px * 0.4
    arms = tuple(
        (below.x + side * agent.side_px * 0.3, shoulder_y, below.x + side * 7.0, hand_y)
        for side in (-1, 1)
    )
    return Picture(placed=(below, above), ropes=arms)


def _draw_hit(deed: Deed, t: float) -> Picture:
    """The agent runs into the patient, which flies off."""
    agent, patient, touch = _pair(deed)
    impact = deed.by_speed(0.6, 0.3)
    spot = _ahead(_CENTRE, deed, 4)
    run = deed.by_speed(24, 36) * min(t - impact, 0) / impact
    fling = deed.by_speed(14, 38) * max(t - impact, 0) / (1 - impact)
    striker = _mover(agent, _ahead(spot, deed, run - touch), deed, min(t, impact))
    struck = _mover(patient, _ahead(spot, deed, fling), deed, 0)
    turn = 8 * fling * (1 if deed.direction == "right" else -1)
    is_struck = t >= impact
    burst = _ahead(spot, deed, -touch / 2) if impact <= t < impact + 0.4 else None
    return Picture(
        placed=(striker, replace(struck, angle=turn)),
        marks=_trail(deed, struck) if is_struck else _trail(deed, striker),
        burst=burst,
    )


def _draw_circle(deed: Deed, t: float) -> Picture:
    """The agent goes around the patient, on a dotted path."""
    agent, patient, touch = _pair(deed)
    x, y = _CENTRE
    radius = touch + 8
    sign = -1 if deed.direction == "left" else 1
    angle = -math.pi / 2 + sign * math.tau * t * deed.by_speed(0.5, 1.5)
    walker = Placed(
        figure=agent,
        x=x + radius * math.cos(angle),
        y=y + radius * math.sin(angle),
        faces_left=sign * math.sin(angle) > 0,
        steps=t * deed.by_speed(4, 12),
    )
    dots = tuple(_arc(x, y, radius, math.tau * dot / 16, 0.18) for dot in range(16))
    return Picture(placed=(Placed(figure=patient, x=x, y=y), walker), marks=dots)


def _draw_fall(deed: Deed, t: float) -> Picture:
    """The figure drops from above onto its shadow."""
    dropped = min(1.0, (t / deed.by_speed(0.95, 0.5)) ** 2)
    height = 84 * (1 - dropped)
    figure = Placed(figure=deed.agent, x=_CENTRE[0], y=_FLOOR_Y, height=height)
    top = figure.y - height - deed.agent.side_px / 2 - 3
    length = deed.by_speed(4, 16)
    ropes = tuple((64.0 + dx, top, 64.0 + dx, top - length) for dx in (-6, 0, 6))
    return Picture(placed=(figure,), ropes=ropes if height else ())


def _verb(
    name: str,
    gloss: str,
    draw: Callable[[Deed, float], Picture],
    *,
    number: int = 1,
    numbered: dict[str, str],
    directions: tuple[str, ...] = tuple(_STEPS),
    place: str = _SCENE,
) -> Verb:
    """A verb whose numbered roles are followed by direction, manner and place."""
    roles = {**numbered, "ArgM (direction)": "direction", "ArgM (manner)": "manner", place: "scene"}
    return Verb(
        name=name,
        gloss=gloss,
        sense=f"{name}.{number:02d}",
        roles=roles,
        directions=directions,
        draw=draw,
    )


def _pair_roles(agent: str, patient: str) -> dict[str, str]:
    return {f"Arg0 ({agent})": "agent", f"Arg1 ({patient})": "patient"}


_SIDEWAYS = ("left", "right")
# Senses are PropBank's; glosses are our words.
VERBS = (
    _verb("walk", "go on foot", _draw_walk, numbered={"Arg0 (walker)": "agent"}),
    _verb(
        "jump",
        "leap",
        _draw_jump,
        number=3,
        numbered={"Arg0 (jumper)": "agent"},
        directions=("left", "right", "up"),
    ),
    _verb(
        "spin",
        "turn on the spot",
        _draw_spin,
        numbered={"Arg0 (spinner)": "agent"},
        directions=_SIDEWAYS,
    ),
    _verb(
        "fall",
        "drop from above",
        _draw_fall,
        numbered={"Arg1 (thing falling)": "agent"},
        directions=("down",),
    ),
    _verb("push", "move by force", _draw_push, numbered=_pair_roles("pusher", "thing pushed")),
    _verb(
        "pull",
        "draw along, by a rope",
        _draw_pull,
        numbered=_pair_roles("puller", "thing pulled"),
        place=_LOCATION,
    ),
    _verb("follow", "go after", _draw_follow, numbered=_pair_roles("follower", "thing followed")),
    _verb(
        "carry",
        "bring along",
        _draw_carry,
        numbered=_pair_roles("carrier", "thing carried"),
        place=_LOCATION,
    ),
    _verb(
        "lift",
        "raise",
        _draw_lift,
        numbered=_pair_roles("lifter", "thing lifted"),
        directions=("up",),
    ),
    _verb(
        "hit",
        "strike",
        _draw_hit,
        numbered=_pair_roles("hitter (who hits)", "thing hit"),
        place=_LOCATION,
    ),
    _verb(
        "circle",
        "go around",
        _draw_circle,
        numbered=_pair_roles("circler", "thing circled"),
        directions=_SIDEWAYS,
    ),
)
AGENTLESS = ("fall.01",)
