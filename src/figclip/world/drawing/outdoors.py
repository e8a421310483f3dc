"""Park, beach and street; the frame of reference is that of `landscape`."""

from __future__ import annotations

import random

from figclip.world.drawing.brush import Brush, Colour, mixed
from figclip.world.drawing.landscape import (
    CLOUD,
    TRUNK,
    cover_ground,
    draw_clouds,
    draw_hills,
    draw_sun,
    spread,
)

_BARK_LINE: Colour = (104, 72, 52)


def draw_park(brush: Brush, rng: random.Random, horizon: float) -> None:
    """Lawn with a winding path, round trees, a bench and flowers."""
    draw_sun(brush, rng, (255, 232, 130), radius=0.06)
    draw_clouds(brush, rng, 2, low=0.78)
    draw_hills(brush, rng, horizon, ((186, 226, 170), (166, 214, 146)), high=0.1)
    cover_ground(brush, horizon, (168, 216, 126))
    bend = rng.uniform(0.3, 0.7)
    side = rng.choice((-1, 1))
    path = [
        complex(bend, horizon),
        complex(bend + 0.05, horizon),
        complex(bend + 0.2 * side + 0.2, -0.02),
        complex(bend + 0.2 * side - 0.2, -0.02),
    ]
    brush.polygon(path, (240, 222, 178), outlined=False)
    brush.finish()
    for x in spread(rng, 4)[:3]:
        _round_tree(brush, complex(x, horizon - 0.02), size=rng.uniform(0.85, 1.2))
    _bench(brush, complex(rng.choice((0.16, 0.84)), horizon - 0.06))
    for x in spread(rng, 9):
        colour = rng.choice(((255, 250, 250), (255, 190, 210), (255, 236, 140)))
        place = complex(x, rng.uniform(0.02, horizon - 0.1))
        brush.circle(place, 0.011, colour, outlined=False)
        brush.circle(place, 0.004, (244, 180, 60), outlined=False)
    brush.finish()


def _round_tree(brush: Brush, foot: complex, *, size: float) -> None:
    tree = brush.moved(foot, size=size)
    tree.box(-0.018 + 0j, 0.036 + 0.14j, TRUNK)
    brush.finish(_BARK_LINE)
    leaf = (120, 190, 104)
    for centre, radius in ((-0.06 + 0.16j, 0.07), (0.06 + 0.16j, 0.07), (0.23j, 0.085)):
        tree.circle(centre, radius, leaf)
    tree.circle(-0.03 + 0.25j, 0.03, mixed(leaf, CLOUD, 0.3), outlined=False)
    brush.finish((74, 138, 76))


def _bench(brush: Brush, foot: complex) -> None:
    bench = brush.moved(foot)
    wood = (198, 150, 100)
    for x in (-0.08, 0.07):
        bench.box(complex(x, -0.01), 0.012 + 0.06j, (110, 110, 120))
    bench.box(-0.1 + 0.045j, 0.2 + 0.018j, wood)
    bench.box(-0.1 + 0.08j, 0.2 + 0.018j, wood)
    brush.finish((116, 82, 56))


def draw_beach(brush: Brush, rng: random.Random, horizon: float) -> None:
    """Sea with waves and a sail, sand, a palm and a parasol."""
    draw_sun(brush, rng, (255, 226, 110), radius=0.07)
    draw_clouds(brush, rng, 2, low=0.8)
    shore = horizon - 0.1
    brush.box(complex(-0.1, shore), complex(1.2, horizon + 0.06 - shore), (96, 176, 226))
    brush.finish()
    for y, shade in ((horizon + 0.02, 0.25), (horizon - 0.03, 0.4), (horizon - 0.065, 0.55)):
        for x in spread(rng, 4):
            wave = [complex(x - 0.05, y), complex(x, y + 0.007), complex(x + 0.05, y)]
            brush.stroke(wave, 0.008, mixed((96, 176, 226), CLOUD, shade), outlined=False)
    _sail(brush, complex(rng.uniform(0.25, 0.75), horizon + 0.05))
    foam = [complex(idx / 8, shore + 0.008 * (-1) ** idx) for idx in range(-1, 10)]
    brush.stroke(foam, 0.026, (252, 254, 255), outlined=False)
    brush.finish()
    side = rng.choice((0, 1))
    _palm(brush, complex(0.1 + 0.8 * side, shore - 0.05), lean=1 - 2 * side)
    _parasol(brush, complex(0.86 - 0.72 * side, shore - 0.03))
    for x in spread(rng, 5):
        place = complex(x, rng.uniform(0.02, shore - 0.14))
        shell = rng.choice(((255, 214, 200), (255, 244, 232)))
        brush.circle(place, 0.012, shell)
    brush.finish((208, 168, 130))


def _sail(brush: Brush, foot: complex) -> None:
    boat = brush.moved(foot)
    boat.polygon([-0.05 + 0j, 0.05 + 0j, 0.035 - 0.022j, -0.035 - 0.022j], (206, 150, 110))
    boat.polygon([0.012j, 0.12j, 0.045 + 0.012j], (255, 252, 246))
    brush.finish((120, 130, 160))


def _palm(brush: Brush, foot: complex, *, lean: int) -> None:
    palm = brush.moved(foot)
    top = complex(0.06 * lean, 0.36)
    palm.stroke([0j, complex(0.015 * lean, 0.18), top], 0.028, (190, 146, 98))
    brush.finish((122, 88, 60))
    for tip in (-0.15 - 0.03j, -0.12 + 0.06j, 0.02 + 0.11j, 0.13 + 0.05j, 0.15 - 0.04j):
        palm.polygon([top - 0.02, top + tip * 0.6 + 0.04j, top + tip, top + 0.02], (112, 186, 112))
    brush.finish((70, 134, 82))


def _parasol(brush: Brush, foot: complex) -> None:
    parasol = brush.moved(foot, turn_degrees=8)
    parasol.stroke([0j, 0.2j], 0.012, (246, 246, 246))
    dome = [complex(0.13 * x, 0.18 + 0.09 * (1 - x * x)) for x in (-1, -0.6, -0.2, 0.2, 0.6, 1)]
    parasol.polygon(dome, (255, 158, 146))
    brush.finish((170, 96, 92))
    parasol.polygon([dome[2], dome[3], 0.045 + 0.18j, -0.045 + 0.18j], CLOUD, outlined=False)
    brush.finish()


def draw_street(brush: Brush, rng: random.Random, horizon: float) -> None:
    """House fronts, pavement, a road with a dashed line, a lamp and a car."""
    walls = ((222, 178, 160), (204, 196, 176), (176, 190, 206), (226, 204, 160), (196, 170, 186))
    x, last = -0.06, -1
    while x < 1:
        width, high = rng.uniform(0.19, 0.27), rng.uniform(0.26, 0.42)
        pick = rng.choice([idx for idx in range(len(walls)) if idx != last])
        _house(brush, rng, complex(x, horizon), size=complex(width, high), wall=walls[pick])
        x, last = x + width, pick
    brush.box(complex(-0.1, horizon - 0.08), complex(1.2, 0.085), (210, 208, 206))
    brush.finish((150, 150, 156))
    for idx in range(7):
        left = idx * 0.18 - 0.12 + rng.uniform(0, 0.02)
        brush.box(complex(left, 0.06), 0.1 + 0.022j, (250, 246, 226), outlined=False)
    brush.finish()
    lamp = complex(rng.choice((0.08, 0.92)), horizon - 0.05)
    brush.stroke([lamp, lamp + 0.36j], 0.018, (96, 104, 118))
    brush.circle(lamp + 0.38j, 0.032, (255, 240, 170))
    brush.finish((70, 76, 90))
    _car(brush, complex(1 - lamp.real + rng.uniform(-0.05, 0.05), horizon - 0.05))


def _house(
    brush: Brush, rng: random.Random, corner: complex, *, size: complex, wall: Colour
) -> None:
    brush.box(corner, size, wall)
    brush.finish(mixed(wall, (60, 60, 80), 0.45))
    columns = 2
    rows = int(size.imag / 0.12)
    for row in range(rows):
        for column in range(columns):
            place = corner + complex(size.real * (0.18 + 0.42 * column), 0.07 + 0.115 * row)
            light = rng.choice(((255, 246, 196), (214, 232, 244)))
            brush.box(place, complex(size.real * 0.22, 0.06), light)
    brush.finish(mixed(wall, (60, 60, 80), 0.35))


def _car(brush: Brush, foot: complex) -> None:
    car = brush.moved(foot)
    paint = (146, 186, 196)
    car.polygon(
        [-0.13 + 0.03j, -0.13 + 0.075j, -0.07 + 0.085j, -0.04 + 0.135j, 0.05 + 0.135j]
        + [0.08 + 0.085j, 0.135 + 0.075j, 0.135 + 0.03j],
        paint,
    )
    car.polygon([-0.05 + 0.085j, -0.03 + 0.122j, 0.042 + 0.122j, 0.06 + 0.085j], (226, 240, 246))
    for x in (-0.07, 0.075):
        car.circle(complex(x, 0.03), 0.028, (82, 84, 96))
        car.circle(complex(x, 0.03), 0.012, (200, 204, 212), outlined=False)
    brush.finish((70, 88, 104))
