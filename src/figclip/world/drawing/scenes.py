"""The scenery of each place, varied by a seed: sky, ground, and a few things far enough back."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from figclip.world.drawing.brush import Brush, Colour
from figclip.world.drawing.indoors import draw_cave, draw_kitchen
from figclip.world.drawing.outdoors import draw_beach, draw_park, draw_street
from figclip.world.drawing.wilds import draw_desert, draw_forest, draw_snow


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scenery:
    """Colours of sky and ground, each from above to below, and who draws the rest."""

    sky: tuple[Colour, Colour]
    ground: tuple[Colour, Colour]
    draw: Callable[[Brush, random.Random, float], None]


_SCENERY = {
    "park": _Scenery(
        sky=((128, 200, 250), (222, 242, 255)),
        ground=((176, 222, 132), (142, 200, 104)),
        draw=draw_park,
    ),
    "beach": _Scenery(
        sky=((110, 196, 250), (230, 246, 255)),
        ground=((252, 234, 186), (240, 212, 150)),
        draw=draw_beach,
    ),
    "street": _Scenery(
        sky=((182, 204, 226), (232, 236, 242)),
        ground=((164, 166, 176), (134, 136, 148)),
        draw=draw_street,
    ),
    "forest": _Scenery(
        sky=((66, 118, 92), (128, 172, 122)),
        ground=((150, 158, 98), (120, 128, 76)),
        draw=draw_forest,
    ),
    "desert": _Scenery(
        sky=((255, 196, 120), (255, 236, 190)),
        ground=((238, 192, 124), (222, 164, 92)),
        draw=draw_desert,
    ),
    "snow": _Scenery(
        sky=((150, 178, 214), (214, 226, 242)),
        ground=((228, 238, 250), (200, 216, 238)),
        draw=draw_snow,
    ),
    "kitchen": _Scenery(
        sky=((255, 240, 214), (250, 228, 192)),
        ground=((214, 168, 128), (190, 142, 104)),
        draw=draw_kitchen,
    ),
    "cave": _Scenery(
        sky=((92, 80, 114), (128, 112, 144)),
        ground=((164, 148, 168), (134, 118, 142)),
        draw=draw_cave,
    ),
}


@lru_cache(maxsize=48)
def scene_picture(scene: str, *, seed: int, size_px: int) -> Image.Image:
    """The scenery without actors, RGB; not to be written on."""
    rng = random.Random(f"scenery:{scene}:{seed}")
    factor = 3 if size_px <= 96 else 2
    side = size_px * factor
    horizon = rng.uniform(0.44, 0.52)
    scenery = _SCENERY[scene]
    image = Image.new("RGB", (side, side))
    split = round(side * (1 - horizon))
    image.paste(_gradient(scenery.sky, width=side, height=split), (0, 0))
    image.paste(_gradient(scenery.ground, width=side, height=side - split), (0, split))
    brush = Brush.on(
        image,
        origin_px=complex(0, side),
        unit_px=side,
        outline_px=max(0.6 * factor, 0.0035 * side),
    )
    scenery.draw(brush, rng, horizon)
    return _lit(image.reduce(factor), rng)


def _gradient(colours: tuple[Colour, Colour], *, width: int, height: int) -> Image.Image:
    """From the first colour at the top to the second at the bottom."""
    first_C, last_C = np.array(colours, dtype=float)
    share_H1 = np.arange(height)[:, None] / max(1, height - 1)
    column_HC = np.rint(first_C + (last_C - first_C) * share_H1).astype(np.uint8)
    return Image.fromarray(np.repeat(column_HC[:, None], width, axis=1))


def _lit(image: Image.Image, rng: random.Random) -> Image.Image:
    """Brighter or duller, warmer or cooler light."""
    bright, warm = rng.uniform(0.93, 1.04), rng.uniform(-0.04, 0.04)
    table: list[int] = []
    for gain in (bright * (1 + warm), bright, bright * (1 - warm)):
        table.extend(min(255, round(value * gain)) for value in range(256))
    return image.point(table)
