"""Draw one actor in a pose and a mood, as a sprite, on the skeleton that all kinds share.

Bodies face right. Lengths are shares of the standing height, angles are degrees from straight down,
forward positive (90 is forward, 180 is up).
"""

import cmath
import math
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from figclip.miniworld.drawing.brush import (
    BEAK,
    COLLAR,
    INK,
    METAL,
    PATCHES,
    SKINS,
    TROUSERS,
    Brush,
    Colour,
    Shades,
    Sprite,
    direction,
    mixed,
    shades,
    shrunk,
)
from figclip.miniworld.drawing.faces import draw_head
from figclip.miniworld.situations import Actor

LEG = 0.14  # half a leg
ARM = 0.155  # half an arm
TORSO = 0.24
HEAD = 0.24  # radius
STICK = 0.42
BODY = 0.15  # half the torso's thickness

Limb = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Angles of a body: upper arm and forearm, thigh and shin; near is towards the viewer.

    `lean` (torso), `nod` (head) and `turn` (all) are forward positive; `reach` and `stretch` are
    factors on the lengths of the arms and the near leg; `stick` is held in the near hand.
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

    Limbs go from the trunk to hand or foot; the nod is counter-clockwise.
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


NUM_LOOKS = len(SKINS)

_GIRTHS = {"bear": 0.225, "frog": 0.18, "bird": 0.175}
_SOLES = {"frog": 0.14, "bird": 0.1}
_WOOD: Colour = (150, 94, 48)
_DUSK = [max(0, round(0.3 * (level - 90))) for level in range(256)]
# Nothing that is drawn leaves this box round the spot between the feet.
_LEFT, _RIGHT, _UP, _DOWN = 0.9, 1.1, 1.65, 0.3


@lru_cache(maxsize=1024)
def actor_sprite(actor: Actor, pose: Pose, *, mood: str, look: int, height_px: int) -> Sprite:
    """Draws an actor that looks right; the anchor is on the ground below the torso.

    `height_px` is the height of the standing body without ears; `mood` one of `faces.MOODS`; `look`
    skin and hair of people, below `NUM_LOOKS`.
    """
    factor = 4 if height_px < 40 else 3
    unit = height_px * factor
    size = (round((_LEFT + _RIGHT) * height_px) * factor, round((_UP + _DOWN) * height_px) * factor)
    anchor = (round(_LEFT * height_px), round(_UP * height_px))
    image = Image.new("RGBA", size)
    brush = Brush.on(
        image,
        origin_px=complex(anchor[0] * factor, anchor[1] * factor),
        unit_px=unit,
        outline_px=max(0.65 * factor, 0.017 * unit),
    )
    _draw_body(brush, actor, joints(pose), mood=mood, look=look)
    return _shaded(shrunk(image, factor=factor, anchor_px=anchor))


def _shaded(sprite: Sprite) -> Sprite:
    """Lit from above: towards the feet a little darker."""
    dusk = Image.linear_gradient("L").resize(sprite.image.size).point(_DUSK)
    alpha = sprite.image.getchannel("A")
    sprite.image.paste(INK, (0, 0), dusk)
    sprite.image.putalpha(alpha)
    return sprite


def _draw_body(brush: Brush, actor: Actor, body: Joints, *, mood: str, look: int) -> None:
    """From the far side to the near one, so that near parts cover far ones."""
    tones = shades(actor.colour)
    arm, leg, shoe = _limb_colours(actor.kind, tones, look)
    arm_width = 0.105 if actor.kind in ("bear", "bird") else 0.088
    leg_width = 0.055 if actor.kind == "bird" else 0.13 if actor.kind == "bear" else 0.105
    _draw_tail(brush, actor.kind, body, tones)
    for limb, colour, width, end in (
        (body.far_arm, arm, arm_width, _hand(actor.kind, tones, look)),
        (body.far_leg, leg, leg_width, shoe),
    ):
        brush.stroke(limb, width, mixed(colour, INK, 0.2))
        if limb is body.far_leg:
            _draw_foot(brush, actor.kind, limb, mixed(end, INK, 0.2))
        else:
            brush.circle(limb[2], 0.055, mixed(end, INK, 0.2))
        brush.finish(tones.outline)
    brush.stroke(body.near_leg, leg_width, leg)
    _draw_foot(brush, actor.kind, body.near_leg, shoe)
    brush.finish(tones.outline)
    _draw_torso(brush, actor.kind, body, tones)
    head = brush.moved(body.head, turn_degrees=body.nod_degrees, size=HEAD)
    draw_head(head, actor.kind, shades=tones, mood=mood, look=look)
    if body.stick_tip is not None:
        brush.stroke([body.near_arm[2], body.stick_tip], 0.075, _WOOD)
        brush.finish(mixed(_WOOD, INK, 0.7))
    brush.stroke(body.near_arm, arm_width, mixed(arm, INK, 0.06))
    brush.circle(body.near_arm[2], 0.058, _hand(actor.kind, tones, look))
    brush.finish(tones.outline)


def _limb_colours(kind: str, tones: Shades, look: int) -> tuple[Colour, Colour, Colour]:
    """Colours of the arms, the legs and the feet."""
    if kind == "robot":
        steel = mixed(METAL, tones.base, 0.4)
        return steel, steel, mixed(steel, INK, 0.4)
    if kind == "man":
        return tones.base, TROUSERS, (70, 52, 48)
    if kind == "woman":
        return tones.base, SKINS[look], tones.dark
    if kind == "bird":
        return tones.dark, BEAK, BEAK
    return tones.base, tones.base, tones.dark


def _hand(kind: str, tones: Shades, look: int) -> Colour:
    """Colour of the hands."""
    if kind in ("man", "woman"):
        return SKINS[look]
    if kind == "robot":
        return mixed(METAL, INK, 0.3)
    return tones.dark


def _draw_foot(brush: Brush, kind: str, leg: tuple[complex, ...], colour: Colour) -> None:
    """A foot that points forward from its shin."""
    shin = (leg[2] - leg[1]) / abs(leg[2] - leg[1])
    sole = _SOLES.get(kind, 0.06)
    brush.stroke([leg[2], leg[2] + sole * shin * 1j], 0.085, colour)


def _draw_tail(brush: Brush, kind: str, body: Joints, tones: Shades) -> None:
    """Tails start at the rump and keep to the torso's own frame."""
    upright = (body.neck - body.hip) / abs(body.neck - body.hip) / 1j
    rump = body.hip + upright * (-BODY + 0.02j)
    if kind == "cat":
        tail = [0j, -0.14 + 0.01j, -0.24 + 0.1j, -0.24 + 0.25j, -0.3 + 0.38j]
        brush.stroke([rump + upright * step for step in tail], 0.075, tones.dark)
        tip = [rump + upright * step for step in (tail[3] * 0.6 + tail[4] * 0.4, tail[4])]
        brush.stroke(tip, 0.075, PATCHES["cat"], outlined=False)
    elif kind == "dog":
        brush.stroke([rump + upright * step for step in (0j, -0.11 + 0.16j)], 0.085, tones.base)
    elif kind == "rabbit":
        brush.circle(rump - upright * 0.04, 0.105, PATCHES["rabbit"])
    elif kind == "bear":
        brush.circle(rump - upright * 0.02, 0.055, tones.base)
    elif kind == "bird":
        tail = [0.06 + 0.1j, -0.22 + 0.2j, -0.2 + 0.08j, -0.27 + 0.03j, -0.18 - 0.03j, 0.04 - 0.06j]
        brush.polygon([rump + upright * step for step in tail], tones.dark)
    brush.finish(tones.outline)


def _draw_torso(brush: Brush, kind: str, body: Joints, tones: Shades) -> None:
    """The trunk between hip and neck."""
    spine = body.neck - body.hip
    upright = spine / abs(spine) / 1j
    middle = body.hip + 0.47 * spine
    torso = brush.moved(middle, turn_degrees=math.degrees(cmath.phase(upright)))
    if kind == "robot":
        torso.box(-0.14 - 0.17j, 0.28 + 0.33j, tones.base)
        torso.box(-0.04 - 0.12j, 0.15 + 0.13j, METAL, outlined=False)
        torso.circle(0.06 - 0.06j, 0.035, (255, 92, 120), outlined=False)
    elif kind == "man":
        torso.box(-0.12 - 0.18j, 0.23 + 0.14j, TROUSERS)
        torso.ellipse(0.03j, 0.135 + 0.16j, tones.base)
        torso.box(-0.12 - 0.09j, 0.24 + 0.035j, (70, 52, 48), outlined=False)
    elif kind == "woman":
        torso.polygon([-0.08 + 0.14j, 0.08 + 0.14j, 0.2 - 0.22j, -0.2 - 0.22j], tones.base)
        torso.stroke([-0.1 - 0.02j, 0.1 - 0.02j], 0.035, tones.dark, outlined=False)
    else:
        wide = _GIRTHS.get(kind, 0.15)
        torso.ellipse(-0.01j, complex(wide, 0.18), tones.base)
        belly = PATCHES.get(kind, tones.light)
        torso.ellipse(0.05 - 0.03j, complex(wide * 0.62, 0.125), belly, outlined=False)
        if kind == "dog":
            torso.box(-0.09 + 0.1j, 0.18 + 0.05j, COLLAR, outlined=False)
    brush.finish(tones.outline)
