"""Small signs beside actors: manners, effort, impact, sleep, music, speech.

A sign is drawn in a square of side 2 round 0, pointing right, and held by its middle.
"""

import cmath
import math
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFilter

from figclip.miniworld.drawing.brush import INK, WHITE, Brush, Colour, Sprite, shrunk

_RED: Colour = (228, 36, 44)
_ROSE: Colour = (255, 92, 138)
_GOLD: Colour = (255, 206, 40)
_MAUVE: Colour = (110, 78, 200)
_DUST: Colour = (240, 230, 212)
_ROPE: Colour = (196, 150, 84)


@lru_cache(maxsize=256)
def mark_sprite(name: str, *, side_px: int) -> Sprite:
    """One of the signs, `side_px` pixels wide and high."""
    factor = 4
    side = side_px * factor
    image = Image.new("RGBA", (side, side))
    brush = Brush.on(
        image,
        origin_px=complex(side / 2, side / 2),
        unit_px=side / 2,
        outline_px=max(0.7 * factor, 0.025 * side),
    )
    _MARKS[name](brush)
    return shrunk(image, factor=factor, anchor_px=(side_px // 2, side_px // 2))


@lru_cache(maxsize=128)
def shadow_sprite(*, width_px: int) -> Sprite:
    """A soft dark ellipse on the ground."""
    height_px = max(3, round(width_px * 0.24))
    large = Image.new("L", (2 * width_px + 8, 2 * height_px + 8))
    ImageDraw.Draw(large).ellipse([4, 4, large.width - 5, large.height - 5], fill=112)
    alpha = large.reduce(2).filter(ImageFilter.BoxBlur(1))
    tones = [Image.new("L", alpha.size, tone) for tone in (30, 26, 56)]
    return Sprite(
        image=Image.merge("RGBA", [*tones, alpha]), anchor_px=(alpha.width // 2, alpha.height // 2)
    )


def rope_sprite(start_px: complex, end_px: complex, *, width_px: float) -> Sprite:
    """A slack rope between two points of the canvas; the anchor is the canvas's origin."""
    factor, margin = 3, 4 + round(width_px)
    left, right = sorted((start_px.real, end_px.real))
    top, bottom = sorted((start_px.imag, end_px.imag))
    sag = 0.1 * (right - left)
    corner = complex(math.floor(left) - margin, math.floor(top) - margin)
    size = (
        (math.ceil(right - left) + 2 * margin) * factor,
        (math.ceil(bottom - top + sag) + 2 * margin) * factor,
    )
    image = Image.new("RGBA", size)
    brush = Brush.on(image, origin_px=0j, unit_px=factor, outline_px=0.8 * factor)
    points = []
    for idx in range(9):
        share = idx / 8
        point = start_px + (end_px - start_px) * share - corner
        points.append(complex(point.real, -point.imag - sag * 4 * share * (1 - share)))
    brush.stroke(points, width_px, _ROPE)
    brush.finish((84, 56, 28))
    return Sprite(image=image.reduce(factor), anchor_px=(-round(corner.real), -round(corner.imag)))


def _heart(brush: Brush) -> None:
    for centre, size in ((-0.34 - 0.2j, 0.62), (0.46 + 0.46j, 0.42)):
        heart = brush.moved(centre, size=size)
        heart.circle(-0.44 + 0.3j, 0.48, _ROSE)
        heart.circle(0.44 + 0.3j, 0.48, _ROSE)
        heart.polygon([-0.88 + 0.12j, -0.9j, 0.88 + 0.12j], _ROSE)
        heart.circle(-0.46 + 0.42j, 0.14, WHITE, outlined=False)
    brush.finish((150, 24, 76))


def _vein(brush: Brush) -> None:
    for quarter in range(4):
        corner = brush.moved(0j, turn_degrees=90 * quarter)
        corner.stroke([0.22 + 0.86j, 0.26 + 0.5j, 0.5 + 0.26j, 0.86 + 0.22j], 0.24, _RED)
    brush.finish(WHITE)


def _bolt(brush: Brush) -> None:
    brush.polygon(
        [0.1 + 0.9j, -0.6 - 0.14j, -0.1 - 0.1j, -0.36 - 0.9j, 0.6 + 0.24j, 0.1 + 0.2j, 0.5 + 0.9j],
        _GOLD,
    )
    brush.finish((130, 76, 0))


def _snail(brush: Brush) -> None:
    skin, shell = (208, 232, 120), (232, 104, 84)
    brush.stroke([-0.72 - 0.62j, 0.5 - 0.62j, 0.66 - 0.1j], 0.3, skin)
    for tip in (0.5 + 0.42j, 0.86 + 0.38j):
        brush.stroke([0.66 - 0.1j, tip], 0.09, skin)
        brush.circle(tip, 0.09, INK, outlined=False)
    brush.circle(-0.2 + 0.02j, 0.58, shell)
    brush.circle(-0.16 - 0.02j, 0.36, (255, 190, 150), outlined=False)
    brush.circle(-0.14 - 0.02j, 0.16, shell, outlined=False)
    brush.finish((70, 44, 34))


def _speed(brush: Brush) -> None:
    for height, start, end in ((0.62, -0.5, 0.8), (0.0, -0.9, 0.6), (-0.62, -0.4, 0.9)):
        brush.stroke([complex(start, height), complex(end, height)], 0.15, WHITE)
    brush.finish((72, 84, 124))


def _drop(brush: Brush) -> None:
    for height, start, end in ((-0.62, -0.3, 0.8), (0.0, -0.6, 0.9), (0.62, -0.3, 0.7)):
        brush.stroke([complex(height, start), complex(height, end)], 0.12, WHITE)
    brush.finish((72, 84, 124))


def _star(brush: Brush) -> None:
    for size, fill in ((0.94, (255, 120, 30)), (0.56, (255, 236, 110))):
        points = [
            cmath.rect(size * (1 if idx % 2 else 0.5), math.pi * idx / 8 + 0.2) for idx in range(16)
        ]
        brush.polygon(points, fill, outlined=fill[1] == 120)
    brush.finish((150, 36, 20))


def _dizzy(brush: Brush) -> None:
    for centre in (-0.66 - 0.1j, 0.06 + 0.3j, 0.7 - 0.06j):
        points = [
            centre + cmath.rect(0.32 if idx % 2 else 0.14, math.pi * idx / 5 - math.pi / 2 + 0.63)
            for idx in range(10)
        ]
        brush.polygon(points, _GOLD)
    brush.finish((150, 96, 10))


def _snooze(brush: Brush) -> None:
    for corner, size in ((-0.9 - 0.86j, 0.5), (-0.2 - 0.3j, 0.64), (0.5 + 0.3j, 0.42)):
        letter = brush.moved(corner, size=size)
        letter.stroke([1j, 0.9 + 1j, 0j, 0.9 + 0j], 0.26, _MAUVE)
    brush.finish(WHITE)


def _notes(brush: Brush) -> None:
    purple = (196, 30, 150)
    brush.ellipse(-0.5 - 0.56j, 0.32 + 0.25j, purple, turn_degrees=20)
    brush.ellipse(0.46 - 0.36j, 0.32 + 0.25j, purple, turn_degrees=20)
    brush.stroke([-0.24 - 0.5j, -0.24 + 0.5j], 0.14, purple)
    brush.stroke([0.72 - 0.3j, 0.72 + 0.7j], 0.14, purple)
    brush.stroke([-0.22 + 0.5j, 0.72 + 0.7j], 0.26, purple)
    brush.finish(WHITE)


def _dust(brush: Brush) -> None:
    for centre, radius in ((-0.5 - 0.3j, 0.4), (0.1 - 0.36j, 0.5), (-0.1 + 0.2j, 0.34)):
        brush.circle(centre, radius, _DUST)
    brush.circle(0.74 - 0.6j, 0.2, _DUST)
    brush.finish((150, 136, 116))


def _sweat(brush: Brush) -> None:
    for centre, tilt in ((-0.4 + 0.34j, 40), (-0.5 - 0.3j, 72), (0.1 + 0.62j, 12)):
        drop = brush.moved(centre, turn_degrees=tilt, size=0.36)
        drop.circle(-0.3j, 0.5, (112, 200, 255))
        drop.polygon([-0.46 - 0.1j, 0.9j, 0.46 - 0.1j], (112, 200, 255))
    brush.finish((36, 92, 168))


def _waves(brush: Brush) -> None:
    for radius in (0.5, 0.86):
        arc = [cmath.rect(radius, math.radians(angle)) for angle in range(-10, 81, 15)]
        brush.stroke(arc, 0.15, WHITE)
    brush.finish((72, 84, 124))


def _bubble(brush: Brush) -> None:
    brush.polygon([-0.6 - 0.1j, -0.86 - 0.9j, -0.04 - 0.4j], WHITE)
    brush.ellipse(0.2j, 0.94 + 0.66j, WHITE)
    for x in (-0.44, 0.0, 0.44):
        brush.circle(complex(x, 0.2), 0.14, (72, 84, 124), outlined=False)
    brush.finish((72, 84, 124))


def _hop(brush: Brush) -> None:
    for x, low in ((-0.7, -0.4), (-0.1, -0.9), (0.5, -0.4)):
        brush.stroke([complex(x, low), complex(x + 0.16, 0.7)], 0.14, WHITE)
    brush.finish((72, 84, 124))


def _pillow(brush: Brush) -> None:
    brush.stroke([-0.6 - 0.3j, 0.6 - 0.3j], 0.56, (206, 218, 250))
    brush.stroke([-0.5 - 0.16j, 0.4 - 0.16j], 0.2, (232, 238, 255), outlined=False)
    brush.finish((96, 106, 160))


def _prints(brush: Brush) -> None:
    for x, y in ((-0.75, -0.1), (-0.25, 0.14), (0.25, -0.1), (0.75, 0.14)):
        brush.ellipse(complex(x, y), 0.16 + 0.09j, (84, 72, 84), outlined=False)
    brush.finish()


_MARKS = {
    draw.__name__[1:]: draw
    for draw in (
        *(_heart, _vein, _bolt, _snail, _speed, _drop, _star, _dizzy, _snooze),
        *(_notes, _dust, _sweat, _waves, _bubble, _hop, _pillow, _prints),
    )
}
