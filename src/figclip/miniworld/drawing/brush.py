"""Draw flat shapes with soft outlines, large and then shrunk; and the colours of actors.

Points are complex numbers: the real part goes right (forward), the imaginary part up. A turn is
then a multiplication, and a tilted head is drawn in its own frame as if it were upright.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

_CIRCLE = tuple(cmath.rect(1, 2 * math.pi * idx / 22) for idx in range(22))


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """The colour with a share in [0, 1] of the other."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def direction(degrees: float) -> complex:
    """Unit step at an angle from straight down, forward positive: 90 is forward, 180 is up."""
    return cmath.rect(1, math.radians(degrees - 90))


@dataclass(frozen=True, slots=True)
class _Shape:
    """A polygon, or a stroke where it has a width; in pixels of the large canvas."""

    points: list[tuple[float, float]]
    fill: Colour
    outlined: bool
    width: float = 0
    swollen: list[tuple[float, float]] | None = None


@dataclass(slots=True, kw_only=True)
class Brush:
    """Collects shapes in one frame of reference; `finish` paints them with a common outline.

    Shapes finished together merge: the outline goes round all of them, not between them. Brushes
    made with `moved` share their shapes and their canvas.
    """

    _draw: ImageDraw.ImageDraw
    _shapes: list[_Shape]
    _outline_px: float
    _offset: complex
    _turn: complex

    @classmethod
    def on(
        cls, image: Image.Image, *, origin_px: complex, unit_px: float, outline_px: float
    ) -> Brush:
        """A brush whose 0 is at a pixel of the image, counted to the right and down."""
        return cls(
            _draw=ImageDraw.Draw(image),
            _shapes=[],
            _outline_px=outline_px,
            _offset=origin_px.conjugate(),
            _turn=complex(unit_px),
        )

    def moved(self, centre: complex, *, turn_degrees: float = 0, size: float = 1) -> Brush:
        """The same canvas in a frame that is moved, turned counter-clockwise and scaled."""
        return replace(
            self,
            _offset=self._offset + centre * self._turn,
            _turn=self._turn * cmath.rect(size, math.radians(turn_degrees)),
        )

    def ellipse(
        self,
        centre: complex,
        radii: complex,
        fill: Colour,
        *,
        turn_degrees: float = 0,
        outlined: bool = True,
    ) -> None:
        """An ellipse; radii holds the half width and the half height."""
        turn = self._turn * cmath.rect(1, math.radians(turn_degrees))
        middle = self._offset + centre * self._turn
        swell = self._outline_px / abs(self._turn)
        swollen = _ring(middle, radii + complex(swell, swell), turn) if outlined else None
        shape = _Shape(_ring(middle, radii, turn), fill, outlined, swollen=swollen)
        self._shapes.append(shape)

    def circle(
        self, centre: complex, radius: float, fill: Colour, *, outlined: bool = True
    ) -> None:
        """A disc."""
        self.ellipse(centre, complex(radius, radius), fill, outlined=outlined)

    def polygon(self, points: Sequence[complex], fill: Colour, *, outlined: bool = True) -> None:
        """A filled polygon."""
        self._shapes.append(_Shape(self._placed(points), fill, outlined))

    def box(self, corner: complex, size: complex, fill: Colour, *, outlined: bool = True) -> None:
        """A rectangle from its lower left corner."""
        wide, high = complex(size.real), complex(0, size.imag)
        self.polygon([corner, corner + wide, corner + size, corner + high], fill, outlined=outlined)

    def stroke(
        self, points: Sequence[complex], width: float, fill: Colour, *, outlined: bool = True
    ) -> None:
        """A line with round ends and corners."""
        shape = _Shape(self._placed(points), fill, outlined, width=width * abs(self._turn))
        self._shapes.append(shape)

    def finish(self, outline: Colour | None = None) -> None:
        """Paints what was collected, round it the outline; without a colour only the fills."""
        if outline is not None:
            for shape in self._shapes:
                if shape.swollen is not None:
                    self._draw.polygon(shape.swollen, fill=outline)
                elif shape.outlined:
                    points = shape.points if shape.width else [*shape.points, shape.points[0]]
                    self._line(points, shape.width + 2 * self._outline_px, outline)
        for shape in self._shapes:
            if shape.width:
                self._line(shape.points, shape.width, shape.fill)
            else:
                self._draw.polygon(shape.points, fill=shape.fill)
        self._shapes.clear()

    def _placed(self, points: Sequence[complex]) -> list[tuple[float, float]]:
        """Points of this frame in pixels."""
        placed = [self._offset + point * self._turn for point in points]
        return [(point.real, -point.imag) for point in placed]

    def _line(self, points: list[tuple[float, float]], width: float, fill: Colour) -> None:
        """A thick line; discs round its corners, which Pillow leaves open."""
        self._draw.line(points, fill=fill, width=max(1, round(width)))
        radius = width / 2
        if radius > 1:
            for x, y in points:
                self._draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill)


def _ring(middle: complex, radii: complex, turn: complex) -> list[tuple[float, float]]:
    """The corners of an ellipse in pixels."""
    points = [
        middle + complex(step.real * radii.real, step.imag * radii.imag) * turn for step in _CIRCLE
    ]
    return [(point.real, -point.imag) for point in points]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sprite:
    """A small RGBA picture and where it is held: pixels to the right and down from its corner."""

    image: Image.Image
    anchor_px: tuple[int, int]

    def mirrored(self) -> Sprite:
        """Left and right exchanged."""
        x, y = self.anchor_px
        return Sprite(
            image=self.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
            anchor_px=(self.image.width - x, y),
        )

    def put_on(self, canvas: Image.Image, x_px: float, y_px: float) -> None:
        """Blends it into an RGB canvas, anchor at the place, cut off at the borders."""
        # Half pixels go the same way whether the picture is mirrored or not.
        corner = (math.floor(x_px + 0.5) - self.anchor_px[0], round(y_px) - self.anchor_px[1])
        canvas.paste(self.image, corner, self.image)


def shrunk(image: Image.Image, *, factor: int, anchor_px: tuple[int, int]) -> Sprite:
    """A sprite from a canvas drawn `factor` times too large, cut to what is on it."""
    small = image.reduce(factor)
    left, top, right, bottom = small.getbbox() or (0, 0, 1, 1)
    return Sprite(
        image=small.crop((left, top, right, bottom)),
        anchor_px=(anchor_px[0] - left, anchor_px[1] - top),
    )


WHITE: Colour = (252, 252, 254)
INK: Colour = (38, 34, 52)
PINK: Colour = (250, 150, 170)
BEAK: Colour = (255, 168, 38)
METAL: Colour = (176, 182, 196)
COLLAR: Colour = (52, 188, 190)
# Muzzles and bellies, whatever the fur's colour: a second sign of the kind.
PATCHES: dict[str, Colour] = {
    "cat": (255, 250, 246),
    "dog": (255, 236, 206),
    "rabbit": (255, 250, 250),
    "bear": (226, 184, 134),
    "frog": (232, 244, 176),
}
TROUSERS: Colour = (84, 90, 116)
SKINS: tuple[Colour, ...] = ((250, 212, 178), (226, 172, 128), (150, 100, 72))
HAIRS: tuple[Colour, ...] = ((104, 66, 40), (62, 44, 38), (46, 36, 34))

_BASES: dict[str, Colour] = {
    "red": (222, 48, 50),
    "orange": (246, 134, 28),
    "yellow": (252, 216, 48),
    "green": (56, 160, 66),
    "blue": (48, 104, 222),
    "purple": (148, 72, 196),
    "white": (246, 247, 252),
    "black": (46, 45, 56),
}


@dataclass(frozen=True, slots=True)
class Shades:
    """A colour as it is drawn.

    Attributes:
        dark: Limbs on the far side, ears and tails.
        light: Bellies and muzzles.
        outline: Round everything; light round black, so that black shows in the dark.
        line: Closed eyes and brows on the base.
    """

    base: Colour
    dark: Colour
    light: Colour
    outline: Colour
    line: Colour


def shades(colour: str) -> Shades:
    """The shades of one of `situations.COLOURS`."""
    base = _BASES[colour]
    if colour == "black":
        return Shades(base, (30, 29, 38), (112, 110, 126), (146, 146, 166), (236, 236, 244))
    if colour == "white":
        return Shades(base, (204, 209, 224), (226, 229, 240), (92, 98, 126), INK)
    light = mixed(base, (255, 246, 226), 0.62)
    return Shades(base, mixed(base, INK, 0.26), light, mixed(base, INK, 0.74), INK)
