"""Parts that several sceneries share.

Sceneries are drawn between the corners 0 and 1 + 1j, the horizon at a height. Hues are paler than
those of actors, so that these stand out.
"""

from __future__ import annotations

import random

from figclip.world.drawing.brush import Brush, Colour, mixed

CLOUD: Colour = (255, 255, 255)
TRUNK: Colour = (150, 106, 72)


def spread(rng: random.Random, count: int, *, jitter: float = 0.3) -> list[float]:
    """Places across the picture, about evenly, in random order."""
    places = [(idx + 0.5 + rng.uniform(-jitter, jitter)) / count for idx in range(count)]
    rng.shuffle(places)
    return places


def draw_clouds(brush: Brush, rng: random.Random, count: int, *, low: float) -> None:
    """White clouds, none below a height."""
    for x in spread(rng, count):
        cloud = brush.moved(complex(x, rng.uniform(low, 0.94)), size=rng.uniform(0.7, 1.1))
        for centre, radii in (
            (-0.06 + 0j, 0.05 + 0.03j),
            (0.01 + 0.015j, 0.06 + 0.045j),
            (0.075 - 0.002j, 0.05 + 0.03j),
        ):
            cloud.ellipse(centre, radii, CLOUD)
    brush.finish((214, 230, 244))


def draw_sun(brush: Brush, rng: random.Random, colour: Colour, *, radius: float) -> None:
    """A sun with its halo in one of the upper corners."""
    place = complex(rng.choice((0.14, 0.86)), rng.uniform(0.82, 0.9))
    brush.circle(place, radius * 1.35, mixed(colour, (255, 255, 255), 0.5), outlined=False)
    brush.circle(place, radius, colour, outlined=False)
    brush.finish()


def draw_hills(
    brush: Brush, rng: random.Random, horizon: float, colours: tuple[Colour, ...], *, high: float
) -> None:
    """Rounded hills that end at the horizon; the last colour is nearest."""
    for idx, colour in enumerate(colours):
        for x in spread(rng, 3):
            rise = high * (1 - 0.3 * idx) * rng.uniform(0.7, 1.1)
            brush.ellipse(complex(x, horizon), complex(0.3, rise), colour, outlined=False)
        brush.finish()


def cover_ground(brush: Brush, horizon: float, near: Colour) -> None:
    """Hides what hills have below the horizon."""
    brush.box(-0.1 - 0.1j, complex(1.2, horizon + 0.1), near, outlined=False)
    brush.finish()
