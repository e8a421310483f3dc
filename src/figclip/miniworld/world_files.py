"""Which files of the mini world the quickstart needs, and from which seeds they are drawn."""

import os
import random
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from figclip.errors import ConfigError
from figclip.miniworld.annotated_videos import write_dense_captions, write_vidsitu
from figclip.miniworld.named_tests import write_detail_tests, write_kept_tests, write_pictures
from figclip.miniworld.painting import PaintOrders, claim_folder, paint
from figclip.miniworld.situations import sample_film, sample_story
from figclip.runtime.progress import CountProgress

WORLD_FORMAT = 5
"""Goes up when the same seeds draw something else."""

TRAINING_SEED, SELECTION_SEED, EVALUATION_SEED = 11, 12, 13
"""Seeds of the annotated videos, of what chooses the strength, and of the named tests."""

PICTURES_SEED = 15
"""Seed of the unlabelled pictures."""

TUNING_SEED = 14
"""Seed of the named tests that settings were tuned on and ablations are scored on."""


WorldPart = Literal["kept", "detail", "training", "films"]
"""The named tests of either face; annotated videos and what chooses the strength; films."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSize:
    """How much is drawn.

    Attributes:
        train: Annotated videos of five events to adapt to.
        valid: Annotated videos of VidSitu's validation split, of combinations never trained on.
        pairs: Pairs of each test of detail; a pair is two items.
        stills: Stills of each of the two kinds of kept tests.
        pictures: Unlabelled pictures, of combinations that training shows, to hold the model to its
            base on.
        selection_stills: The same for choosing the strength; `--keep` selects on half of them.
        films: Untrimmed videos with dense captions to train on; 0 of these and the next for none.
        valid_films: The same of the validation split, of combinations never trained on.
    """

    train: int = 420
    valid: int = 60
    pairs: int = 500
    stills: int = 1000
    pictures: int = 1000
    selection_stills: int = 2000
    films: int = 160
    valid_films: int = 40


@dataclass(frozen=True, slots=True)
class WorldFolder:
    """The mini world's files below a folder."""

    path: Path

    @property
    def claim(self) -> Path:
        """Says how much is drawn, and from which seed."""
        return self.path / "world.json"

    @property
    def vidsitu(self) -> Path:
        """`annotations/` and `videos/` in VidSitu's layout."""
        return self.path / "vidsitu"

    @property
    def films(self) -> Path:
        """Annotations and `videos/` in the layout of ActivityNet Captions."""
        return self.path / "activitynet"

    @property
    def selection(self) -> Path:
        """Kept tests that the strength is chosen on."""
        return self.path / "selection" / "kept"

    @property
    def pictures(self) -> Path:
        """Unlabelled pictures."""
        return self.path / "pictures"

    @property
    def detail(self) -> Path:
        """Named tests of detail."""
        return self.path / "tests" / "detail"

    @property
    def kept(self) -> Path:
        """Named tests of what must be kept."""
        return self.path / "tests" / "kept"


def draw_world(
    world: WorldFolder,
    *,
    parts: Collection[WorldPart],
    size: WorldSize,
    evaluation_seed: int,
    on_progress: CountProgress,
) -> None:
    """Writes the annotations and tests, and draws the files that are not there yet.

    Other `parts` may follow; the seed is that of the named tests. A folder that holds another world
    is a `ConfigError`.
    """
    _claim(world, size=size, evaluation_seed=evaluation_seed)
    orders = PaintOrders()
    if "kept" in parts:
        write_kept_tests(world.kept, num_stills=size.stills, seed=evaluation_seed, painter=orders)
    if "detail" in parts:
        write_detail_tests(world.detail, num_pairs=size.pairs, seed=evaluation_seed, painter=orders)
    if "training" in parts:
        rng = random.Random(f"{TRAINING_SEED}:stories")
        write_vidsitu(
            world.vidsitu,
            train=[sample_story(rng, held_out=False) for _ in range(size.train)],
            valid=[sample_story(rng, held_out=True) for _ in range(size.valid)],
            painter=orders,
            seed=TRAINING_SEED,
        )
        write_pictures(world.pictures, num=size.pictures, seed=PICTURES_SEED, painter=orders)
        write_kept_tests(
            world.selection, num_stills=size.selection_stills, seed=SELECTION_SEED, painter=orders
        )
    if "films" in parts and (size.films or size.valid_films):
        rng = random.Random(f"{TRAINING_SEED}:films")
        write_dense_captions(
            world.films,
            train=[sample_film(rng, held_out=False) for _ in range(size.films)],
            valid=[sample_film(rng, held_out=True) for _ in range(size.valid_films)],
            painter=orders,
            seed=TRAINING_SEED,
        )
    paint(orders.orders, workers=os.cpu_count() or 1, on_progress=on_progress)


def _claim(world: WorldFolder, *, size: WorldSize, evaluation_seed: int) -> None:
    """Write down what is drawn, or refuse a folder of another world."""
    refusal = ConfigError(
        "holds another world", where=str(world.path), fix="Choose another --out, or remove it"
    )
    claim = {"format": WORLD_FORMAT, "evaluation_seed": evaluation_seed, "size": asdict(size)}
    claim_folder(world.claim, claim, refusal=refusal)
