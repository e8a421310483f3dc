"""What is in front of the scenery: figures, signs and ropes at their places; no pixels yet.

Everything is staged as if the direction were right. Lengths are shares of the picture's side,
places complex: to the right of the middle, and above the ground.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from figclip.world.drawing.skeleton import Pose
from figclip.world.situations import EVENT_S, Actor, Situation

HEIGHTS = {"small": 0.32, "big": 0.43}
PACES = {"slowly": 0.5, "quickly": 1.7, "happily": 1.0, "angrily": 1.0}
_MOODS = {"slowly": "sleepy", "quickly": "hasty", "happily": "happy", "angrily": "angry"}
# Poses repeat eight a cycle, so that sprites can be kept.
STEPS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """An actor in the picture.

    Attributes:
        place: Of the spot below the torso; above the ground in a leap or on someone's hands.
        ground: Height of the ground below, where its shadow falls.
        is_turned: Whether it looks against the direction.
    """

    actor: Actor
    pose: Pose
    mood: str
    place: complex = 0j
    ground: float = 0.0
    is_turned: bool = False

    @property
    def height(self) -> float:
        """Standing height."""
        return HEIGHTS[self.actor.size]

    def point(self, joint: complex) -> complex:
        """Where a joint of the pose is in the picture."""
        across = -joint.real if self.is_turned else joint.real
        return self.place + self.height * complex(across, joint.imag)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A mark of `marks` with its middle and its side."""

    name: str
    place: complex
    side: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rope:
    """A rope between two places."""

    start: complex
    end: complex


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """All that is in front of the scenery, in the order of painting; figures[0] is the agent."""

    figures: tuple[Figure, ...]
    behind: tuple[Sign | Rope, ...] = ()
    before: tuple[Sign | Rope, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A situation at a moment; elapsed_s runs faster the quicker the manner."""

    situation: Situation
    phase: float

    @property
    def elapsed_s(self) -> float:
        """Time since the event began, at the manner's pace."""
        return EVENT_S * self.phase * PACES[self.situation.manner]

    @property
    def mood(self) -> str:
        """The agent's, from the manner."""
        return _MOODS[self.situation.manner]

    def step(self, cycles_per_s: float) -> float:
        """Place in a cycle, in [0, 1), in `STEPS` steps."""
        return math.floor(self.elapsed_s * cycles_per_s % 1 * STEPS) / STEPS

    def agent(self, pose: Pose, place: complex = 0j) -> Figure:
        """The agent in a pose."""
        return Figure(actor=self.situation.agent, pose=pose, mood=self.mood, place=place)

    def patient(self, pose: Pose, mood: str, *, is_turned: bool = False) -> Figure:
        """The patient in a pose; only for verbs that have one."""
        assert self.situation.patient is not None
        return Figure(actor=self.situation.patient, pose=pose, mood=mood, is_turned=is_turned)
