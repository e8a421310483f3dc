"""Scenery under a roof; the frame of reference is that of `landscape`."""

from __future__ import annotations

import random

from figclip.world.drawing.brush import Brush, Colour, mixed
from figclip.world.drawing.landscape import spread

_PALE: Colour = (250, 250, 250)


def draw_kitchen(brush: Brush, rng: random.Random, horizon: float) -> None:
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


def draw_cave(brush: Brush, rng: random.Random, horizon: float) -> None:
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
    for x in spread(rng, 7):
        length, width = rng.uniform(0.1, 0.26), rng.uniform(0.04, 0.065)
        brush.polygon(
            [complex(x - width, 0.97), complex(x, 0.95 - length), complex(x + width, 0.97)], rock
        )
    brush.finish(edge)
    for x in spread(rng, 5)[:4]:
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
    for x in spread(rng, 6):
        place = complex(x, rng.uniform(0.02, horizon - 0.16))
        brush.ellipse(place, 0.02 + 0.011j, (96, 84, 108), outlined=False)
    brush.finish()
