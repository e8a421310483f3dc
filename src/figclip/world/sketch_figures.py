"""How the sketch's figures and scenes look: shapes, animals and people over a ground.

The plane is seen from above and the figures from the side, as in old role-playing games, so that up
and down are directions too; a figure above its shadow is in the air.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw

FRAME_PX = 128
ACTORS = ("dog", "cat", "bird", "man", "woman")
PROPS = ("ball", "box", "triangle")
SIZES_PX = {"small": 22, "large": 33}
SCENES = ("beach", "forest", "road", "room")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 50, 48),
    "green": (30, 150, 60),
    "blue": (40, 100, 225),
    "yellow": (252, 208, 30),
    "white": (252, 252, 252),
    "black": (58, 56, 64),
}

_Color = tuple[int, int, int]
Line = tuple[float, float, float, float]
"""x, y of both ends, in pixels of the frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Someone or something to draw: one of `ACTORS` or `PROPS`, of `COLOURS`, of `SIZES_PX`."""

    kind: str
    colour: str
    size: str

    @property
    def text(self) -> str:
        """What an annotator calls it."""
        if self.kind in ("man", "woman"):
            return f"{self.size} {self.kind} in {self.colour}"
        return f"{self.size} {self.colour} {self.kind}"

    @property
    def side_px(self) -> int:
        """Side of the square that it is drawn in."""
        return SIZES_PX[self.size]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A figure at its place.

    Attributes:
        x: Centre from the left, in pixels of the frame.
        y: Centre from the top, when it stands on the ground.
        height: How far above the ground, in pixels.
        angle: Turned clockwise, in degrees.
        faces_left: Mirrored; figures face right by themselves.
        steps: Steps made so far, for the legs.
    """

    figure: Figure
    x: float
    y: float
    height: float = 0.0
    angle: float = 0.0
    faces_left: bool = False
    steps: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What one frame shows over its scene, in pixels of the frame.

    Attributes:
        placed: The figures.
        marks: Lines on the ground: footprints, paths.
        ropes: Lines in the air: what holds figures together, what a falling one leaves behind.
        burst: Where something is struck.
    """

    placed: tuple[Placed, ...]
    marks: tuple[Line, ...] = ()
    ropes: tuple[Line, ...] = ()
    burst: tuple[float, float] | None = None


# Everything is drawn twice as large and halved: Pillow's lines are not smooth.
_ZOOM = 2
_SPRITE_ZOOM = 8
_INK = (38, 34, 46)
_SKIN = (243, 200, 160)


def render(picture: Picture, scene: str) -> Image.Image:
    """Draws one frame: ground, marks, shadows, ropes, figures from back to front, burst.

    Args:
        picture: What is on the ground.
        scene: One of `SCENES`.

    Returns:
        An RGB image of `FRAME_PX` squared.
    """
    image = _scene_image(scene).copy()
    draw = ImageDraw.Draw(image)
    for line in picture.marks:
        draw.line(_zoomed(line), fill=(255, 255, 255), width=5)
        draw.line(_zoomed(line), fill=_INK, width=3)
    for placed in picture.placed:
        half, y = placed.figure.side_px * 0.42, placed.y + placed.figure.side_px / 2 - 1
        draw.ellipse(
            _zoomed((placed.x - half, y - 3, placed.x + half, y + 3)), fill=(120, 112, 108)
        )
    for rope in picture.ropes:
        draw.line(_zoomed(rope), fill=_INK, width=5)
    for placed in sorted(picture.placed, key=lambda placed: placed.y):
        _paste(image, placed)
    if picture.burst is not None:
        _draw_burst(draw, *picture.burst)
    return image.reduce(_ZOOM)


def _zoomed(numbers: Sequence[float]) -> list[float]:
    """Pixels of the frame as pixels of the drawing."""
    return [_ZOOM * number for number in numbers]


def _paste(image: Image.Image, placed: Placed) -> None:
    """Put a figure on the picture."""
    phase = int(placed.steps * 2) % 2
    sprite = _sprite(placed.figure, phase)
    if placed.faces_left:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if placed.angle:
        sprite = sprite.rotate(-placed.angle, Image.Resampling.BICUBIC, expand=True)
    corner = (
        round(_ZOOM * placed.x - sprite.width / 2),
        round(_ZOOM * (placed.y - placed.height) - sprite.height / 2),
    )
    image.paste(sprite, corner, sprite)


def _draw_burst(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    """The star of a blow."""
    points = [
        (
            _ZOOM * (x + radius * math.cos(math.tau * corner / 16)),
            _ZOOM * (y + radius * math.sin(math.tau * corner / 16)),
        )
        for corner, radius in enumerate([11, 5] * 8)
    ]
    draw.polygon(points, fill=(255, 236, 70), outline=(226, 80, 20), width=3)


@lru_cache(maxsize=256)
def _sprite(figure: Figure, phase: int) -> Image.Image:
    """A figure facing right on a transparent square, in one of two phases of its step."""
    side = figure.side_px * _SPRITE_ZOOM
    image = Image.new("RGBA", (side, side))
    pen = _Pen(draw=ImageDraw.Draw(image), side=side, color=COLOURS[figure.colour])
    _SPRITES[figure.kind](pen, 0.06 if phase else -0.06)
    zoomed_px = figure.side_px * _ZOOM
    return image.resize((zoomed_px, zoomed_px), Image.Resampling.LANCZOS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pen:
    """Draws outlined shapes in a unit square, y downwards."""

    draw: ImageDraw.ImageDraw
    side: int
    color: _Color

    def _scaled(self, numbers: Sequence[float]) -> list[float]:
        return [self.side * number for number in numbers]

    @property
    def _width(self) -> int:
        return max(1, round(0.045 * self.side))

    def oval(self, *box: float, fill: _Color | None = None) -> None:
        self.draw.ellipse(
            self._scaled(box), fill=fill or self.color, outline=_INK, width=self._width
        )

    def shape(self, *points: float, fill: _Color | None = None) -> None:
        scaled = self._scaled(points)
        self.draw.polygon(scaled, fill=fill or self.color, outline=_INK, width=self._width)

    def line(self, *points: float, fill: _Color = _INK, width: float = 0.08) -> None:
        scaled, pixels = self._scaled(points), round(width * self.side)
        self.draw.line(scaled, fill=fill, width=pixels, joint="curve")

    def limb(self, *points: float, fill: _Color | None = None) -> None:
        self.line(*points, width=0.15)
        self.line(*points, fill=fill or self.color, width=0.07)

    def eye(self, x: float, y: float) -> None:
        self.draw.ellipse(
            self._scaled((x - 0.06, y - 0.06, x + 0.06, y + 0.06)), fill=(255, 255, 255)
        )
        self.draw.ellipse(self._scaled((x - 0.01, y - 0.035, x + 0.05, y + 0.035)), fill=_INK)


def _sprite_dog(pen: _Pen, step: float) -> None:
    """Long snout, hanging ear, tail up."""
    for x in (0.2, 0.34, 0.56, 0.68):
        step = -step
        pen.limb(x, 0.7, x + step, 0.95)
    pen.limb(0.14, 0.55, 0.05, 0.28)
    pen.oval(0.08, 0.42, 0.78, 0.8)
    pen.oval(0.68, 0.3, 0.98, 0.54)
    pen.oval(0.5, 0.12, 0.86, 0.54)
    pen.oval(0.9, 0.32, 0.99, 0.42, fill=_INK)
    pen.oval(0.46, 0.16, 0.64, 0.56, fill=_darker(pen.color))
    pen.eye(0.74, 0.27)


def _sprite_cat(pen: _Pen, step: float) -> None:
    """Pointed ears, whiskers, long curved tail."""
    pen.limb(0.14, 0.66, 0.04, 0.5, 0.1, 0.28, 0.02, 0.14)
    for x in (0.2, 0.32, 0.52, 0.64):
        step = -step
        pen.limb(x, 0.75, x + step, 0.95)
    pen.oval(0.08, 0.5, 0.72, 0.84)
    pen.shape(0.5, 0.34, 0.5, 0.04, 0.7, 0.2)
    pen.shape(0.76, 0.2, 0.95, 0.04, 0.95, 0.34)
    pen.oval(0.46, 0.14, 0.98, 0.62)
    pen.eye(0.62, 0.34)
    pen.eye(0.83, 0.34)
    pen.line(0.7, 0.5, 0.99, 0.44, width=0.03)
    pen.line(0.7, 0.5, 0.99, 0.54, width=0.03)
    pen.line(0.74, 0.5, 0.45, 0.44, width=0.03)
    pen.line(0.74, 0.5, 0.45, 0.54, width=0.03)


def _sprite_bird(pen: _Pen, step: float) -> None:
    """Round, with a beak, a wing and thin legs."""
    orange = (245, 140, 30)
    pen.line(0.42, 0.8, 0.42 + step, 0.97, fill=_INK)
    pen.line(0.56, 0.8, 0.56 - step, 0.97, fill=_INK)
    pen.shape(0.2, 0.5, 0.0, 0.34, 0.04, 0.62, fill=_darker(pen.color))
    pen.shape(0.76, 0.26, 1.0, 0.37, 0.76, 0.46, fill=orange)
    pen.oval(0.12, 0.34, 0.76, 0.86)
    pen.oval(0.46, 0.08, 0.86, 0.5)
    pen.shape(0.5, 0.54, 0.16, 0.42 + 2 * step, 0.3, 0.72, fill=_darker(pen.color))
    pen.eye(0.7, 0.25)


def _sprite_man(pen: _Pen, step: float) -> None:
    """Short hair, shirt, trousers."""
    trousers = (96, 92, 110)
    pen.limb(0.44, 0.66, 0.42 - step, 0.94, fill=trousers)
    pen.limb(0.56, 0.66, 0.58 + step, 0.94, fill=trousers)
    pen.shape(0.32, 0.38, 0.68, 0.38, 0.66, 0.72, 0.34, 0.72)
    pen.limb(0.36, 0.44, 0.22 + step, 0.62)
    pen.limb(0.62, 0.44, 0.86, 0.52 - step)
    pen.oval(0.32, 0.03, 0.68, 0.4, fill=_SKIN)
    pen.shape(0.3, 0.18, 0.34, 0.05, 0.5, 0.0, 0.66, 0.05, 0.68, 0.13, fill=(110, 66, 34))
    pen.eye(0.59, 0.22)


def _sprite_woman(pen: _Pen, step: float) -> None:
    """Long hair, wide skirt."""
    hair = (150, 82, 30)
    pen.limb(0.43, 0.8, 0.42 - step, 0.95, fill=_SKIN)
    pen.limb(0.57, 0.8, 0.58 + step, 0.95, fill=_SKIN)
    pen.oval(0.24, 0.01, 0.66, 0.62, fill=hair)
    pen.shape(0.4, 0.38, 0.6, 0.38, 0.84, 0.84, 0.16, 0.84)
    pen.limb(0.58, 0.46, 0.86, 0.54 - step)
    pen.oval(0.36, 0.06, 0.7, 0.4, fill=_SKIN)
    pen.shape(0.32, 0.24, 0.36, 0.06, 0.54, 0.01, 0.7, 0.12, 0.46, 0.16, fill=hair)
    pen.eye(0.61, 0.24)


def _sprite_ball(pen: _Pen, step: float) -> None:
    """A ball with a band and a highlight."""
    del step
    pen.oval(0.06, 0.06, 0.96, 0.96)
    pen.line(0.12, 0.64, 0.5, 0.74, 0.9, 0.64, width=0.06)
    pen.oval(0.24, 0.2, 0.46, 0.4, fill=(255, 255, 255))


def _sprite_box(pen: _Pen, step: float) -> None:
    """A box with a cross on it."""
    del step
    pen.shape(0.08, 0.14, 0.92, 0.14, 0.92, 0.94, 0.08, 0.94)
    pen.line(0.12, 0.18, 0.88, 0.9, fill=_darker(pen.color))
    pen.line(0.88, 0.18, 0.12, 0.9, fill=_darker(pen.color))


def _sprite_triangle(pen: _Pen, step: float) -> None:
    """A plain triangle."""
    del step
    pen.shape(0.5, 0.06, 0.96, 0.93, 0.04, 0.93)


_SPRITES: dict[str, Callable[[_Pen, float], None]] = {
    "dog": _sprite_dog,
    "cat": _sprite_cat,
    "bird": _sprite_bird,
    "man": _sprite_man,
    "woman": _sprite_woman,
    "ball": _sprite_ball,
    "box": _sprite_box,
    "triangle": _sprite_triangle,
}


def _darker(color: _Color) -> _Color:
    """The colour in the shade."""
    red, green, blue = (int(0.72 * part) for part in color)
    return red, green, blue


@lru_cache(maxsize=len(SCENES))
def _scene_image(scene: str) -> Image.Image:
    """The ground of a scene, `_ZOOM` times as large as a frame."""
    image = Image.new("RGB", (_ZOOM * FRAME_PX, _ZOOM * FRAME_PX), _GROUNDS[scene])
    draw = ImageDraw.Draw(image)
    _SCENE_PAINTERS[scene](draw)
    return image


def _paint_beach(draw: ImageDraw.ImageDraw) -> None:
    """Sea and sun above, sand below."""
    draw.rectangle((0, 0, 256, 28), fill=(190, 226, 248))
    draw.ellipse((200, -14, 240, 26), fill=(255, 214, 80))
    draw.rectangle((0, 28, 256, 66), fill=(72, 160, 214))
    for row, y in enumerate((36, 48, 60)):
        for x in range(-20 + 16 * (row % 2), 256, 36):
            draw.arc((x, y - 5, x + 22, y + 7), 200, 340, fill=(235, 248, 255), width=3)
    for idx in range(40):
        x, y = (idx * 67 + 11) % 256, 76 + (idx * 41) % 176
        draw.ellipse((x, y, x + 3, y + 3), fill=(222, 194, 134))


def _paint_forest(draw: ImageDraw.ImageDraw) -> None:
    """A row of firs above, grass below."""
    draw.rectangle((0, 0, 256, 40), fill=(150, 196, 150))
    for idx, x in enumerate(range(-8, 256, 30)):
        y = 8 * (idx % 2)
        draw.rectangle((x + 14, y + 50, x + 22, y + 66), fill=(112, 78, 48))
        for top in (-10, 10, 28):
            points = [(x + 18, y + top), (x - 2, y + top + 28), (x + 38, y + top + 28)]
            draw.polygon(points, fill=(38, 104, 62), outline=(24, 74, 46))
    for idx in range(36):
        x, y = (idx * 73 + 5) % 256, 84 + (idx * 47) % 168
        draw.line((x, y, x - 3, y - 7), fill=(126, 172, 104), width=2)
        draw.line((x, y, x + 3, y - 7), fill=(126, 172, 104), width=2)


def _paint_road(draw: ImageDraw.ImageDraw) -> None:
    """Houses and a pavement above, a road with a dashed line below."""
    draw.rectangle((0, 0, 256, 50), fill=(196, 224, 244))
    houses = ((206, 120, 104), (226, 196, 130), (150, 160, 196), (206, 150, 160))
    for idx, color in enumerate(houses):
        x, top = 66 * idx - 4, 6 + 10 * (idx % 2)
        draw.rectangle((x, top, x + 58, 50), fill=color)
        for window in (10, 36):
            draw.rectangle((x + window, top + 9, x + window + 12, top + 24), fill=(250, 244, 200))
    draw.rectangle((0, 50, 256, 64), fill=(222, 218, 212))
    for x in range(-10, 256, 56):
        draw.rectangle((x, 148, x + 32, 155), fill=(250, 250, 250))
    draw.rectangle((0, 240, 256, 256), fill=(222, 218, 212))


def _paint_room(draw: ImageDraw.ImageDraw) -> None:
    """A wall with window and picture above, floorboards below."""
    draw.rectangle((0, 0, 256, 62), fill=(206, 190, 222))
    draw.rectangle((34, 6, 92, 50), fill=(190, 230, 250), outline=(250, 250, 250), width=5)
    draw.line((63, 6, 63, 50), fill=(250, 250, 250), width=4)
    draw.rectangle((160, 10, 206, 46), fill=(240, 226, 180), outline=(132, 92, 56), width=4)
    draw.rectangle((0, 62, 256, 70), fill=(150, 112, 80))
    for row, y in enumerate(range(70, 256, 24)):
        draw.line((0, y, 256, y), fill=(196, 158, 118), width=2)
        for x in range(40 + 50 * (row % 2), 256, 100):
            draw.line((x, y, x, y + 24), fill=(196, 158, 118), width=2)


_GROUNDS: dict[str, _Color] = {
    "beach": (243, 224, 172),
    "forest": (178, 214, 150),
    "road": (176, 176, 184),
    "room": (222, 188, 148),
}
_SCENE_PAINTERS: dict[str, Callable[[ImageDraw.ImageDraw], None]] = {
    "beach": _paint_beach,
    "forest": _paint_forest,
    "road": _paint_road,
    "room": _paint_room,
}
