"""Heads overfit eight real clips: their verbs all, their roles nearly to the letter."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from figclip.annotations.roles import roles_by_key
from figclip.config.parsing import apply_overrides
from figclip.config.recipes import build_situation_recipe
from figclip.datasets.situations import situation_truth_of
from figclip.evaluation.sources import DataSource
from figclip.heads.situations.task import evaluate_situations, finetune_situations
from figclip.preparation.prepare import prepare
from figclip.scoring.situation_files import PredictedEvent, Predictions, RolePrediction
from figclip.scoring.situations import score_roles
from figclip.video.store import StoreSpec
from figclip.video.stored import open_stored_videos
from tests.small_clip import write_small_clip

pytestmark = pytest.mark.real
ANNOTATIONS = Path(__file__).parents[2] / "examples" / "real" / "annotations.jsonl"


def test_heads_overfit_eight_clips(tmp_path: Path):
    videos = Path(os.environ["FIGCLIP_REAL_DATA"]) / "data" / "videos"
    lines = ANNOTATIONS.read_text().splitlines()
    several = [line for line in lines if len(json.loads(line)["events"]) > 2][:8]
    chosen = tmp_path / "eight.jsonl"
    chosen.write_text("\n".join(several) + "\n")
    store = tmp_path / "frames.store"
    prepare(chosen, videos=videos, out=store, spec=StoreSpec(size=32), frames_per_event=4)
    write_small_clip(tmp_path / "clip", seed=0, image_size=32, patch_size=8, width=64, layers=2)
    config = apply_overrides(
        build_situation_recipe("mini_situations"),
        ["train.epochs=300", "train.videos_per_batch=8", "head.dropout=0", "head.max_words=80"],
    )
    data = DataSource(name="events", path=store)
    run = tmp_path / "heads"
    result = finetune_situations(config, model=tmp_path / "clip", data=data, out=run, cpu=True)
    assert result.interrupted_by is None
    scored = evaluate_situations(run, data=data, out=tmp_path / "eval")
    metrics = scored.tasks[0].metrics
    truth = situation_truth_of(open_stored_videos([store], size=32).records)
    records = open_stored_videos([store], size=32).records
    itself = score_roles(
        truth,
        Predictions(
            videos=tuple(
                RolePrediction(
                    video_idx=idx,
                    events=tuple(
                        PredictedEvent(texts=roles_by_key(event))
                        for event in record.annotations[0].events
                    ),
                )
                for idx, record in enumerate(records)
            )
        ),
    )
    assert len(records) == 8
    assert metrics["verbs Acc@1"].adapted.official == 1.0
    ceiling = itself.scores["CIDEr"].official
    assert ceiling > 5
    for part in ("roles", "roles (predicted verb)"):
        assert metrics[f"{part} CIDEr"].adapted.official >= 0.9 * ceiling
