"""A drawn world, its frame store and a tiny CLIP, shared by tests of whole runs."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from figclip.config import RunConfig
from figclip.config.parsing import apply_overrides
from figclip.config.recipes import build_recipe
from figclip.miniworld.annotated_videos import write_vidsitu
from figclip.miniworld.painting import PaintOrders, paint
from figclip.miniworld.situations import sample_story
from figclip.preparation.prepare import prepare
from figclip.video.store import StoreSpec
from tests.small_clip import write_small_clip

IMAGE_SIZE = 32


@dataclass(frozen=True)
class World:
    """Where everything lies."""

    folder: Path
    annotations: Path
    videos: Path
    store: Path
    base: Path

    @classmethod
    def at(cls, folder: Path) -> World:
        """The world that `make_world` made in a folder."""
        return cls(
            folder=folder,
            annotations=folder / "world" / "annotations",
            videos=folder / "world" / "videos",
            store=folder / "frames.store",
            base=folder / "base",
        )

    def config(self, *overrides: str) -> RunConfig:
        """The `tiny` recipe on this world's base."""
        return apply_overrides(build_recipe("tiny"), [f"model.base={self.base}", *overrides])


def make_world(folder: Path, *, num_videos: int, num_valid: int = 1) -> World:
    """Draw, write the base, prepare."""
    rng, orders = random.Random(0), PaintOrders()
    stories = [sample_story(rng, held_out=None) for _ in range(num_videos)]
    train, valid = stories[num_valid:], stories[:num_valid]
    write_vidsitu(folder / "world", train=train, valid=valid, painter=orders, seed=0)
    paint(orders.orders, workers=0, on_progress=lambda done, total: None)
    write_small_clip(
        folder / "base", seed=0, image_size=IMAGE_SIZE, patch_size=8, width=64, layers=2
    )
    world = World.at(folder)
    prepare(
        world.annotations,
        videos=world.videos,
        out=world.store,
        spec=StoreSpec(size=IMAGE_SIZE),
        frames_per_event=2,
        num_workers=2,
    )
    return world
