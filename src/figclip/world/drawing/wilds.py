"""Forest, desert and snow; the frame of reference is that of `landscape`."""

from __future__ import annotations

import random

from figclip.world.drawing.brush import Brush, mixed
from figclip.world.drawing.landscape import CLOUD, TRUNK, cover_ground, draw_hills, draw_sun, spread


def draw_forest(brush: Brush, rng: random.Random, horizon: float) -> None:
    """Tall trunks in rows up to a dark canopy, ferns and mushrooms."""
    for x in spread(rng, 8):
        brush.box(complex(x - 0.014, horizon), 0.028 + 0.6j, (92, 132, 98), outlined=False)
    brush.finish()
    for x in spread(rng, 5):
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
    for x in spread(rng, 7, jitter=0.4):
        brush.circle(complex(x, 1.0 + rng.uniform(-0.02, 0.05)), 0.13, (70, 124, 74))
    brush.finish((44, 88, 60))
    for x in spread(rng, 5):
        fern = brush.moved(complex(x, horizon - rng.uniform(0.03, 0.09)))
        for tip in (-0.06 + 0.04j, -0.03 + 0.07j, 0.03 + 0.07j, 0.06 + 0.04j):
            fern.stroke([0j, tip], 0.016, (112, 160, 84), outlined=False)
    brush.finish()
    for x in spread(rng, 3)[:2]:
        shroom = brush.moved(complex(x, rng.uniform(0.03, 0.09)))
        shroom.box(-0.012 + 0j, 0.024 + 0.03j, (250, 240, 226))
        shroom.ellipse(0.035j, 0.035 + 0.022j, (214, 120, 104))
        shroom.circle(-0.01 + 0.04j, 0.006, CLOUD, outlined=False)
        shroom.circle(0.015 + 0.036j, 0.006, CLOUD, outlined=False)
    brush.finish((92, 60, 54))


def draw_desert(brush: Brush, rng: random.Random, horizon: float) -> None:
    """Dunes, table mountains, a large sun, cacti and bones of rock."""
    draw_sun(brush, rng, (255, 246, 196), radius=0.09)
    for x in spread(rng, 2):
        rock = brush.moved(complex(x, horizon), size=rng.uniform(0.9, 1.3))
        rock.polygon([-0.14 + 0j, -0.09 + 0.15j, 0.08 + 0.15j, 0.13 + 0j], (222, 150, 104))
        rock.polygon([-0.1 + 0.11j, -0.09 + 0.15j, 0.08 + 0.15j, 0.09 + 0.11j], (236, 172, 124))
    brush.finish((190, 122, 84))
    draw_hills(brush, rng, horizon, ((240, 200, 134),), high=0.06)
    cover_ground(brush, horizon - 0.01, (236, 190, 120))
    for x in spread(rng, 3):
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


def draw_snow(brush: Brush, rng: random.Random, horizon: float) -> None:
    """White mountains and firs, a snowman, falling flakes."""
    for x in spread(rng, 3):
        peak = brush.moved(complex(x, horizon), size=rng.uniform(0.9, 1.3))
        peak.polygon([-0.22 + 0j, 0.22j, 0.22 + 0j], (168, 186, 214), outlined=False)
        peak.polygon(
            [-0.1 + 0.12j, 0.22j, 0.1 + 0.12j, 0.03 + 0.14j, -0.02 + 0.11j], CLOUD, outlined=False
        )
    brush.finish()
    draw_hills(brush, rng, horizon, ((222, 234, 250),), high=0.04)
    for x in spread(rng, 4)[:3]:
        fir = brush.moved(complex(x, horizon - 0.03), size=rng.uniform(0.8, 1.15))
        fir.box(-0.012 - 0.01j, 0.024 + 0.05j, TRUNK)
        for low, wide in ((0.03, 0.095), (0.1, 0.075), (0.17, 0.052)):
            foot = complex(0, low)
            fir.polygon([foot - wide, foot + 0.11j, foot + wide], (104, 158, 140))
            fir.polygon(
                [foot + 0.06j - 0.45 * wide, foot + 0.115j, foot + 0.06j + 0.45 * wide],
                CLOUD,
                outlined=False,
            )
        brush.finish((64, 108, 104))
    _snowman(brush, complex(rng.choice((0.12, 0.88)), horizon - 0.07))
    for x in spread(rng, 22, jitter=0.5):
        brush.circle(
            complex(x, rng.uniform(0, 1)), rng.uniform(0.006, 0.011), CLOUD, outlined=False
        )
    brush.finish()


def _snowman(brush: Brush, foot: complex) -> None:
    man = brush.moved(foot)
    man.circle(0.05j, 0.062, CLOUD)
    man.circle(0.135j, 0.044, CLOUD)
    brush.finish((128, 148, 186))
    man.polygon([0.132j, 0.05 + 0.124j, 0.124j], (255, 168, 96), outlined=False)
    for point in (-0.014 + 0.148j, 0.018 + 0.148j, 0.03j, 0.07j):
        man.circle(point, 0.007, (70, 78, 104), outlined=False)
    man.box(-0.045 + 0.172j, 0.09 + 0.01j, (96, 104, 134), outlined=False)
    man.box(-0.028 + 0.175j, 0.056 + 0.045j, (96, 104, 134), outlined=False)
    brush.finish()
