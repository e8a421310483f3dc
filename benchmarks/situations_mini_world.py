"""Roles written in a verb's order, or chosen as they are written: the same heads both ways.

    python benchmarks/situations_mini_world.py OUT [--train 420]

One adaptation (`mini`, mini CLIP 0) and heads of three seeds (`mini_situations`) on the frames of
base and adapted, and on the contextualizer's outputs, on videos that nothing else is drawn from.
Each head writes the roles of the annotated verbs twice: those of the verb, once each, in order
(`frames` of head.json), and freely, as heads without them do. Told are CIDEr and Lea, and how many
events have other roles than the annotator's. Intervals are two standard errors, of the seeds and
of the videos (jackknife over twenty groups of them) together. Finished runs are kept: the same
command goes on; another number of videos needs another OUT.
"""

from __future__ import annotations

import argparse
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from ablations import silent_workshop
from figclip.adaptation.adapt import adapt
from figclip.annotations.roles import short_role
from figclip.datasets.situations import UNSCORED_ROLES, TrueEvent
from figclip.evaluation.sources import DataSource
from figclip.heads.run import read_head_info, write_head_info
from figclip.heads.situations.task import evaluate_situations
from figclip.miniworld.annotated_videos import write_vidsitu
from figclip.miniworld.named_tests import write_pictures
from figclip.miniworld.painting import PaintOrders, paint
from figclip.miniworld.situations import sample_story
from figclip.miniworld.stages import (
    SITUATIONS,
    Workshop,
    finetune_heads,
    lay_out_base,
    mini_config,
    prepare_videos,
)
from figclip.scoring.situation_files import (
    Predictions,
    RolePrediction,
    load_prediction_file,
    role_predictions,
)
from figclip.scoring.situation_sources import open_truth
from figclip.scoring.situations import score_roles

VALID, PICTURES = 200, 1000
STORIES_SEED, PICTURES_SEED, ADAPTATION_SEED = 51, 52, 53
HEAD_SEEDS = (54, 55, 56)
NUM_GROUPS = 20
SCORES = ("CIDEr", "Lea")
WAYS = ("free", "in order")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a head wrote in one way, and the scores of it all and without each group of videos."""

    score: dict[str, float]
    without_G: dict[str, Float64[np.ndarray, " G"]]
    wrong_roles: float


def main() -> None:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, default=420, help="videos to adapt and train on")
    arguments = parser.parse_args()
    workshop = silent_workshop(arguments.out.resolve())
    draw_videos(workshop, num_train=arguments.train, seed=STORIES_SEED)
    lay_out_base(workshop.base(0), 0)
    prepare_videos(workshop)
    run = adapted(workshop)
    truth = SITUATIONS.test(workshop)
    found: dict[tuple[str, str], list[Written]] = {}
    for seed in HEAD_SEEDS:
        finetune_heads(SITUATIONS, workshop, run, seed=seed)
        heads = SITUATIONS.folder(workshop, seed=seed)
        for way, folder in zip(WAYS, (without_frames(heads), heads), strict=True):
            out = folder / "eval"
            if not (out / "situations-vidsitu.json").exists():
                evaluate_situations(folder, data=truth, out=out, cache=workshop.cache)
            for model in read_head_info(folder).models:
                written = read_written(out / "predictions" / model / "roles.json", truth)
                found.setdefault((model, way), []).append(written)
    print("\n".join(lines(found)))


def draw_videos(workshop: Workshop, *, num_train: int, seed: int) -> None:
    """Videos to adapt to and to train heads on, videos to test them on, unlabelled pictures."""
    rng, orders = random.Random(f"{seed}:stories"), PaintOrders()
    write_vidsitu(
        workshop.world.vidsitu,
        train=[sample_story(rng, held_out=False) for _ in range(num_train)],
        valid=[sample_story(rng, held_out=True) for _ in range(VALID)],
        painter=orders,
        seed=seed,
    )
    write_pictures(workshop.world.pictures, num=PICTURES, seed=PICTURES_SEED, painter=orders)
    paint(orders.orders, workers=2, on_progress=lambda *_: None)


def adapted(workshop: Workshop) -> Path:
    """The run whose features the heads read, beside its base."""
    run = workshop.path / "adapted"
    if not (run / "model").exists():
        adapt(
            mini_config(workshop.base(0), seed=ADAPTATION_SEED),
            data=[workshop.store()],
            out=run,
            keep_images=[workshop.world.pictures],
            resume=(run / "config.json").exists(),
            cache=workshop.cache,
            cpu=True,
        )
    return run


def without_frames(heads: Path) -> Path:
    """The same heads, not told which roles a verb has."""
    free = heads.with_name(f"{heads.name}-free")
    if not free.exists():
        shutil.copytree(heads, free, ignore=shutil.ignore_patterns("eval", "checkpoint*"))
        info = read_head_info(free)
        write_head_info(free, replace(info, vocabulary={**info.vocabulary, "frames": []}))
    return free


def read_written(file: Path, source: DataSource) -> Written:
    """Score a file of roles, and without each group of videos."""
    truth = open_truth(source)
    told = role_predictions(load_prediction_file(file, is_partial=True), truth)
    groups = [
        replace(told, videos=tuple(v for i, v in enumerate(told.videos) if i % NUM_GROUPS != group))
        for group in range(NUM_GROUPS)
    ]

    def scores(part: Predictions[RolePrediction]) -> dict[str, float]:
        found = score_roles(truth, part).scores
        return {name: float(found[name].value) for name in SCORES}

    each = [scores(part) for part in groups]
    pairs = [
        (event, true)
        for one in told.videos
        for event, true in zip(one.events, truth.videos[one.video_idx].annotations[0], strict=True)
    ]
    return Written(
        score=scores(told),
        without_G={name: np.array([one[name] for one in each]) for name in SCORES},
        wrong_roles=float(np.mean([set(e.texts) != scored_roles(true) for e, true in pairs])),
    )


def scored_roles(event: TrueEvent) -> set[str]:
    """What an annotator names of it, but for what is not scored."""
    return set(map(short_role, event.roles)) - set(UNSCORED_ROLES)


def lines(found: dict[tuple[str, str], list[Written]]) -> Iterator[str]:
    """A row a model and score."""
    yield "| head on | score | free | in order | difference |"
    yield "|---|---|---|---|---|"
    for model in dict.fromkeys(model for model, _ in found):
        free, ordered = (found[model, way] for way in WAYS)
        for name in SCORES:
            means = [100 * np.mean([one.score[name] for one in way]) for way in (free, ordered)]
            low, high = interval(free, ordered, name)
            told = f"{means[1] - means[0]:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
            yield f"| {model} | {name} | {means[0]:.1f} | {means[1]:.1f} | {told} |"
        wrong = [100 * np.mean([one.wrong_roles for one in way]) for way in (free, ordered)]
        yield f"| {model} | events with other roles, % | {wrong[0]:.1f} | {wrong[1]:.1f} | |"


def interval(free: Sequence[Written], ordered: Sequence[Written], name: str) -> tuple[float, float]:
    """Two standard errors about the mean difference: of seeds and of videos, added as variances."""
    pairs = list(zip(free, ordered, strict=True))
    difference_S = np.array([b.score[name] - a.score[name] for a, b in pairs])
    without_G = np.mean([b.without_G[name] - a.without_G[name] for a, b in pairs], axis=0)
    of_videos = (NUM_GROUPS - 1) / NUM_GROUPS * np.sum((without_G - without_G.mean()) ** 2)
    of_seeds = difference_S.var(ddof=1) / len(difference_S)
    half = 2 * float(np.sqrt(of_videos + of_seeds))
    return float(difference_S.mean()) - half, float(difference_S.mean()) + half


if __name__ == "__main__":
    main()
