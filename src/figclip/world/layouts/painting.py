"""How the writers of layouts order pictures and videos, without drawing any themselves."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from figclip.world.films import Film
from figclip.world.situations import Situation


@runtime_checkable
class Painter(Protocol):
    """Makes the media files of a layout, or sees to it that they are made."""

    @property
    def still_px(self) -> int:
        """Side of pictures in pixels."""
        ...

    def paint_video(self, path: Path, situations: Sequence[Situation], *, seed: int) -> None:
        """Orders a video of the events, each whole; its folder need not exist."""
        ...

    def paint_film(self, path: Path, film: Film, *, seed: int) -> None:
        """Orders a video of the shots; its folder need not exist."""
        ...

    def paint_image(self, path: Path, situation: Situation, *, seed: int) -> None:
        """Orders a square picture, in the format of the suffix; its folder need not exist."""
        ...


def media_seed(rng: random.Random) -> int:
    """A seed for one medium, or for two that are to differ in nothing but what they show."""
    return rng.randrange(2**32)
