"""Pictures and films of noise, by number."""

from __future__ import annotations

import numpy as np
from PIL import Image


def random_picture(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def film(seed: int) -> list[Image.Image]:
    """Thirty frames."""
    return [random_picture(100 * seed + frame) for frame in range(30)]
