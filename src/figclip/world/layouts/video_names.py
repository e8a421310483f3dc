"""YouTube ids of the layouts whose videos have them."""

from __future__ import annotations

import random
import string

_LETTERS = string.ascii_letters + string.digits + "_-"


def youtube_id(rng: random.Random) -> str:
    """Eleven characters; a `_` inside and often a `-` in front break naive parsers."""
    letters = [rng.choice(_LETTERS) for _ in range(11)]
    letters[5] = "_"
    if rng.random() < 0.5:
        letters[0] = "-"
    return "".join(letters)
