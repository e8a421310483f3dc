"""Draw the heads of all kinds, and eyes and mouths by mood.

A head has its own frame: centre 0, radius 1, looking right. What lies behind the skull comes first.
The kinds differ in silhouette, so that they can be told apart in small pictures and in the same
colours.
"""

from figclip.miniworld.drawing.brush import (
    BEAK,
    HAIRS,
    INK,
    METAL,
    PATCHES,
    PINK,
    SKINS,
    WHITE,
    Brush,
    Colour,
    Shades,
    mixed,
)

MOODS = ("calm", "happy", "angry", "sleepy", "hasty", "asleep", "scared", "hurt")

_TONGUE: Colour = (232, 84, 96)
_THROAT: Colour = (120, 26, 44)


def draw_eyes(
    brush: Brush, places: tuple[complex, complex], *, mood: str, line: Colour, lid: Colour
) -> None:
    """Both eyes."""
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


def draw_head(brush: Brush, kind: str, *, shades: Shades, mood: str, look: int) -> None:
    """Draws the head of one of `situations.KINDS`."""
    if kind in _PEOPLE:
        _PEOPLE[kind](brush, shades, mood, SKINS[look], HAIRS[look])
    else:
        _ANIMALS[kind](brush, shades, mood)


def _face(
    brush: Brush,
    shades: Shades,
    mood: str,
    *,
    eyes: tuple[complex, complex] = (0.08 + 0.16j, 0.62 + 0.16j),
    mouth: complex = 0.46 - 0.48j,
    skin: Colour | None = None,
    line: Colour | None = None,
) -> None:
    """Eyes and mouth; by default on fur of the base colour, the mouth on the muzzle."""
    lid = skin or shades.base
    draw_eyes(brush, eyes, mood=mood, line=line or shades.line, lid=lid)
    draw_mouth(brush, mouth, mood=mood, line=line or INK)


def _cat(brush: Brush, shades: Shades, mood: str) -> None:
    for tip, left, right in (
        (-1.0 + 1.66j, -1.02 + 0.1j, 0.0 + 0.84j),
        (0.92 + 1.66j, 0.1 + 0.86j, 1.0 + 0.2j),
    ):
        brush.polygon([left, tip, right], shades.base)
    brush.ellipse(0j, 1.06 + 0.94j, shades.base)
    brush.polygon([-0.82 + 0.6j, -0.86 + 1.3j, -0.34 + 0.86j], PINK, outlined=False)
    brush.polygon([0.36 + 0.88j, 0.8 + 1.3j, 0.82 + 0.62j], PINK, outlined=False)
    brush.finish(shades.outline)
    brush.ellipse(0.46 - 0.4j, 0.48 + 0.34j, PATCHES["cat"], outlined=False)
    _face(brush, shades, mood)
    brush.polygon([0.4 - 0.16j, 0.66 - 0.16j, 0.53 - 0.31j], PINK, outlined=False)
    for end in (1.5 - 0.12j, 1.5 - 0.48j):
        brush.stroke([0.84 - 0.34j, end], 0.07, shades.line, outlined=False)
    for end in (-0.66 - 0.3j, -0.64 - 0.56j):
        brush.stroke([0.02 - 0.38j, end], 0.07, shades.line, outlined=False)
    brush.finish()


def _dog(brush: Brush, shades: Shades, mood: str) -> None:
    brush.ellipse(0j, 0.96 + 0.96j, shades.base)
    brush.ellipse(0.92 - 0.32j, 0.78 + 0.42j, PATCHES["dog"])
    brush.finish(shades.outline)
    _face(brush, shades, mood, eyes=(0.06 + 0.3j, 0.58 + 0.3j), mouth=0.86 - 0.48j)
    if mood in ("happy", "hasty"):
        brush.ellipse(0.84 - 0.74j, 0.16 + 0.26j, (240, 100, 120), outlined=False)
    brush.ellipse(1.5 - 0.1j, 0.28 + 0.24j, INK, outlined=False)
    brush.finish()
    brush.ellipse(-0.78 - 0.14j, 0.46 + 1.04j, shades.dark, turn_degrees=-16)
    brush.finish(shades.outline)


def _rabbit(brush: Brush, shades: Shades, mood: str) -> None:
    for x, tilt in ((-0.46, 12), (0.34, -6)):
        brush.ellipse(complex(x, 1.62), 0.34 + 1.12j, shades.base, turn_degrees=tilt)
    brush.ellipse(0j, 0.98 + 0.92j, shades.base)
    for x, tilt in ((-0.46, 12), (0.34, -6)):
        brush.ellipse(complex(x, 1.7), 0.17 + 0.78j, PINK, turn_degrees=tilt, outlined=False)
    brush.finish(shades.outline)
    brush.ellipse(0.48 - 0.38j, 0.46 + 0.36j, PATCHES["rabbit"], outlined=False)
    _face(brush, shades, mood, mouth=0.5 - 0.42j)
    brush.ellipse(0.56 - 0.16j, 0.14 + 0.1j, PINK, outlined=False)
    brush.box(0.36 - 0.74j, 0.3 + 0.26j, WHITE, outlined=False)
    brush.stroke([0.51 - 0.74j, 0.51 - 0.5j], 0.04, INK, outlined=False)
    brush.finish()


def _bear(brush: Brush, shades: Shades, mood: str) -> None:
    for x in (-0.86, 0.82):
        brush.circle(complex(x, 0.84), 0.5, shades.base)
    brush.ellipse(0j, 1.2 + 0.98j, shades.base)
    for x in (-0.86, 0.82):
        brush.circle(complex(x, 0.88), 0.3, PATCHES["bear"], outlined=False)
    brush.finish(shades.outline)
    brush.ellipse(0.5 - 0.36j, 0.62 + 0.46j, PATCHES["bear"], outlined=False)
    _face(brush, shades, mood, eyes=(0.06 + 0.28j, 0.68 + 0.28j), mouth=0.5 - 0.5j)
    brush.ellipse(0.62 - 0.12j, 0.3 + 0.2j, INK, outlined=False)
    brush.finish()


def _bird(brush: Brush, shades: Shades, mood: str) -> None:
    for tip in (-0.5 + 1.5j, -0.06 + 1.62j, 0.4 + 1.44j):
        brush.polygon([-0.24 + 0.7j, tip, 0.18 + 0.7j], shades.dark)
    brush.circle(0j, 0.94, shades.base)
    brush.finish(shades.outline)
    gap = 0.2 if mood in ("happy", "scared", "hurt", "hasty", "angry") else 0.05
    brush.polygon([0.62 + 0.18j, 1.78 - 0.1j, 0.62 - 0.22j], BEAK)
    brush.polygon([0.6 - 0.2j, 1.44 - 0.24j - 1j * gap, 0.56 - 0.5j], mixed(BEAK, INK, 0.16))
    brush.finish(shades.outline)
    draw_eyes(brush, (-0.06 + 0.3j, 0.48 + 0.34j), mood=mood, line=shades.line, lid=shades.base)
    brush.finish()


def _frog(brush: Brush, shades: Shades, mood: str) -> None:
    eyes = (-0.44 + 0.78j, 0.7 + 0.78j)
    for eye in eyes:
        brush.circle(eye, 0.54, shades.base)
    brush.ellipse(-0.1j, 1.4 + 0.8j, shades.base)
    brush.finish(shades.outline)
    brush.ellipse(0.16 - 0.54j, 1.02 + 0.34j, PATCHES["frog"], outlined=False)
    large = brush.moved(0j, size=1.4)
    near, far = (eye / 1.4 for eye in eyes)
    draw_eyes(large, (near, far), mood=mood, line=shades.line, lid=shades.base)
    wide = {"happy": -0.22j, "angry": 0.18j, "scared": 0.1j, "hurt": 0.1j}.get(mood, -0.08j)
    arc = [-0.66 - 0.26j, -0.1 - 0.32j + wide, 0.7 - 0.32j + wide, 1.2 - 0.24j]
    brush.stroke(arc, 0.11, INK, outlined=False)
    brush.finish()


def _robot(brush: Brush, shades: Shades, mood: str) -> None:
    brush.stroke([0.9j, 1.34j], 0.12, METAL)
    brush.circle(1.46j, 0.22, (255, 92, 120))
    brush.box(-1.16 - 0.24j, 0.3 + 0.5j, METAL)
    brush.finish(shades.outline)
    brush.box(-0.96 - 0.84j, 1.92 + 1.72j, shades.base)
    brush.finish(shades.outline)
    brush.box(-0.5 - 0.14j, 1.46 + 0.8j, (44, 56, 84), outlined=False)
    brush.box(-0.34 - 0.66j, 1.2 + 0.36j, METAL, outlined=False)
    glow = (146, 240, 255)
    draw_eyes(brush, (0.0 + 0.26j, 0.6 + 0.26j), mood=mood, line=glow, lid=(44, 56, 84))
    for x in (-0.1, 0.2, 0.5):
        brush.stroke([complex(x, -0.64), complex(x, -0.34)], 0.06, INK, outlined=False)
    brush.finish()


def _man(brush: Brush, shades: Shades, mood: str, skin: Colour, hair: Colour) -> None:
    brush.ellipse(0j, 0.92 + 0.96j, skin)
    brush.circle(-0.62 - 0.06j, 0.2, skin)
    brush.finish(mixed(skin, INK, 0.7))
    brush.polygon(
        [-0.9 + 0.3j, -0.84 - 0.3j, -0.66 - 0.1j, -0.5 + 0.34j, -0.2 + 0.5j], hair, outlined=False
    )
    _face(brush, shades, mood, mouth=0.44 - 0.6j, skin=skin, line=INK)
    brush.ellipse(0.9 - 0.1j, 0.17 + 0.15j, mixed(skin, (220, 100, 80), 0.3), outlined=False)
    brush.stroke([0.14 - 0.38j, 0.46 - 0.3j, 0.8 - 0.38j], 0.17, hair, outlined=False)
    brush.finish()
    cap = [-0.96 + 0.4j, -0.9 + 0.84j, -0.5 + 1.16j, 0.1 + 1.2j, 0.6 + 1.04j, 0.86 + 0.66j]
    brush.polygon([*cap, 0.88 + 0.52j], shades.base)
    brush.stroke([0.6 + 0.54j, 1.4 + 0.5j], 0.2, shades.dark)
    brush.finish(shades.outline)


def _woman(brush: Brush, shades: Shades, mood: str, skin: Colour, hair: Colour) -> None:
    brush.ellipse(-0.34 + 0.1j, 0.92 + 1.0j, hair)
    brush.ellipse(-0.66 - 0.66j, 0.46 + 0.82j, hair, turn_degrees=-8)
    brush.finish(mixed(hair, INK, 0.6))
    brush.ellipse(0.06 - 0.04j, 0.86 + 0.92j, skin)
    brush.finish(mixed(skin, INK, 0.7))
    _face(brush, shades, mood, mouth=0.46 - 0.5j, skin=skin, line=INK)
    brush.ellipse(0.9 - 0.14j, 0.11 + 0.1j, mixed(skin, (220, 100, 80), 0.3), outlined=False)
    brush.ellipse(0.2 - 0.34j, 0.14 + 0.1j, PINK, outlined=False)
    brush.finish()
    fringe = [-0.96 + 0.1j, -0.8 + 0.76j, -0.2 + 1.06j, 0.5 + 0.98j, 0.9 + 0.5j, 0.1 + 0.66j]
    brush.polygon([*fringe, -0.46 + 0.34j, -0.66 - 0.1j], hair, outlined=False)
    brush.finish()
    for wing in (-0.42 + 0.36j, 0.42 + 0.2j):
        brush.polygon(
            [-0.36 + 1.04j, -0.36 + 1.04j + wing, -0.36 + 1.04j + wing.conjugate()], shades.base
        )
    brush.circle(-0.36 + 1.04j, 0.15, shades.dark)
    brush.finish(shades.outline)


_ANIMALS = {draw.__name__[1:]: draw for draw in (_cat, _dog, _rabbit, _bear, _bird, _frog, _robot)}
_PEOPLE = {"man": _man, "woman": _woman}
