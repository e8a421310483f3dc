"""Batches of pretraining: a function of seed and step, true captions, nothing held out."""

from __future__ import annotations

import pytest
import torch

from figclip.miniworld.pretraining import DrawnBatches
from figclip.miniworld.pretraining_phases import DrawStills, WriteParaphrases
from figclip.miniworld.situations import actors_of, is_held_out

STILLS = DrawStills(seed="0", size=6, image_size=32)
TEXTS = WriteParaphrases(seed="0", size=200)


def test_stills_are_a_function_of_seed_and_step():
    first, again, next_step = STILLS(4), STILLS(4), STILLS(5)
    assert first.situations == again.situations
    assert first.captions == again.captions
    assert torch.equal(first.frames_NHWC, again.frames_NHWC)
    assert not torch.equal(first.frames_NHWC, next_step.frames_NHWC)
    other = DrawStills(seed="1", size=6, image_size=32)(4)
    assert other.situations != first.situations


def test_stills_are_captioned_twice():
    batch = STILLS(1)
    assert batch.frames_NHWC.shape == (6, 32, 32, 3)
    assert batch.frames_NHWC.dtype == torch.uint8
    assert len(batch.captions) == 12
    kinds = {"someone", "something", "animal", "animals", "people", "person", "robots"}
    for situation, caption in zip(batch.situations * 2, batch.captions, strict=True):
        named = {word for word in caption.split() if word in ("cat", "dog", "bear", "frog")}
        assert named <= {actor.kind for actor in actors_of(situation)} | kinds


def test_held_out_combinations_are_left_out():
    batch = DrawStills(seed="2", size=60, image_size=8)(1)
    assert not any(is_held_out(situation) for situation in batch.situations)


def test_paraphrases():
    batch = TEXTS(1)
    assert batch == TEXTS(1)
    assert batch != TEXTS(2)
    dense = [text.startswith("In this photo") for text in batch.anchors]
    assert 60 < sum(dense) < 140
    assert not any(text.startswith("In this photo") for text in batch.positives)
    # All facts are told, and so is the one that was changed.
    assert all(a != b for a, b in zip(batch.positives, batch.negatives, strict=True))
    assert all(a != b for a, b in zip(batch.anchors, batch.positives, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_batches_go_on_after_the_first_step(workers: int):
    texts = WriteParaphrases(seed="0", size=3)
    batches = DrawnBatches(make=texts, num_steps=4, workers=workers)
    with batches.iterate(2) as stream:
        assert list(stream) == [texts(3), texts(4)]
