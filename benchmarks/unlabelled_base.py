"""Do heads gain by adaptation where the base's image tower never saw a label?

    python benchmarks/unlabelled_base.py OUT [--steps 700]

The mini CLIPs' image towers first learn facts from labels, the very facts that heads are asked for.
This base does without: paraphrases for its text tower, then web captions alone, which both towers
learn at the whole rate. It is adapted once (`mini`) and scored on named tests of a seed of their
own; heads for situations of three seeds (`mini_situations`) are trained on the frames of base and
adapted, and tested on videos that nothing else is drawn from. `benchmarks/probe_mini_world.py
OUT/adapted --base OUT/mini-clip-0` tells what its frames hold. Finished parts are kept: the same
command goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablations import silent_workshop
from figclip.miniworld.__main__ import show_step
from figclip.miniworld.pretraining import FULL_PLAN, PretrainingPlan, pretrain
from figclip.miniworld.stages import (
    SITUATIONS,
    Workshop,
    draw,
    evaluate_heads,
    evaluate_run,
    finetune_heads,
    prepare_videos,
)
from figclip.miniworld.summary import MEANS, read_scores, summarise, summarise_heads
from figclip.miniworld.world_files import WorldSize
from situations_mini_world import adapted, draw_videos

PRETRAINING_SEED, STORIES_SEED, TESTS_SEED = 71, 72, 73
HEAD_SEEDS = (74, 75, 76)
NUM_TRAIN = 420
TESTS = WorldSize(pairs=250)


def main() -> None:
    """Run what is missing, print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=700, help="steps of web captions")
    arguments = parser.parse_args()
    workshop = silent_workshop(arguments.out.resolve())
    make_base(workshop, steps=arguments.steps)
    draw_videos(workshop, num_train=NUM_TRAIN, seed=STORIES_SEED)
    for face in ("kept", "detail"):
        draw(workshop, face, size=TESTS, evaluation_seed=TESTS_SEED)
    prepare_videos(workshop)
    run = adapted(workshop)
    result = evaluate_run(workshop, run, base=workshop.base(0))
    named = summarise(read_scores(workshop.tests, [result]), seed=0)
    print_rows({name: named[name] for name in MEANS})
    print_rows({f"{one['name']}, {one['wording'] or 'kept'}": one for one in named["tests"]})
    for seed in HEAD_SEEDS:
        finetune_heads(SITUATIONS, workshop, run, seed=seed)
    heads = [evaluate_heads(SITUATIONS, workshop, seed=seed) for seed in HEAD_SEEDS]
    tasks = summarise_heads(heads, names=SITUATIONS.scores, seeds=HEAD_SEEDS, interval_seed=0)
    for task, rows in tasks.items():
        print_rows({f"{task}: {name}": rows[name] for name in SITUATIONS.scores})


def make_base(workshop: Workshop, *, steps: int) -> None:
    """Pretrain the base, or go on with it, and put it where bases are."""
    model = pretrain(
        workshop.path / "pretraining",
        plan=captions_only(steps),
        seed=PRETRAINING_SEED,
        workers=1,
        on_step=show_step,
    )
    if model is None:
        raise KeyboardInterrupt
    if not workshop.base(0).exists():
        workshop.base(0).symlink_to(model)


def captions_only(steps: int) -> PretrainingPlan:
    """No facts; both towers learn web captions at the whole rate."""
    rates = replace(FULL_PLAN.web.rates, matrices=0.02)
    return replace(
        FULL_PLAN,
        facts=replace(FULL_PLAN.facts, steps=0),
        web=replace(FULL_PLAN.web, steps=steps, rates=rates, warmup_steps=100),
        vision_share=1.0,
        validate_every=100,
    )


def print_rows(rows: dict[str, dict[str, Any]]) -> None:
    """Base, adapted, difference, in percent."""
    for name, row in rows.items():
        base, adapted, difference = (100 * row[key] for key in ("base", "adapted", "difference"))
        interval = [f"{100 * end:+.1f}" for end in row["interval"] or ()]
        told = f" [{', '.join(interval)}]" if interval else ""
        print(f"| {name} | {base:.1f} | {adapted:.1f} | {difference:+.1f}{told} |", flush=True)


if __name__ == "__main__":
    main()
