"""Eyes and mouths by mood, in a head's own frame: centre 0, radius 1, looking right."""

from __future__ import annotations

from figclip.world.drawing.brush import Brush, Colour
from figclip.world.drawing.palette import INK, WHITE

MOODS = ("calm", "happy", "angry", "sleepy", "hasty", "asleep", "scared", "hurt")

_TONGUE: Colour = (232, 84, 96)
_THROAT: Colour = (120, 26, 44)


def draw_eyes(
    brush: Brush, places: tuple[complex, complex], *, mood: str, line: Colour, lid: Colour
) -> None:
    """Both eyes.

    Args:
        brush: In the head's frame.
        places: Centres of the far and the near eye.
        mood: Of `MOODS`.
        line: Colour of lines on the skin or fur.
        lid: Colour of what is round the eyes.
    """
    for place, side in zip(places, (-1, 1), strict=True):
        if mood in ("happy", "asleep"):
            bow = 0.2j if mood == "happy" else -0.16j
            arc = [place - 0.2, place - 0.12 + 0.8 * bow, place + 0.12 + 0.8 * bow, place + 0.2]
            brush.stroke(arc, 0.12, line, outlined=False)
        elif mood == "hurt":
            tip = place - side * 0.16
            ends = [place + side * 0.16 + 0.17j, tip, place + side * 0.16 - 0.17j]
            brush.stroke(ends, 0.12, line, outlined=False)
        else:
            _open_eye(brush.moved(place), mood=mood, side=side, line=line, lid=lid)


def _open_eye(eye: Brush, *, mood: str, side: int, line: Colour, lid: Colour) -> None:
    """One open eye at the frame's centre; the near one has side 1."""
    wide = mood in ("scared", "hasty")
    eye.ellipse(0j, 0.27 + 0.35j if wide else 0.24 + 0.29j, line, outlined=False)
    eye.ellipse(0j, 0.22 + 0.3j if wide else 0.19 + 0.24j, WHITE, outlined=False)
    if mood == "scared":
        eye.circle(0.03, 0.09, INK, outlined=False)
    else:
        eye.ellipse(0.07 + 0j, 0.12 + 0.17j, INK, outlined=False)
        eye.circle(0.1 + 0.07j, 0.05, WHITE, outlined=False)
    if mood == "sleepy":
        eye.polygon([-0.3 + 0.02j, -0.3 + 0.36j, 0.3 + 0.36j, 0.3 + 0.02j], lid, outlined=False)
        eye.stroke([-0.24 + 0.02j, 0.24 + 0.02j], 0.1, line, outlined=False)
    if mood == "angry":
        low, high = (0.22 + 0.1j, -0.3 + 0.38j) if side < 0 else (-0.22 + 0.1j, 0.3 + 0.38j)
        eye.polygon([low, high, high + 0.12j, low + 0.32j], lid, outlined=False)
        eye.stroke([low, high], 0.15, line, outlined=False)
    if mood == "hasty":
        eye.stroke([-0.22 + 0.46j, 0.24 + 0.4j], 0.1, line, outlined=False)


def draw_mouth(brush: Brush, place: complex, *, mood: str, line: Colour) -> None:
    """The mouth at a place in the head's frame, in one of `MOODS`."""
    mouth = brush.moved(place)
    if mood == "happy":
        mouth.polygon(
            [-0.28 + 0.08j, 0.28 + 0.08j, 0.22 - 0.14j, 0.06 - 0.26j, -0.1 - 0.24j, -0.22 - 0.12j],
            _THROAT,
            outlined=False,
        )
        mouth.ellipse(0.02 - 0.16j, 0.14 + 0.08j, _TONGUE, outlined=False)
    elif mood == "angry":
        mouth.polygon(
            [-0.26 - 0.2j, -0.14 + 0.06j, 0.16 + 0.06j, 0.28 - 0.2j], _THROAT, outlined=False
        )
        mouth.polygon(
            [-0.16 - 0.02j, -0.12 + 0.06j, 0.14 + 0.06j, 0.18 - 0.02j], WHITE, outlined=False
        )
    elif mood in ("scared", "hurt"):
        mouth.ellipse(-0.06j, 0.14 + 0.2j, _THROAT, outlined=False)
    elif mood == "hasty":
        mouth.ellipse(0j, 0.2 + 0.1j, _THROAT, outlined=False)
    elif mood in ("sleepy", "asleep"):
        mouth.stroke([-0.1 + 0j, 0.12 + 0j], 0.08, line, outlined=False)
    else:
        mouth.stroke(
            [-0.2 + 0.05j, -0.06 - 0.05j, 0.08 - 0.05j, 0.22 + 0.05j], 0.08, line, outlined=False
        )
