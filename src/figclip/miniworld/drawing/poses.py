"""The poses of each verb, at each moment of its motion.

Cycles run through [0, 1); angles are those of `actors.Pose`.
"""

import math
from dataclasses import replace

from figclip.miniworld.drawing.actors import Limb, Pose


def _swing(step: float) -> float:
    """From 1 to -1 and back within a step cycle of 1."""
    return math.cos(2 * math.pi * step)


def _legs(step: float, *, stride: float, lifted: float) -> tuple[Limb, Limb]:
    """Both legs of a gait; the one that comes forward is bent by `lifted` degrees."""
    legs: list[Limb] = []
    for offset in (0.0, 0.5):
        thigh = stride * _swing(step + offset)
        coming = max(0.0, -math.sin(2 * math.pi * (step + offset)))
        behind = max(0.0, -thigh / stride)
        legs.append((thigh, thigh - lifted * min(1.0, coming + 0.7 * behind)))
    return legs[0], legs[1]


def walking(step: float) -> Pose:
    """On two legs, upright; a cycle of two steps is 1."""
    near_leg, far_leg = _legs(step, stride=30, lifted=28)
    arm = -26 * _swing(step)
    return Pose(
        near_leg=near_leg,
        far_leg=far_leg,
        near_arm=(arm, arm + 14),
        far_arm=(-arm, -arm + 14),
        lean=3,
    )


def running(step: float) -> Pose:
    """Bent forward, legs far apart, elbows bent."""
    near_leg, far_leg = _legs(step, stride=64, lifted=78)
    arm = -58 * _swing(step)
    return Pose(
        near_leg=near_leg,
        far_leg=far_leg,
        near_arm=(arm, arm + 85),
        far_arm=(-arm, -arm + 85),
        lean=24,
        nod=4,
    )


def catching(step: float) -> Pose:
    """Running with both hands stretched forward."""
    reach = 6 * _swing(step)
    return replace(
        running(step), near_arm=(82 + reach, 98 + reach), far_arm=(96 - reach, 112), reach=1.15
    )


def fleeing(step: float) -> Pose:
    """Running with the arms thrown up."""
    wave = 14 * _swing(step)
    return replace(
        running(step),
        near_arm=(220 + wave, 186),
        far_arm=(128 + wave, 160),
        lean=12,
        nod=-8,
        reach=1.35,
    )


def jumping(height: float) -> Pose:
    """From a squat at 0 to tucked legs and raised arms at 1."""
    up = min(1.0, 2.2 * height)
    return Pose(
        near_arm=(-50 - 90 * up, -30 - 130 * up),
        far_arm=(-60 + 195 * up, -40 + 205 * up),
        near_leg=(62, -48 + 12 * up),
        far_leg=(48 - 20 * up, -52 - 28 * up),
        lean=22 - 12 * up,
        nod=-6 * up,
        reach=1 + 0.35 * up,
    )


def crawling(step: float) -> Pose:
    """On hands and knees."""
    swing = 22 * _swing(step)
    return Pose(
        near_arm=(24 + swing, 8 + swing),
        far_arm=(24 - swing, 8 - swing),
        near_leg=(8 - swing, -78),
        far_leg=(8 + swing, -78),
        lean=74,
        nod=-4,
    )


SLEEPING = Pose(
    near_arm=(-40, -84), far_arm=(76, 100), near_leg=(-84, -92), far_leg=(-80, -88), lean=92, nod=14
)
"""Flat on the belly, head on the folded arms."""


SITTING = Pose(near_arm=(-22, -14), far_arm=(30, 62), near_leg=(84, 82), far_leg=(96, 66), lean=-7)
"""On the ground with the legs stretched forward."""


def dancing(step: float) -> Pose:
    """On one leg, one arm up, swaying; the sides change."""
    sway = _swing(step)
    return Pose(
        near_arm=(-90 + 50 * sway, -116 + 90 * sway),
        far_arm=(92 + 34 * sway, 112 + 50 * sway),
        near_leg=(8 + 44 * max(0.0, sway), 8 - 70 * max(0.0, sway)),
        far_leg=(-4 + 58 * max(0.0, -sway), -4 - 42 * max(0.0, -sway)),
        lean=15 * sway,
        nod=-9 * sway,
        reach=1.25,
    )


def tumbling(progress: float) -> Pose:
    """Through the air, from tripped at 0 to head first at 1."""
    flail = 26 * math.sin(9 * progress)
    return Pose(
        near_arm=(120 + flail, 140 + flail),
        far_arm=(-128 + flail, -150),
        near_leg=(34 - flail, 4),
        far_leg=(-32 + flail, -62),
        nod=-10,
        turn=28 + 92 * progress,
    )


SPRAWLING = Pose(
    near_arm=(-110, -122),
    far_arm=(84, 98),
    near_leg=(-96, -160),
    far_leg=(-92, -142),
    lean=96,
    nod=22,
)
"""Crashed on the belly, legs still in the air."""


def pushing(step: float) -> Pose:
    """Bent far forward with both hands against something."""
    near_leg, far_leg = _legs(step, stride=30, lifted=30)
    return Pose(
        near_arm=(76, 90),
        far_arm=(88, 98),
        near_leg=(near_leg[0] - 18, near_leg[1] - 24),
        far_leg=(far_leg[0] - 18, far_leg[1] - 24),
        lean=40,
        nod=16,
        reach=1.45,
    )


SHOVED = Pose(
    near_arm=(-84, -124), far_arm=(112, 146), near_leg=(36, 24), far_leg=(50, 34), lean=-11, nod=8
)
"""Pushed from behind: leaning back, heels braced, arms thrown up."""


def pulling(step: float) -> Pose:
    """Bent forward with both hands behind, on a rope."""
    near_leg, far_leg = _legs(step, stride=34, lifted=34)
    return Pose(
        near_arm=(-62, -76),
        far_arm=(-50, -68),
        near_leg=(near_leg[0] - 8, near_leg[1] - 14),
        far_leg=(far_leg[0] - 8, far_leg[1] - 14),
        lean=36,
        nod=14,
        reach=1.1,
    )


DRAGGED = Pose(
    near_arm=(82, 88), far_arm=(90, 92), near_leg=(44, 34), far_leg=(58, 42), lean=-26, nod=-4
)
"""At the rope's other end: leaning back, heels braced, arms stretched forward."""


def lifting(step: float) -> Pose:
    """Walking with both arms straight up."""
    return replace(
        walking(step), near_arm=(212, 176), far_arm=(146, 184), lean=0, nod=-6, reach=2.0
    )


def kicking(strike: float) -> Pose:
    """One leg swung back at 0, stretched forward at 1."""
    return Pose(
        near_arm=(-20 - 40 * strike, -10 - 40 * strike),
        far_arm=(40 + 30 * strike, 70 + 30 * strike),
        near_leg=(-74 + 172 * strike, -132 + 228 * strike),
        far_leg=(4 - 10 * strike, 2 - 8 * strike),
        lean=16 - 40 * strike,
        nod=-4,
        stretch=1 + 0.3 * strike,
    )


KNOCKED = Pose(
    near_arm=(70, 82), far_arm=(110, 134), near_leg=(62, 54), far_leg=(38, 72), lean=18, turn=-46
)
"""Thrown backwards by a kick."""


def hitting(strike: float) -> Pose:
    """A stick behind the head at 0, down in front at 1."""
    return Pose(
        near_arm=(196 - 98 * strike, 212 - 116 * strike),
        far_arm=(-24, 12),
        near_leg=(-22, -30),
        far_leg=(30, 14),
        lean=-8 + 22 * strike,
        stick=242 - 142 * strike,
    )


COWERING = Pose(
    near_arm=(214, 168),
    far_arm=(150, 196),
    near_leg=(52, -34),
    far_leg=(64, -22),
    lean=20,
    nod=22,
    reach=1.3,
)
"""Knees bent, both hands over the head."""


def waving(step: float) -> Pose:
    """Standing with one hand high, moving it."""
    return Pose(far_arm=(122, 158 + 30 * _swing(step)), reach=1.7, near_arm=(-6, 6), nod=-4)


STANDING = Pose()
"""At rest, arms down."""
