"""Batches of pretraining, drawn ahead of it in worker processes: stills, captions, paraphrases.

A batch is a pure function of (seed, step). No combination that is held out is among them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar, get_args

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from figclip.miniworld.drawing.frames import draw_still
from figclip.miniworld.situations import EditKind, Situation, can_edit, edit, sample_situation
from figclip.miniworld.wording import TRAINING_STYLES, dense_captions, natural_sentence, web_caption
from figclip.training.batches import start_loader

Batch = TypeVar("Batch")

# Sides that pictures are drawn at, and how often. Marks and outlines differ with the size; frames
# of videos come from 224 pixels, which take 2.4 times as long as 64.
_DRAWN_PX = {64: 0.5, 128: 0.35, 224: 0.15}
_CAPTIONS_A_STILL = 2
_DENSE_RATE = 0.5
_EDITS: tuple[EditKind, ...] = get_args(EditKind)
_SEED_RANGE = 2**31


@dataclass(frozen=True, slots=True)
class StillBatch:
    """Stills with what they show.

    Attributes:
        step: Counted from 1.
        situations: One a still.
        frames_NHWC: The stills.
        captions: `_CAPTIONS_A_STILL` web captions a still: first one of each, then another of each.
    """

    step: int
    situations: tuple[Situation, ...]
    frames_NHWC: UInt8[Tensor, "N H W C"]
    captions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParaphraseBatch:
    """Texts that say the same, and near ones that do not.

    Attributes:
        step: Counted from 1.
        anchors: One a situation.
        positives: The same situation in other words.
        negatives: The positive's words for a situation with one thing changed. Equal to the
            positive where it does not tell that thing.
    """

    step: int
    anchors: tuple[str, ...]
    positives: tuple[str, ...]
    negatives: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawStills:
    """Draws the captioned stills of a step."""

    seed: str
    size: int
    image_size: int

    def __call__(self, step: int) -> StillBatch:
        """The batch of a step."""
        rng = random.Random(f"stills:{self.seed}:{step}")
        situations = tuple(sample_situation(rng, held_out=False) for _ in range(self.size))
        frames = [self._draw(situation, rng) for situation in situations]
        captions = [web_caption(s, rng) for _ in range(_CAPTIONS_A_STILL) for s in situations]
        return StillBatch(step, situations, torch.from_numpy(np.stack(frames)), tuple(captions))

    def _draw(self, situation: Situation, rng: random.Random) -> UInt8[np.ndarray, "H W C"]:
        """One still, drawn at one of several sizes and reduced."""
        (drawn_px,) = rng.choices(list(_DRAWN_PX), weights=list(_DRAWN_PX.values()))
        picture = draw_still(situation, seed=rng.randrange(_SEED_RANGE), size_px=drawn_px)
        size = (self.image_size, self.image_size)
        return np.asarray(picture.resize(size, Image.Resampling.BICUBIC))


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteParaphrases:
    """Writes the paraphrases of a step."""

    seed: str
    size: int

    def __call__(self, step: int) -> ParaphraseBatch:
        """The batch of a step."""
        rng = random.Random(f"paraphrases:{self.seed}:{step}")
        rows = [self._row(sample_situation(rng, held_out=False), rng) for _ in range(self.size)]
        anchors, positives, negatives = zip(*rows, strict=True)
        return ParaphraseBatch(step, anchors, positives, negatives)

    def _row(self, situation: Situation, rng: random.Random) -> tuple[str, str, str]:
        """Anchor, positive and negative of one situation."""
        first, second = rng.sample(TRAINING_STYLES, 2)
        is_dense = rng.random() < _DENSE_RATE
        anchor = (
            dense_captions((situation,), rng)[0] if is_dense else natural_sentence(situation, first)
        )
        kinds: list[EditKind] = [kind for kind in _EDITS if can_edit(situation, kind)]
        changed = edit(situation, rng.choice(kinds), rng)
        return anchor, natural_sentence(situation, second), natural_sentence(changed, second)


class _Steps(Dataset[Batch]):
    """Maps a step to its batch."""

    def __init__(self, make: Callable[[int], Batch]) -> None:
        self._make = make

    def __getitem__(self, step: int) -> Batch:
        return self._make(step)


@dataclass(frozen=True, kw_only=True)
class DrawnBatches(Generic[Batch]):
    """The batches of a phase; implements `training.loop.BatchSource`.

    `make` is picklable; 0 workers make batches in this process.
    """

    make: Callable[[int], Batch]
    num_steps: int
    workers: int

    @contextmanager
    def iterate(self, first_step: int) -> Generator[Iterator[Batch]]:
        """Batches of the steps after `first_step`; leaving the context ends the workers."""
        loader: DataLoader[Batch] = DataLoader(
            _Steps(self.make),
            batch_size=None,
            sampler=list(range(first_step + 1, self.num_steps + 1)),
            num_workers=self.workers,
            multiprocessing_context="spawn" if self.workers else None,
            generator=torch.Generator(),
        )
        yield start_loader(loader)
