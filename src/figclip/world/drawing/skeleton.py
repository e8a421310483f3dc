"""The body that all kinds share: joint angles, and where the joints then are.

Bodies face right. Lengths are shares of the standing height, angles are degrees from straight down,
forward positive (90 is forward, 180 is up).
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from functools import lru_cache

from figclip.world.drawing.brush import direction

LEG = 0.14  # half a leg
ARM = 0.155  # half an arm
TORSO = 0.24
HEAD = 0.24  # radius
STICK = 0.42
BODY = 0.15  # half the torso's thickness

Limb = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Angles of a body.

    Attributes:
        near_arm, far_arm: Upper arm and forearm; near is towards the viewer.
        near_leg, far_leg: Thigh and shin.
        lean: Of the torso, forward positive.
        nod: Of the head, forward positive.
        turn: Of the whole body, forward positive.
        reach: Factor on the length of the arms.
        stretch: Factor on the length of the near leg.
        stick: Angle of a stick in the near hand.
    """

    near_arm: Limb = (12, 22)
    far_arm: Limb = (-12, -2)
    near_leg: Limb = (-5, -5)
    far_leg: Limb = (7, 7)
    lean: float = 0
    nod: float = 0
    turn: float = 0
    reach: float = 1
    stretch: float = 1
    stick: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Joints:
    """Where the parts of a body in a pose are; the ground is at height 0, the torso above 0.

    Attributes:
        head: Centre of the head; nod_degrees its tilt, counter-clockwise.
        near_arm, far_arm: Shoulder, elbow and hand.
        near_leg, far_leg: Hip, knee and foot.
        stick_tip: End of the stick, None without one.
    """

    hip: complex
    neck: complex
    head: complex
    nod_degrees: float
    near_arm: tuple[complex, ...]
    far_arm: tuple[complex, ...]
    near_leg: tuple[complex, ...]
    far_leg: tuple[complex, ...]
    stick_tip: complex | None


@lru_cache(maxsize=4096)
def joints(pose: Pose) -> Joints:
    """The joints of a pose that stands, sits or lies on the ground."""
    neck = -TORSO * direction(-pose.lean)
    head = neck - (HEAD + 0.01) * direction(-0.55 * pose.lean - 0.4 * pose.nod)
    shoulder = 0.86 * neck
    near_arm = _limb(shoulder, pose.near_arm, ARM * pose.reach)
    stick = None if pose.stick is None else near_arm[2] + STICK * direction(pose.stick)
    parts = {
        "hip": (0j,),
        "neck": (neck,),
        "head": (head,),
        "near_arm": near_arm,
        "far_arm": _limb(shoulder + 0.02, pose.far_arm, ARM * pose.reach),
        "near_leg": _limb(-0.03 - 0.03j, pose.near_leg, LEG * pose.stretch),
        "far_leg": _limb(0.04 - 0.03j, pose.far_leg, LEG),
        "stick": () if stick is None else (stick,),
    }
    spin = cmath.rect(1, math.radians(-pose.turn))
    turned = {name: tuple(point * spin for point in points) for name, points in parts.items()}
    # What touches the ground: soles and hands have 0.04 of flesh, the rump and the head more.
    lowest = min(
        *(point.imag - 0.04 for name in ("near_leg", "far_leg") for point in turned[name][1:]),
        *(point.imag - 0.03 for name in ("near_arm", "far_arm") for point in turned[name][1:]),
        turned["hip"][0].imag - 0.13,
        turned["neck"][0].imag - 0.11,
        turned["head"][0].imag - HEAD * 0.95,
    )
    middle = (turned["hip"][0] + turned["neck"][0]).real / 2
    shift = complex(-middle, -lowest)
    placed = {name: tuple(point + shift for point in points) for name, points in turned.items()}
    return Joints(
        hip=placed["hip"][0],
        neck=placed["neck"][0],
        head=placed["head"][0],
        nod_degrees=-pose.nod - pose.turn,
        near_arm=placed["near_arm"],
        far_arm=placed["far_arm"],
        near_leg=placed["near_leg"],
        far_leg=placed["far_leg"],
        stick_tip=placed["stick"][0] if stick is not None else None,
    )


def _limb(start: complex, angles: Limb, half_length: float) -> tuple[complex, complex, complex]:
    """Both ends and the bend of an arm or a leg."""
    bend = start + half_length * direction(angles[0])
    return start, bend, bend + half_length * direction(angles[1])
