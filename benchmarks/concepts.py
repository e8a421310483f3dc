"""Are hard negatives needed where phrases are aligned with events? In the mini world, on two bases.

    python benchmarks/concepts.py OUT tuning       the weight of the phrases, with one seed
    python benchmarks/concepts.py OUT reporting    every arm, base and seed; prints the table

Hard negatives by rule (`text.verb_negatives`) or none, each with and without `loss.concept`. All
runs are at strength 1. Tests: detail in natural sentences and in the template, two truths against a
false sentence (as SugarCrepe++), and what is kept. Intervals are over seeds of training and over
items. Seeds of tests and of training are used for nothing else, and the tuning has others than the
reporting. Finished runs are kept: the same command goes on.
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
from jaxtyping import Float64

from ablations import SIZE, silent_workshop
from figclip.adaptation.adapt import adapt
from figclip.cli.options import quiet_libraries
from figclip.cli.progress import ProgressDisplay
from figclip.evaluation.evaluate import evaluate
from figclip.evaluation.results import EvaluationResult
from figclip.metrics.intervals import nested_bootstrap
from figclip.miniworld.named_tests import NamedTest, two_truths_tests, write_two_truths
from figclip.miniworld.stages import (
    PRESET,
    Workshop,
    draw,
    lay_out_base,
    mini_config,
    prepare_videos,
)
from figclip.miniworld.summary import TestScores, read_scores
from figclip.runtime.files import write_atomically

BASES = (0, 1)
TESTS_SEEDS = {"tuning": 31, "reporting": 32}
TRAINING_SEEDS = {"tuning": (33,), "reporting": (34, 35, 36)}
WEIGHT = 0.1
"""Least bad in the tuning."""
NEGATIVES = {
    "hard negatives": ("text.verb_negatives=4",),
    "natural negatives only": ("text.verb_negatives=0",),
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
    """All runs of a stage, one base after the other."""
    weights = (0.0, 0.1, 0.3, 1.0) if stage == "tuning" else (0.0, WEIGHT)
    bases = BASES[:1] if stage == "tuning" else BASES
    for base, one, seed in product(bases, NEGATIVES, TRAINING_SEEDS[stage]):
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
            yield f"| {base} | {arm.name} | {cells(scores[arm])} |"
        for arm, other in compared(arms):
            found_cells = cells(scores[arm], scores[other])
            yield f"| {base} | {arm.name}, against {other.name} | {found_cells} |"


def compared(arms: Sequence[Arm]) -> Iterator[tuple[Arm, Arm]]:
    """Each arm with phrases and the same without; then no hard negatives and hard negatives."""
    yield from ((arm, replace(arm, weight=0.0)) for arm in arms if arm.weight)
    hard, natural = (Arm(negatives=one, weight=0.0) for one in NEGATIVES)
    yield natural, hard


def of_arm(
    tests: Sequence[NamedTest], found: dict[Job, EvaluationResult], *, arm: Arm, base: int
) -> list[tuple[TestScores, ...]]:
    """Its scores, seed by seed."""
    return [
        read_scores(tests, [result])
        for job, result in found.items()
        if (job.arm, job.base) == (arm, base)
    ]


def column(one: TestScores) -> str:
    """Of the table."""
    is_double = one.test.name.startswith("two truths")
    return "two truths" if is_double else one.test.wording or "kept"


def cells(
    scores: Sequence[Sequence[TestScores]], others: Sequence[Sequence[TestScores]] | None = None
) -> str:
    """Mean differences over tests in points, with intervals: from the base, or from another arm."""
    told: list[str] = []
    for wanted in ("natural", "template", "two truths", "kept"):
        first = [one for one in scores[0] if column(one) == wanted]
        sizes = [len(one.base_N) for one in first]
        (interval,) = nested_bootstrap(
            values(others or scores, wanted, of_base=others is None),
            values(scores, wanted, of_base=False),
            group_of_item=[group for one in first for group in one.groups],
            # Every test counts alike, however many items it has.
            weight_N=np.repeat(1 / np.array(sizes), sizes),
        )
        low, high = 100 * interval.low, 100 * interval.high
        told.append(f"{100 * interval.difference:+.1f} [{low:+.1f}, {high:+.1f}]")
    return " | ".join(told)


def values(
    scores: Sequence[Sequence[TestScores]], wanted: str, *, of_base: bool
) -> Float64[np.ndarray, "S N 1"]:
    """Of the items of a column's tests, seed by seed."""
    return np.stack(
        [
            np.concatenate(
                [one.base_N if of_base else one.adapted_N for one in seed if column(one) == wanted]
            )
            for seed in scores
        ]
    )[..., None]


if __name__ == "__main__":
    main()
