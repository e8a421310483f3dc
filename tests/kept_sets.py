"""A small training set and sets of stills to keep, for tests of the choice of a strength."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from figclip.config import RunConfig
from figclip.config.parsing import apply_overrides
from figclip.config.recipes import build_recipe
from figclip.evaluation.sources import DataSource
from tests.dense_sets import write_store
from tests.small_runs import make_records, write_tiny_clip

NUM_STILLS = 80
NUM_VIDEOS = 84
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}


@dataclass(frozen=True)
class KeptWorld:
    """Where everything lies."""

    base: Path
    store: Path
    stills: Path
    colours: DataSource
    captions: DataSource

    @property
    def keep(self) -> list[DataSource]:
        return [self.colours, self.captions]

    def config(self, *overrides: str) -> RunConfig:
        """The `tiny` recipe, with a validation set."""
        settings = [f"model.base={self.base}", "data.val_fraction=0.5", "train.epochs=1"]
        return apply_overrides(build_recipe("tiny"), [*settings, *overrides])


def write_kept_world(folder: Path, *, num_videos: int = NUM_VIDEOS) -> KeptWorld:
    """Videos of two events each, and stills of one colour with a label and a caption."""
    folder.mkdir(parents=True, exist_ok=True)
    stills = folder / "stills"
    stills.mkdir()
    rng = np.random.default_rng(0)
    rows, lines = ["file,label"], []
    for number in range(NUM_STILLS):
        colour = list(COLOURS)[number % len(COLOURS)]
        noise = rng.integers(-25, 25, (16, 16, 3))
        pixels = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(stills / f"{number:03d}.png")
        rows.append(f"{number:03d}.png,{colour}")
        lines.append({"image": f"{number:03d}.png", "captions": [f"picture {number} is {colour}"]})
    (folder / "colours.csv").write_text("\n".join(rows) + "\n")
    (folder / "captions.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    return KeptWorld(
        base=write_tiny_clip(folder / "base", seed=1),
        store=write_store(folder / "frames.store", make_records([2] * num_videos)),
        stills=stills,
        colours=DataSource(name="actions", path=folder / "colours.csv", images=stills),
        captions=DataSource(name="retrieval", path=folder / "captions.jsonl", images=stills),
    )
