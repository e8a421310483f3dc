"""Are hard negatives needed where phrases are aligned with events? In the mini world, on two bases.

    python benchmarks/concepts.py OUT tuning       the weight of the phrases, with one seed
    python benchmarks/concepts.py OUT reporting    every arm, base and seed; prints the table

Hard negatives by rule (`text.verb_negatives`) or none, and none with the other events of a video
left out too, each with and without `loss.concept`. All runs are at strength 1. Tests: detail in
natural sentences and in the template, two truths against a false sentence (as SugarCrepe++), and
what is kept. Seeds of tests and of training are used for nothing else, and the tuning has others
than the reporting. Finished runs are kept: the same command goes on.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from ablations import SIZE, silent_workshop
from figclip.adaptation.adapt import adapt
from figclip.cli.options import quiet_libraries
from figclip.cli.progress import ProgressDisplay
from figclip.evaluation.evaluate import evaluate
from figclip.evaluation.results import EvaluationResult
from figclip.miniworld.named_tests import NamedTest, two_truths_tests, write_two_truths
from figclip.miniworld.stages import (
    PRESET,
    Workshop,
    draw,
    lay_out_base,
    mini_config,
    prepare_videos,
)
from figclip.miniworld.summary import TestScores, mean_difference, read_scores
from figclip.runtime.files import write_atomically

BASES = (0, 1)
TESTS_SEEDS = {"tuning": 31, "reporting": 32}
TRAINING_SEEDS = {"tuning": (33,), "reporting": (34, 35, 36)}
WEIGHT = 0.1
"""Least bad in the tuning."""
NEGATIVES = {
    "hard negatives": (),
    "natural negatives only": ("text.verb_negatives=0",),
    "no negatives in the video": ("text.verb_negatives=0", "text.video_negatives=false"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A recipe to compare: `mini` with one way of negatives, and phrases at a weight."""

    negatives: str
    weight: float

    @property
    def name(self) -> str:
        """As the table says it."""
        return f"{self.negatives}, phrases {self.weight:g}" if self.weight else self.negatives

    @property
    def overrides(self) -> tuple[str, ...]:
        """Of `--set`."""
        return (*NEGATIVES[self.negatives], f"loss.concept={self.weight}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One adaptation to run and score."""

    arm: Arm
    base: int
    seed: int


def main() -> None:
    """Runs what is missing, then prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("stage", choices=tuple(TESTS_SEEDS))
    arguments = parser.parse_args()
    quiet_libraries()
    stage: str = arguments.stage
    out: Path = arguments.out.resolve() / stage
    with ProgressDisplay() as display:
        draw_world(Workshop(path=out, on_progress=display.update), stage)
        jobs = list(planned(stage))
        found: dict[Job, EvaluationResult] = {}
        for job, result in zip(jobs, run_all(out, jobs), strict=True):
            found[job] = result
            display.update("adapting", len(found), len(jobs), f"{job.arm.name}, seed {job.seed}")
    tests = named_tests(Workshop(path=out, on_progress=lambda *_: None))
    table = "\n".join(lines(tests, found)) + "\n"
    write_atomically(out / "table.md", table)
    print(table, end="")


def planned(stage: str) -> Iterator[Job]:
    """All runs of a stage: one base after the other, and the third way of negatives last."""
    weights = (0.0, 0.1, 0.3, 1.0) if stage == "tuning" else (0.0, WEIGHT)
    bases = BASES[:1] if stage == "tuning" else BASES
    for ways in (tuple(NEGATIVES)[:2], () if stage == "tuning" else tuple(NEGATIVES)[2:]):
        for base, one, seed in product(bases, ways, TRAINING_SEEDS[stage]):
            for weight in weights:
                yield Job(arm=Arm(negatives=one, weight=weight), base=base, seed=seed)


def draw_world(workshop: Workshop, stage: str) -> None:
    """Videos to adapt to, and the tests of the stage's own seed."""
    for part in ("kept", "detail", "training"):
        draw(workshop, part, size=SIZE, evaluation_seed=TESTS_SEEDS[stage])
    write_two_truths(workshop.world.detail, num_pairs=SIZE.pairs, seed=TESTS_SEEDS[stage])
    prepare_videos(workshop)
    for base in BASES:
        lay_out_base(workshop.base(base), base)


def named_tests(workshop: Workshop) -> tuple[NamedTest, ...]:
    """Detail, two truths, kept."""
    return (*workshop.tests, *two_truths_tests(workshop.world.detail))


def run_all(out: Path, jobs: Sequence[Job]) -> Iterator[EvaluationResult]:
    """One process a core with one thread each, the jobs in order."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the processes as they start
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        yield from pool.map(run_one, [out] * len(jobs), jobs)


def run_one(out: Path, job: Job) -> EvaluationResult:
    """Adapt, or go on with it, and score."""
    workshop = silent_workshop(out)
    named = "".join(letter if letter.isalnum() else "-" for letter in job.arm.name)
    run = out / f"{named}-base{job.base}-seed{job.seed}"
    base = workshop.base(job.base)
    if not (run / "model").exists():
        adapt(
            mini_config(base, seed=job.seed, overrides=job.arm.overrides),
            data=[workshop.store()],
            out=run,
            keep_images=[workshop.world.pictures],
            resume=(run / "config.json").exists(),
            cache=workshop.cache,
            cpu=True,
        )
    return evaluate(  # again, where it was: embeddings are in the cache
        run,
        base=base,
        data=[test.source for test in named_tests(workshop)],
        cache=workshop.cache,
        preset=PRESET,
        out=run / "eval",
    )


def lines(tests: Sequence[NamedTest], found: dict[Job, EvaluationResult]) -> Iterator[str]:
    """A row an arm and base: against the base, then against the same negatives without phrases."""
    yield "| base | arm | natural | template | two truths | kept |"
    yield "|---|---|---|---|---|---|"
    for base in sorted({job.base for job in found}):
        arms = list(dict.fromkeys(job.arm for job in found if job.base == base))
        scores = {arm: of_arm(tests, found, arm=arm, base=base) for arm in arms}
        for arm in arms:
            cells = " | ".join(cell(of_group) for of_group in groups(scores[arm]))
            yield f"| {base} | {arm.name} | {cells} |"
        for arm in arms:
            if arm.weight:
                without = scores[Arm(negatives=arm.negatives, weight=0.0)]
                against = [
                    replace(one, base_N=other.adapted_N)
                    for one, other in zip(scores[arm], without, strict=True)
                ]
                cells = " | ".join(cell(of_group) for of_group in groups(against))
                yield f"| {base} | {arm.name}, against none | {cells} |"


def of_arm(
    tests: Sequence[NamedTest], found: dict[Job, EvaluationResult], *, arm: Arm, base: int
) -> tuple[TestScores, ...]:
    """Its scores, item by item the mean over seeds."""
    results = [result for job, result in found.items() if (job.arm, job.base) == (arm, base)]
    return read_scores(tests, results)


def groups(scores: Sequence[TestScores]) -> Iterator[list[TestScores]]:
    """The tests by the table's columns."""

    def column(one: TestScores) -> str:
        is_double = one.test.name.startswith("two truths")
        return "two truths" if is_double else one.test.wording or "kept"

    for wanted in ("natural", "template", "two truths", "kept"):
        yield [one for one in scores if column(one) == wanted]


def cell(scores: Sequence[TestScores]) -> str:
    """Difference of the means over tests in points, with its interval."""
    one = mean_difference(scores, seed=0)
    low, high = 100 * one.low, 100 * one.high
    assert np.isfinite(one.difference)
    return f"{100 * one.difference:+.1f} [{low:+.1f}, {high:+.1f}]"


if __name__ == "__main__":
    main()
