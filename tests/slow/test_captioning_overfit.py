"""Heads for dense captioning overfit eight drawn films, seen by the mini CLIP."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from figclip.config.parsing import apply_overrides
from figclip.config.recipes import build_captioning_recipe
from figclip.datasets.dense_captions import (
    DenseCaptionPredictions,
    read_caption_references,
    read_predictions,
)
from figclip.heads.captioning.task import evaluate_captioning, finetune_captioning
from figclip.miniworld.mini_models import load_mini_model, write_mini_model
from figclip.scoring.dense_captions import score_dense_captions
from tests.drawn_films import draw_films

pytestmark = pytest.mark.slow


def test_eight_films(tmp_path: Path):
    films = draw_films(tmp_path / "films", train=8, valid=1)
    write_mini_model(tmp_path / "clip", load_mini_model(0))
    config = apply_overrides(
        build_captioning_recipe("mini_captioning"),
        [
            "train.epochs=400",
            "train.val_fraction=0",
            "train.videos_per_batch=8",
            "train.lr=2e-3",
            "head.dropout=0",
        ],
    )
    heads = finetune_captioning(
        config,
        model=tmp_path / "clip",
        data=films,
        out=tmp_path / "heads",
        cache=tmp_path / "cache",
        cpu=True,
    )
    out, seen = tmp_path / "eval", replace(films, split="train")
    result = evaluate_captioning(heads.run, data=seen, out=out, cache=tmp_path / "cache")
    scores = result.tasks[0].metrics
    references = read_caption_references(films.path / "train.json")
    itself = score_dense_captions(
        DenseCaptionPredictions(
            name="itself", events_by_video={video.id: video.events for video in references.videos}
        ),
        [references],
        name="activitynet",
        source="train.json",
        split=None,
    )
    soda = scores["soda_meteor_exact"].adapted.value
    assert soda >= 0.9 * itself.scores["soda_meteor_exact"].value
    written = json.loads(result.files[0].read_text())
    assert written["task"] == "dense_captioning"
    predicted = read_predictions(out / "predictions/adapted/activitynet-train.json")
    missed = [
        (video.id, event)
        for video in references.videos
        for event in video.events
        if not any(
            overlap((event.start_s, event.end_s), (one.start_s, one.end_s)) >= 0.9
            for one in predicted.events_by_video[video.id]
        )
    ]
    assert not missed, "recall at tIoU 0.9 is 1"


def overlap(first: tuple[float, float], second: tuple[float, float]) -> float:
    """IoU of two spans."""
    shared = min(first[1], second[1]) - max(first[0], second[0])
    return max(shared, 0.0) / (max(first[1], second[1]) - min(first[0], second[0]))
