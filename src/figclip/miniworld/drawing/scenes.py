"""Draw the scenery of each place, varied by a seed: sky, ground, and a few things far enough back.

Sceneries are drawn between the corners 0 and 1 + 1j, the horizon at a height. Hues are paler than
those of actors, so that actors stand out.
"""

import random
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

from figclip.miniworld.drawing.brush import Brush, Colour, mixed

_CLOUD: Colour = (255, 255, 255)
_TRUNK: Colour = (150, 106, 72)


def _spread(rng: random.Random, count: int, *, jitter: float = 0.3) -> list[float]:
    """Places across the picture, about evenly, in random order."""
    places = [(idx + 0.5 + rng.uniform(-jitter, jitter)) / count for idx in range(count)]
    rng.shuffle(places)
    return places


def _draw_clouds(brush: Brush, rng: random.Random, count: int, *, low: float) -> None:
    """White clouds, none below a height."""
    for x in _spread(rng, count):
        cloud = brush.moved(complex(x, rng.uniform(low, 0.94)), size=rng.uniform(0.7, 1.1))
        for centre, radii in (
            (-0.06 + 0j, 0.05 + 0.03j),
            (0.01 + 0.015j, 0.06 + 0.045j),
            (0.075 - 0.002j, 0.05 + 0.03j),
        ):
            cloud.ellipse(centre, radii, _CLOUD)
    brush.finish((214, 230, 244))


def _draw_sun(brush: Brush, rng: random.Random, colour: Colour, *, radius: float) -> None:
    """A sun with its halo in one of the upper corners."""
    place = complex(rng.choice((0.14, 0.86)), rng.uniform(0.82, 0.9))
    brush.circle(place, radius * 1.35, mixed(colour, (255, 255, 255), 0.5), outlined=False)
    brush.circle(place, radius, colour, outlined=False)
    brush.finish()


def _draw_hills(
    brush: Brush, rng: random.Random, horizon: float, colours: tuple[Colour, ...], *, high: float
) -> None:
    """Rounded hills that end at the horizon; the last colour is nearest."""
    for idx, colour in enumerate(colours):
        for x in _spread(rng, 3):
            rise = high * (1 - 0.3 * idx) * rng.uniform(0.7, 1.1)
            brush.ellipse(complex(x, horizon), complex(0.3, rise), colour, outlined=False)
        brush.finish()


def _cover_ground(brush: Brush, horizon: float, near: Colour) -> None:
    """Hides what hills have below the horizon."""
    brush.box(-0.1 - 0.1j, complex(1.2, horizon + 0.1), near, outlined=False)
    brush.finish()


_PALE: Colour = (250, 250, 250)


def _draw_kitchen(brush: Brush, rng: random.Random, horizon: float) -> None:
    """Tiled wall, window, cupboards, a stove with a pot and a fridge, chequered floor."""
    _floor(brush, horizon)
    side = rng.choice((0, 1))
    for row in range(2):
        for column in range(12):
            corner = complex(column * 0.09 - 0.03, horizon + 0.2 + 0.065 * row)
            brush.box(corner, 0.084 + 0.059j, (252, 248, 238), outlined=False)
    brush.finish()
    fridge = brush.moved(complex(0.02 if side == 0 else 0.78, horizon - 0.04))
    fridge.box(0j, 0.2 + 0.44j, (226, 236, 240))
    fridge.box(0.004 + 0.29j, 0.192 + 0.006j, (150, 166, 176), outlined=False)
    for low in (0.18, 0.33):
        fridge.stroke([complex(0.03, low), complex(0.03, low + 0.07)], 0.014, (150, 166, 176))
    brush.finish((124, 140, 152))
    counter = brush.moved(complex(0.24 if side == 0 else -0.02, horizon - 0.02))
    _counter(counter, rng)
    brush.finish((150, 108, 76))
    _window(brush.moved(complex(0.66 - 0.32 * side + rng.uniform(-0.05, 0.05), horizon + 0.3)))


def _floor(brush: Brush, horizon: float) -> None:
    """Tiles that run to a vanishing point."""
    rows = (0.0, 0.14, 0.27, 0.38, horizon)
    tile, other = (226, 190, 154), (198, 154, 118)
    for row in range(4):
        low, high = rows[row], rows[row + 1]
        for column in range(-4, 8):
            edges = [
                complex(0.5 + (column + step - 2) * 0.27 * (1 - y * 1.1), y)
                for step, y in ((0, low), (1, low), (1, high), (0, high))
            ]
            brush.polygon(edges, tile if (row + column) % 2 else other, outlined=False)
    brush.finish()


def _counter(counter: Brush, rng: random.Random) -> None:
    """Cupboards with a worktop, a stove and a pot."""
    stove = rng.randrange(3)
    for idx in range(3):
        left = idx * 0.26
        colour = (236, 238, 240) if idx == stove else (238, 202, 156)
        counter.box(complex(left, 0), 0.255 + 0.16j, colour)
        if idx == stove:
            counter.box(complex(left + 0.05, 0.03), 0.15 + 0.07j, (112, 120, 136))
            for knob in range(4):
                counter.circle(complex(left + 0.05 + 0.05 * knob, 0.13), 0.011, (112, 120, 136))
        else:
            counter.box(complex(left + 0.03, 0.03), 0.19 + 0.1j, (246, 218, 180))
            counter.circle(complex(left + 0.125, 0.12), 0.012, (176, 130, 92))
    counter.box(-0.02 + 0.16j, 0.82 + 0.028j, (176, 136, 108))
    pot = counter.moved(complex(stove * 0.26 + 0.125, 0.19))
    pot.box(-0.06 + 0j, 0.12 + 0.075j, (164, 176, 190))
    pot.stroke([-0.075 + 0.055j, 0.075 + 0.055j], 0.014, (120, 130, 146))
    pot.circle(0.092j, 0.014, (120, 130, 146))


def _window(window: Brush) -> None:
    """Four panes with a curtain rail."""
    window.box(-0.11 + 0j, 0.22 + 0.17j, (190, 228, 248))
    window.finish((166, 118, 82))
    window.box(-0.006 + 0j, 0.012 + 0.17j, _PALE, outlined=False)
    window.box(-0.11 + 0.08j, 0.22 + 0.012j, _PALE, outlined=False)
    for side in (-1, 1):
        window.polygon(
            [0.13 * side + 0.18j, 0.03 * side + 0.18j, 0.1 * side + 0.06j, 0.13 * side + 0.03j],
            (255, 190, 176),
        )
    window.finish((206, 138, 126))


def _draw_cave(brush: Brush, rng: random.Random, horizon: float) -> None:
    """Walls round a bright opening, hanging and standing stones, crystals."""
    mouth = complex(rng.uniform(0.3, 0.7), horizon + 0.02)
    for size, colour in ((1.18, (150, 136, 156)), (1.0, (206, 226, 240))):
        hole = [-0.13 - 0.04j, -0.14 + 0.1j, -0.07 + 0.2j, 0.04 + 0.22j, 0.12 + 0.13j, 0.13 - 0.04j]
        brush.polygon([mouth + size * point for point in hole], colour, outlined=False)
        brush.finish()
    rock, edge = (72, 62, 90), (48, 40, 64)
    for side in (-0.05, 1.05):
        wall = [complex(side, y) for y in (1.0, horizon - 0.12)]
        for y in (horizon - 0.12, horizon, 0.62, 0.74, 0.86, 1.0):
            bulge = rng.uniform(0.08, 0.17)
            wall.append(complex(side + (bulge if side < 0 else -bulge), y))
        brush.polygon(wall, rock)
    brush.box(-0.1 + 0.94j, 1.2 + 0.2j, rock)
    for x in _spread(rng, 7):
        length, width = rng.uniform(0.1, 0.26), rng.uniform(0.04, 0.065)
        brush.polygon(
            [complex(x - width, 0.97), complex(x, 0.95 - length), complex(x + width, 0.97)], rock
        )
    brush.finish(edge)
    for x in _spread(rng, 5)[:4]:
        stone = brush.moved(complex(x, horizon - 0.06), size=rng.uniform(0.7, 1.1))
        stone.polygon([-0.06 + 0j, -0.01 + 0.16j, 0.015 + 0.15j, 0.06 + 0j], (104, 92, 120))
    brush.finish((66, 56, 84))
    glow = rng.choice(((136, 226, 236), (232, 166, 236)))
    crystal = brush.moved(complex(rng.choice((0.14, 0.86)), horizon - 0.1))
    for lean, high in ((-24, 0.09), (0, 0.13), (22, 0.08)):
        shard = crystal.moved(0j, turn_degrees=-lean)
        shard.polygon(
            [-0.016 + 0j, complex(-0.02, high * 0.7), complex(0, high), complex(0.02, high * 0.7)]
            + [0.016 + 0j],
            glow,
        )
        shard.stroke(
            [0.02j, complex(0, high * 0.7)], 0.006, mixed(glow, _PALE, 0.7), outlined=False
        )
    brush.finish((78, 70, 120))
    for x in _spread(rng, 6):
        place = complex(x, rng.uniform(0.02, horizon - 0.16))
        brush.ellipse(place, 0.02 + 0.011j, (96, 84, 108), outlined=False)
    brush.finish()


_BARK_LINE: Colour = (104, 72, 52)


def _draw_park(brush: Brush, rng: random.Random, horizon: float) -> None:
    """Lawn with a winding path, round trees, a bench and flowers."""
    _draw_sun(brush, rng, (255, 232, 130), radius=0.06)
    _draw_clouds(brush, rng, 2, low=0.78)
    _draw_hills(brush, rng, horizon, ((186, 226, 170), (166, 214, 146)), high=0.1)
    _cover_ground(brush, horizon, (168, 216, 126))
    bend = rng.uniform(0.3, 0.7)
    side = rng.choice((-1, 1))
    end = complex(bend + 0.2 * side, -0.02)
    path = [complex(bend, horizon), complex(bend + 0.05, horizon), end + 0.2, end - 0.2]
    brush.polygon(path, (240, 222, 178), outlined=False)
    brush.finish()
    for x in _spread(rng, 4)[:3]:
        _round_tree(brush, complex(x, horizon - 0.02), size=rng.uniform(0.85, 1.2))
    _bench(brush, complex(rng.choice((0.16, 0.84)), horizon - 0.06))
    for x in _spread(rng, 9):
        colour = rng.choice(((255, 250, 250), (255, 190, 210), (255, 236, 140)))
        place = complex(x, rng.uniform(0.02, horizon - 0.1))
        brush.circle(place, 0.011, colour, outlined=False)
        brush.circle(place, 0.004, (244, 180, 60), outlined=False)
    brush.finish()


def _round_tree(brush: Brush, foot: complex, *, size: float) -> None:
    tree = brush.moved(foot, size=size)
    tree.box(-0.018 + 0j, 0.036 + 0.14j, _TRUNK)
    brush.finish(_BARK_LINE)
    leaf = (120, 190, 104)
    for centre, radius in ((-0.06 + 0.16j, 0.07), (0.06 + 0.16j, 0.07), (0.23j, 0.085)):
        tree.circle(centre, radius, leaf)
    tree.circle(-0.03 + 0.25j, 0.03, mixed(leaf, _CLOUD, 0.3), outlined=False)
    brush.finish((74, 138, 76))


def _bench(brush: Brush, foot: complex) -> None:
    bench = brush.moved(foot)
    wood = (198, 150, 100)
    for x in (-0.08, 0.07):
        bench.box(complex(x, -0.01), 0.012 + 0.06j, (110, 110, 120))
    bench.box(-0.1 + 0.045j, 0.2 + 0.018j, wood)
    bench.box(-0.1 + 0.08j, 0.2 + 0.018j, wood)
    brush.finish((116, 82, 56))


def _draw_beach(brush: Brush, rng: random.Random, horizon: float) -> None:
    """Sea with waves and a sail, sand, a palm and a parasol."""
    _draw_sun(brush, rng, (255, 226, 110), radius=0.07)
    _draw_clouds(brush, rng, 2, low=0.8)
    shore = horizon - 0.1
    brush.box(complex(-0.1, shore), complex(1.2, horizon + 0.06 - shore), (96, 176, 226))
    brush.finish()
    for y, shade in ((horizon + 0.02, 0.25), (horizon - 0.03, 0.4), (horizon - 0.065, 0.55)):
        for x in _spread(rng, 4):
            wave = [complex(x - 0.05, y), complex(x, y + 0.007), complex(x + 0.05, y)]
            brush.stroke(wave, 0.008, mixed((96, 176, 226), _CLOUD, shade), outlined=False)
    _sail(brush, complex(rng.uniform(0.25, 0.75), horizon + 0.05))
    foam = [complex(idx / 8, shore + 0.008 * (-1) ** idx) for idx in range(-1, 10)]
    brush.stroke(foam, 0.026, (252, 254, 255), outlined=False)
    brush.finish()
    side = rng.choice((0, 1))
    _palm(brush, complex(0.1 + 0.8 * side, shore - 0.05), lean=1 - 2 * side)
    _parasol(brush, complex(0.86 - 0.72 * side, shore - 0.03))
    for x in _spread(rng, 5):
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
    parasol.polygon([dome[2], dome[3], 0.045 + 0.18j, -0.045 + 0.18j], _CLOUD, outlined=False)
    brush.finish()


def _draw_street(brush: Brush, rng: random.Random, horizon: float) -> None:
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
    for row in range(int(size.imag / 0.12)):
        for column in range(2):
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


def _draw_forest(brush: Brush, rng: random.Random, horizon: float) -> None:
    """Tall trunks in rows up to a dark canopy, ferns and mushrooms."""
    for x in _spread(rng, 8):
        brush.box(complex(x - 0.014, horizon), 0.028 + 0.6j, (92, 132, 98), outlined=False)
    brush.finish()
    for x in _spread(rng, 5):
        width = rng.uniform(0.06, 0.085)
        foot = horizon - rng.uniform(0.0, 0.06)
        trunk = mixed((120, 88, 62), (86, 66, 54), rng.random())
        brush.polygon(
            [
                complex(x - width * 0.85, foot),
                complex(x - width * 0.42, foot + 0.1),
                complex(x - width * 0.36, 1.05),
                complex(x + width * 0.36, 1.05),
                complex(x + width * 0.42, foot + 0.1),
                complex(x + width * 0.85, foot),
            ],
            trunk,
        )
        for step in range(3):
            at = complex(x - 0.008 + 0.008 * step, foot + 0.14 + 0.12 * step)
            brush.stroke([at, at + 0.05j], 0.007, mixed(trunk, (60, 44, 40), 0.5), outlined=False)
    brush.finish((66, 52, 46))
    for x in _spread(rng, 7, jitter=0.4):
        brush.circle(complex(x, 1.0 + rng.uniform(-0.02, 0.05)), 0.13, (70, 124, 74))
    brush.finish((44, 88, 60))
    for x in _spread(rng, 5):
        fern = brush.moved(complex(x, horizon - rng.uniform(0.03, 0.09)))
        for tip in (-0.06 + 0.04j, -0.03 + 0.07j, 0.03 + 0.07j, 0.06 + 0.04j):
            fern.stroke([0j, tip], 0.016, (112, 160, 84), outlined=False)
    brush.finish()
    for x in _spread(rng, 3)[:2]:
        shroom = brush.moved(complex(x, rng.uniform(0.03, 0.09)))
        shroom.box(-0.012 + 0j, 0.024 + 0.03j, (250, 240, 226))
        shroom.ellipse(0.035j, 0.035 + 0.022j, (214, 120, 104))
        shroom.circle(-0.01 + 0.04j, 0.006, _CLOUD, outlined=False)
        shroom.circle(0.015 + 0.036j, 0.006, _CLOUD, outlined=False)
    brush.finish((92, 60, 54))


def _draw_desert(brush: Brush, rng: random.Random, horizon: float) -> None:
    """Dunes, table mountains, a large sun, cacti and bones of rock."""
    _draw_sun(brush, rng, (255, 246, 196), radius=0.09)
    for x in _spread(rng, 2):
        rock = brush.moved(complex(x, horizon), size=rng.uniform(0.9, 1.3))
        rock.polygon([-0.14 + 0j, -0.09 + 0.15j, 0.08 + 0.15j, 0.13 + 0j], (222, 150, 104))
        rock.polygon([-0.1 + 0.11j, -0.09 + 0.15j, 0.08 + 0.15j, 0.09 + 0.11j], (236, 172, 124))
    brush.finish((190, 122, 84))
    _draw_hills(brush, rng, horizon, ((240, 200, 134),), high=0.06)
    _cover_ground(brush, horizon - 0.01, (236, 190, 120))
    for x in _spread(rng, 3):
        y = rng.uniform(0.03, horizon - 0.1)
        ripple = [complex(x - 0.1, y), complex(x, y + 0.012), complex(x + 0.1, y)]
        brush.stroke(ripple, 0.008, (216, 164, 98), outlined=False)
    brush.finish()
    side = rng.choice((0, 1))
    for x, size in ((0.1 + 0.8 * side, 1.3), (0.8 - 0.6 * side + rng.uniform(-0.1, 0.1), 0.8)):
        cactus = brush.moved(complex(x, horizon - 0.06), size=size)
        green = (134, 182, 118)
        cactus.stroke([0j, 0.2j], 0.05, green)
        cactus.stroke([0.08j, -0.065 + 0.08j, -0.065 + 0.14j], 0.034, green)
        cactus.stroke([0.05j, 0.065 + 0.05j, 0.065 + 0.11j], 0.034, green)
        for height in (0.04, 0.1, 0.16):
            cactus.stroke([complex(0, height), complex(0, height + 0.02)], 0.008, (230, 240, 200))
    brush.finish((84, 126, 82))


def _draw_snow(brush: Brush, rng: random.Random, horizon: float) -> None:
    """White mountains and firs, a snowman, falling flakes."""
    for x in _spread(rng, 3):
        peak = brush.moved(complex(x, horizon), size=rng.uniform(0.9, 1.3))
        peak.polygon([-0.22 + 0j, 0.22j, 0.22 + 0j], (168, 186, 214), outlined=False)
        peak.polygon(
            [-0.1 + 0.12j, 0.22j, 0.1 + 0.12j, 0.03 + 0.14j, -0.02 + 0.11j], _CLOUD, outlined=False
        )
    brush.finish()
    _draw_hills(brush, rng, horizon, ((222, 234, 250),), high=0.04)
    for x in _spread(rng, 4)[:3]:
        fir = brush.moved(complex(x, horizon - 0.03), size=rng.uniform(0.8, 1.15))
        fir.box(-0.012 - 0.01j, 0.024 + 0.05j, _TRUNK)
        for low, wide in ((0.03, 0.095), (0.1, 0.075), (0.17, 0.052)):
            foot = complex(0, low)
            fir.polygon([foot - wide, foot + 0.11j, foot + wide], (104, 158, 140))
            fir.polygon(
                [foot + 0.06j - 0.45 * wide, foot + 0.115j, foot + 0.06j + 0.45 * wide],
                _CLOUD,
                outlined=False,
            )
        brush.finish((64, 108, 104))
    _snowman(brush, complex(rng.choice((0.12, 0.88)), horizon - 0.07))
    for x in _spread(rng, 22, jitter=0.5):
        brush.circle(
            complex(x, rng.uniform(0, 1)), rng.uniform(0.006, 0.011), _CLOUD, outlined=False
        )
    brush.finish()


def _snowman(brush: Brush, foot: complex) -> None:
    man = brush.moved(foot)
    man.circle(0.05j, 0.062, _CLOUD)
    man.circle(0.135j, 0.044, _CLOUD)
    brush.finish((128, 148, 186))
    man.polygon([0.132j, 0.05 + 0.124j, 0.124j], (255, 168, 96), outlined=False)
    for point in (-0.014 + 0.148j, 0.018 + 0.148j, 0.03j, 0.07j):
        man.circle(point, 0.007, (70, 78, 104), outlined=False)
    man.box(-0.045 + 0.172j, 0.09 + 0.01j, (96, 104, 134), outlined=False)
    man.box(-0.028 + 0.175j, 0.056 + 0.045j, (96, 104, 134), outlined=False)
    brush.finish()


_Shade = tuple[Colour, Colour]
# Colours of the sky and of the ground, each from above to below, and who draws the rest.
_SCENERY: dict[str, tuple[_Shade, _Shade, Callable[[Brush, random.Random, float], None]]] = {
    "park": (((128, 200, 250), (222, 242, 255)), ((176, 222, 132), (142, 200, 104)), _draw_park),
    "beach": (((110, 196, 250), (230, 246, 255)), ((252, 234, 186), (240, 212, 150)), _draw_beach),
    "street": (
        ((182, 204, 226), (232, 236, 242)),
        ((164, 166, 176), (134, 136, 148)),
        _draw_street,
    ),
    "forest": (((66, 118, 92), (128, 172, 122)), ((150, 158, 98), (120, 128, 76)), _draw_forest),
    "desert": (((255, 196, 120), (255, 236, 190)), ((238, 192, 124), (222, 164, 92)), _draw_desert),
    "snow": (((150, 178, 214), (214, 226, 242)), ((228, 238, 250), (200, 216, 238)), _draw_snow),
    "kitchen": (
        ((255, 240, 214), (250, 228, 192)),
        ((214, 168, 128), (190, 142, 104)),
        _draw_kitchen,
    ),
    "cave": (((92, 80, 114), (128, 112, 144)), ((164, 148, 168), (134, 118, 142)), _draw_cave),
}


@lru_cache(maxsize=48)
def scene_picture(scene: str, *, seed: int, size_px: int) -> Image.Image:
    """The scenery without actors, RGB; not to be written on."""
    rng = random.Random(f"scenery:{scene}:{seed}")
    factor = 3 if size_px <= 96 else 2
    side = size_px * factor
    horizon = rng.uniform(0.44, 0.52)
    sky, ground, draw = _SCENERY[scene]
    image = Image.new("RGB", (side, side))
    split = round(side * (1 - horizon))
    image.paste(_gradient(sky, width=side, height=split), (0, 0))
    image.paste(_gradient(ground, width=side, height=side - split), (0, split))
    brush = Brush.on(
        image, origin_px=complex(0, side), unit_px=side, outline_px=max(0.6 * factor, 0.0035 * side)
    )
    draw(brush, rng, horizon)
    return _lit(image.reduce(factor), rng)


def _gradient(colours: _Shade, *, width: int, height: int) -> Image.Image:
    """From the first colour at the top to the second at the bottom."""
    first_C, last_C = np.array(colours, dtype=float)
    share_H1 = np.arange(height)[:, None] / max(1, height - 1)
    column_HC = np.rint(first_C + (last_C - first_C) * share_H1).astype(np.uint8)
    return Image.fromarray(np.repeat(column_HC[:, None], width, axis=1))


def _lit(image: Image.Image, rng: random.Random) -> Image.Image:
    """Brighter or duller, warmer or cooler light."""
    bright, warm = rng.uniform(0.93, 1.04), rng.uniform(-0.04, 0.04)
    gains = (bright * (1 + warm), bright, bright * (1 - warm))
    return image.point([min(255, round(value * gain)) for gain in gains for value in range(256)])
