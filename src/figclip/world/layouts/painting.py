"""How the writers of layouts get pictures and videos: by functions that they are given."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from PIL import Image

from figclip.world.situations import Situation


@runtime_checkable
class DrawClip(Protocol):
    """A function that draws videos."""

    def __call__(
        self, situations: Sequence[Situation], *, seed: int, fps: int
    ) -> Iterator[Image.Image]:
        """The RGB frames of a clip, event after event."""
        ...


@runtime_checkable
class WriteVideo(Protocol):
    """A function that encodes videos."""

    def __call__(self, path: Path, frames: Iterator[Image.Image], *, fps: int) -> None:
        """Writes frames to a file; its suffix says the format."""
        ...


@runtime_checkable
class DrawStill(Protocol):
    """A function that draws pictures."""

    def __call__(self, situation: Situation, *, seed: int, size_px: int) -> Image.Image:
        """A square RGB picture of a situation."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Painter:
    """Makes the media files of a layout.

    Attributes:
        draw_clip: Draws videos.
        write_video: Encodes them.
        draw_still: Draws pictures.
        fps: Frames per second of videos.
        still_px: Side of pictures, in pixels.
    """

    draw_clip: DrawClip
    write_video: WriteVideo
    draw_still: DrawStill
    fps: int
    still_px: int

    def paint_video(self, path: Path, situations: Sequence[Situation], *, seed: int) -> None:
        """Writes a video of the events; its folder is made when absent."""
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = self.draw_clip(situations, seed=seed, fps=self.fps)
        self.write_video(path, frames, fps=self.fps)

    def paint_image(self, path: Path, situation: Situation, *, seed: int) -> None:
        """Writes a picture, in the format of the suffix; its folder is made when absent."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.draw_still(situation, seed=seed, size_px=self.still_px).save(path)


def media_seed(rng: random.Random) -> int:
    """A seed for one medium, or for two that are to differ in nothing but what they show."""
    return rng.randrange(2**32)
