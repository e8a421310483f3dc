"""What the pixel pipeline does to scores in the mini world: `swscale` beside `pil`, same models.

    python benchmarks/pipelines_mini_world.py OUT [--seeds 3] [--size-px 224]

Videos are drawn 224 px wide, not 128, so that 64 px, what the mini CLIP takes, are no whole part of
it: 3.5 to 1, as 720p to 224 px is 3.2. The recipe `mini` adapts mini CLIP 0 on the frames of each
pipeline, at strength 1, and each model is scored on the named tests with the frames of both. The
size, and the seed of the tests, are those of the ablations. Stills have the pixels of `pil` in any
case: the kept tests see the pipeline of the training frames only.

Differences are `swscale` minus `pil` in points, the mean of the seeds, with 95 % intervals over
items; what they cannot tell is the chance of training itself, so each seed's difference stands
beside them. Finished runs are kept: the same command goes on.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import figclip
from ablations import SIZE, silent_workshop
from figclip.adaptation.adapt import adapt
from figclip.evaluation.results import EvaluationResult
from figclip.miniworld.annotated_videos import write_vidsitu
from figclip.miniworld.mini_clip import IMAGE_SIZE
from figclip.miniworld.named_tests import write_detail_tests, write_kept_tests, write_pictures
from figclip.miniworld.painting import PaintOrders, paint
from figclip.miniworld.situations import sample_story
from figclip.miniworld.stages import PRESET, Workshop, lay_out_base, mini_config
from figclip.miniworld.summary import MEANS, TestScores, mean_difference, read_scores
from figclip.miniworld.world_files import PICTURES_SEED, TRAINING_SEED, TUNING_SEED
from figclip.preparation.prepare import prepare
from figclip.video.sampling import PRESETS
from figclip.video.store import FrameStore, StoreSpec

PIPELINES = ("pil", "swscale")
WORDINGS = {"detail": "natural", "detail_template": "template", "semantic": None}


@dataclass(frozen=True, slots=True)
class Scored:
    """The frames that a model was adapted on, and those that it is scored on."""

    adapted_on: str
    scored_on: str
    seed: int


Found = Mapping[Scored, EvaluationResult]


def main() -> None:
    """Run what is missing, print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size-px", type=int, default=224)
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    workshop = silent_workshop(out)
    draw(workshop, size_px=arguments.size_px)
    lay_out_base(workshop.base(0), 0)
    for pipeline in PIPELINES:
        prepare(
            workshop.world.vidsitu / "annotations",
            videos=workshop.world.vidsitu / "videos",
            out=store(out, pipeline),
            spec=StoreSpec(size=IMAGE_SIZE, pipeline=pipeline),
        )
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the processes as they start
    adaptations = list(product(range(arguments.seeds), PIPELINES))
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        list(pool.map(adapt_on, [out] * len(adaptations), *zip(*adaptations, strict=True)))
    wanted = [Scored(on, by, seed) for (seed, on), by in product(adaptations, PIPELINES)]
    print_frames(workshop)
    print_scores(workshop, {one: score(workshop, one) for one in wanted})


def store(out: Path, pipeline: str) -> Path:
    """Training frames."""
    return out / f"{pipeline}.store"


def draw(workshop: Workshop, *, size_px: int) -> None:
    """The ablations' world, larger."""
    world, orders = workshop.world, PaintOrders()
    write_kept_tests(world.kept, num_stills=SIZE.stills, seed=TUNING_SEED, painter=orders)
    write_detail_tests(world.detail, num_pairs=SIZE.pairs, seed=TUNING_SEED, painter=orders)
    write_pictures(world.pictures, num=SIZE.pictures, seed=PICTURES_SEED, painter=orders)
    rng = random.Random(f"{TRAINING_SEED}:stories")
    train, valid = (
        [sample_story(rng, held_out=held_out) for _ in range(num)]
        for num, held_out in ((SIZE.train, False), (SIZE.valid, True))
    )
    write_vidsitu(world.vidsitu, train=train, valid=valid, painter=orders, seed=TRAINING_SEED)
    num_workers = os.cpu_count() or 1
    paint(orders.orders, workers=num_workers, on_progress=workshop_tells, size_px=size_px)


def workshop_tells(done: int, total: int) -> None:
    """How much is drawn, every thousand."""
    if done % 1000 == 0:
        print(f"drawn: {done} of {total}", flush=True)


def adapt_on(out: Path, seed: int, pipeline: str) -> None:
    """Adapt on the frames of a pipeline, or go on with it."""
    workshop, run = silent_workshop(out), run_folder(out, pipeline, seed)
    if not (run / "model").exists():
        adapt(
            mini_config(workshop.base(0), seed=seed),
            data=[store(out, pipeline)],
            out=run,
            keep_images=[workshop.world.pictures],
            resume=(run / "config.json").exists(),
            cache=workshop.cache,
            cpu=True,
        )


def run_folder(out: Path, pipeline: str, seed: int) -> Path:
    """Of an adaptation."""
    return out / f"{pipeline}-seed{seed}"


def score(workshop: Workshop, wanted: Scored) -> EvaluationResult:
    """Base beside adapted on all named tests, videos by one pipeline."""
    run = run_folder(workshop.path, wanted.adapted_on, wanted.seed)
    name = f"{PRESET}, {wanted.scored_on}"
    PRESETS[name] = replace(PRESETS[PRESET], name=name, pipeline=wanted.scored_on)
    return figclip.evaluate(
        run,
        base=workshop.base(0),
        data=[test.source for test in workshop.tests],
        out=run / wanted.scored_on,
        cache=workshop.cache,
        preset=name,
    )


def print_scores(workshop: Workshop, found: Found) -> None:
    """A row a test and a mean; differences of the base, of one model, and of the whole path."""

    def read(adapted_on: str, scored_on: str, seeds: Sequence[int]) -> tuple[TestScores, ...]:
        results = [found[Scored(adapted_on, scored_on, seed)] for seed in seeds]
        return read_scores(workshop.tests, results)

    seeds = sorted({one.seed for one in found})
    pil, scored, path = (
        read(*of, seeds) for of in (("pil", "pil"), ("pil", "swscale"), ("swscale", "swscale"))
    )
    columns = {
        "base": [
            replace(b, base_N=a.base_N, adapted_N=b.base_N)
            for a, b in zip(pil, scored, strict=True)
        ],
        "adapted on pil": compared(pil, scored),
        "adapted on the same": compared(pil, path),
    }
    by_seed = [
        compared(read("pil", "pil", [seed]), read("swscale", "swscale", [seed])) for seed in seeds
    ]
    print(f"\n| test | base | adapted | {' | '.join(columns)} | by seed |")
    print("|---" * (len(columns) + 4) + "|")
    groups = {
        **{_title(test): [number] for number, test in enumerate(pil)},
        **{
            f"mean, {WORDINGS[mean] or 'kept'}": [
                number for number, one in enumerate(pil) if one.test.wording == WORDINGS[mean]
            ]
            for mean in MEANS
        },
    }
    for title, members in groups.items():
        levels = [
            f"{100 * np.mean([getattr(pil[one], name).mean() for one in members]):.1f}"
            for name in ("base_N", "adapted_N")
        ]
        cells = [difference([tests[one] for one in members]) for tests in columns.values()]
        of_seeds = [points([tests[one] for one in members]) for tests in by_seed]
        print(f"| {title} | {' | '.join([*levels, *cells, ', '.join(of_seeds)])} |")


def _title(scores: TestScores) -> str:
    """Name of a test and its wording."""
    return ", ".join(filter(None, (scores.test.name, scores.test.wording)))


def compared(pil: Sequence[TestScores], swscale: Sequence[TestScores]) -> list[TestScores]:
    """The adapted models' scores, those of `pil` in the place of the base's."""
    return [
        replace(b, base_N=a.adapted_N, adapted_N=b.adapted_N)
        for a, b in zip(pil, swscale, strict=True)
    ]


def difference(tests: Sequence[TestScores]) -> str:
    """Points with their interval."""
    one = mean_difference(tests, seed=0)
    return f"{100 * one.difference:+.2f} [{100 * one.low:+.2f}, {100 * one.high:+.2f}]"


def points(tests: Sequence[TestScores]) -> str:
    """Points alone."""
    return f"{100 * mean_difference(tests, seed=0).difference:+.1f}"


def print_frames(workshop: Workshop) -> None:
    """How far pixels and embeddings of the training frames are from each other."""
    stores = [FrameStore.open(store(workshop.path, one)) for one in PIPELINES]
    hashes = sorted({row.video_hash for row in stores[0].record_rows()})
    frames = [
        np.concatenate([one.read_frames(name, one.frame_times_us(name)) for name in hashes])
        for one in stores
    ]
    moved_px = np.abs(frames[0].astype(np.int16) - frames[1]).mean()
    print(f"{len(frames[0])} training frames: pixels {moved_px:.2f} of 255 apart")
    for model in (workshop.base(0), run_folder(workshop.path, "pil", 0)):
        clip = figclip.FiGCLIP.from_pretrained(model)
        pil_ND, swscale_ND = (
            np.concatenate([clip.encode_frames(part).numpy() for part in np.array_split(each, 20)])
            for each in frames
        )
        cosine_N = (pil_ND.astype(np.float64) * swscale_ND).sum(axis=1)
        print(f"{model.name}: cosine min {cosine_N.min():.5f}, median {np.median(cosine_N):.5f}")


if __name__ == "__main__":
    main()
