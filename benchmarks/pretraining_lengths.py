"""How strong the mini CLIP is, and what adaptation adds, after several lengths of pretraining.

    python benchmarks/pretraining_lengths.py OUT [--steps 250 500 1000]

Only the last phase, web captions, is made shorter; facts and paraphrases are those of seed 0. Runs
are those of `ablations.py`: same videos, tests and strength. Finished runs are kept.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from pathlib import Path

from ablations import MEANS, SIZE, adapted_means, draw_world, points_cell
from figclip.cli.options import quiet_libraries
from figclip.cli.progress import ProgressDisplay
from figclip.miniworld.pretraining import FULL_PLAN, PretrainingPlan, pretrain
from figclip.runtime.cpu_settings import tune_for_cpu
from figclip.runtime.progress import DetailedProgress

_SEED = 0


def main() -> None:
    """Prints a row for each length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=[250, 500, 1000])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    quiet_libraries()
    tune_for_cpu()
    out = arguments.out.resolve()
    rows: list[str] = []
    with ProgressDisplay() as display:
        workshop = draw_world(out, display.update)
        for steps in arguments.steps:
            base = _pretrained(out, steps, display.update)
            found = [
                adapted_means(
                    workshop,
                    out / f"web-{steps}" / f"seed{seed}",
                    base=base,
                    seed=seed,
                    store=workshop.store(),
                )
                for seed in range(arguments.seeds)
            ]
            bases = [f"{100 * found[0][group]['base']:.1f}" for group in MEANS]
            gains = [
                points_cell([100 * (m[group]["adapted"] - m[group]["base"]) for m in found])
                for group in MEANS
            ]
            rows.append(f"| {steps} | " + " | ".join(bases + gains) + " |")
            display.update("lengths", len(rows), len(arguments.steps), f"{steps} steps")
    groups = [*(f"base, {name}" for name in MEANS.values()), *MEANS.values()]
    print(f"{SIZE.train} videos, strength 1; points: mean of the seeds (lowest to highest)")
    print("| steps of web captions | " + " | ".join(groups) + " |")
    print("|---" * (1 + len(groups)) + "|")
    print("\n".join(rows))


def _plan(steps: int) -> PretrainingPlan:
    """The shipped one, with another number of steps of the last phase."""
    return dataclasses.replace(FULL_PLAN, web=dataclasses.replace(FULL_PLAN.web, steps=steps))


def _pretrained(out: Path, steps: int, on_progress: DetailedProgress) -> Path:
    """A mini CLIP of this length; its first phases are copied from a length that has them."""
    folder = out / "pretraining" / str(steps)
    for phase in ("facts", "paraphrases"):
        done = sorted(out.glob(f"pretraining/*/{phase}/checkpoints"))
        if done and not (folder / phase).exists():
            shutil.copytree(done[0].parent, folder / phase)
    model = pretrain(
        folder,
        plan=_plan(steps),
        seed=_SEED,
        workers=1,
        on_step=lambda phase, report: on_progress(
            f"{steps} steps: {phase}", report.step, report.num_steps, ""
        ),
    )
    if model is None:
        raise KeyboardInterrupt
    return model


if __name__ == "__main__":
    main()
