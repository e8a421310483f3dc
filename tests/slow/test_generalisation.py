"""True captions lift retrieval of held-out clips above chance; shuffled captions do not."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest

from figclip.adaptation.adapt import adapt
from figclip.evaluation.evaluate import evaluate
from figclip.evaluation.sources import parse_source
from figclip.preparation.prepare import prepare
from figclip.video.store import StoreSpec
from tests.adapted_world import IMAGE_SIZE, World, make_world

pytestmark = pytest.mark.slow
NUM_VALID = 40


def shuffle_training_captions(annotations: Path) -> None:
    """Give every training event the annotation of a random other one, in any video."""
    file = annotations / "vseg_ann_files" / "vsann_train_lb.json"
    videos = json.loads(file.read_text())
    places = [(video, name) for video in videos for name in sorted(video)]
    contents = [video[name] for video, name in places]
    random.Random(0).shuffle(contents)
    for (video, name), content in zip(places, contents, strict=True):
        own = video[name]
        kept = {key: own[key] for key in ("vid_seg_int", "vid_uid") if key in own}
        video[name] = {**{k: v for k, v in content.items() if k != "EvRel"}, **kept}
    file.write_text(json.dumps(videos))


def held_out_rank(world: World, run: Path) -> tuple[float, int]:
    """Mean rank of held-out events over both directions, and their number."""
    adapt(
        world.config(
            "data.videos_per_batch=8",
            "train.epochs=20",
            "train.lr=5e-3",
            "model.lora_rank=16",
            "model.lora_alpha=16",
        ),
        data=[world.store],
        out=run,
        cpu=True,
    )
    result = evaluate(
        run,
        data=[parse_source(f"vidsitu:{world.store},split=valid")],
        out=run / "eval",
        frames_per_event=2,
        tasks=["dense_retrieval"],
    )
    metrics = result.tasks[0].metrics
    ranks = [metrics[f"events {way} mean rank"].adapted.official for way in ("t2v", "v2t")]
    return sum(ranks) / 2, result.tasks[0].counts["events"]


def test_only_true_captions_teach_anything_about_new_clips(tmp_path: Path):
    true = make_world(tmp_path / "true", num_videos=32 + NUM_VALID, num_valid=NUM_VALID)
    shuffled = make_world(tmp_path / "shuffled", num_videos=32 + NUM_VALID, num_valid=NUM_VALID)
    shuffle_training_captions(shuffled.annotations)
    prepare(
        shuffled.annotations,
        videos=shuffled.videos,
        out=shuffled.store,
        spec=StoreSpec(size=IMAGE_SIZE),
        frames_per_event=2,
    )
    true_rank, num_events = held_out_rank(true, tmp_path / "true" / "run")
    shuffled_rank, _ = held_out_rank(shuffled, tmp_path / "shuffled" / "run")
    chance = (num_events + 1) / 2
    # Ranks of different videos are independent, those of one video's events are not: the standard
    # deviation is that of NUM_VALID uniform ranks, not of all events.
    sigma = math.sqrt((num_events**2 - 1) / 12 / NUM_VALID)
    assert abs(shuffled_rank - chance) <= 3 * sigma
    assert true_rank < shuffled_rank - sigma
    assert true_rank < chance - sigma
