"""What each part of the method does in the mini world: one change at a time, several seeds.

    make ablations            (python benchmarks/ablations.py OUT --seeds 3)

Every run is at strength 1, so that nothing is hidden by the choice of the strength, and is scored
on named tests of the seed that settings were tuned on: that of the quickstart's tests stays unseen.
Writes OUT/ablations.json and docs/ablations.md. Finished runs are kept: the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import textwrap
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from figclip.adaptation.adapt import adapt
from figclip.cli.options import quiet_libraries
from figclip.cli.progress import ProgressDisplay
from figclip.miniworld.stages import (
    Workshop,
    draw,
    evaluate_run,
    lay_out_base,
    mini_config,
    prepare_videos,
)
from figclip.miniworld.summary import read_scores, summarise
from figclip.miniworld.world_files import TUNING_SEED, WorldSize
from figclip.runtime.cpu_settings import tune_for_cpu
from figclip.runtime.files import write_atomically
from figclip.runtime.progress import DetailedProgress

SIZE = WorldSize(
    train=300, valid=1, pairs=150, stills=600, selection_stills=2, films=0, valid_films=0
)
FEW = replace(SIZE, train=SIZE.train // 10, pairs=0, stills=0, selection_stills=0)
MEANS = {"detail": "natural", "detail_template": "template", "semantic": "kept"}
DOCS = Path(__file__).parent.parent / "docs" / "ablations.md"
Means = dict[str, dict[str, float]]
"""Of each group of tests: base and adapted, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """One change of the recipe `mini`.

    Attributes:
        name: As the table says it.
        overrides: Of `--set`.
        few: Trains on a tenth of the videos, ten times as often.
    """

    name: str
    overrides: tuple[str, ...] = ()
    few: bool = False

    @property
    def folder(self) -> str:
        """Its runs' folder."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name)


ABLATIONS = (
    Ablation(name="recipe `mini`"),
    Ablation(name="no hard negatives", overrides=("text.video_negatives=false",)),
    Ablation(
        name="verb-role negatives only (K = 4)",
        overrides=("text.verb_negatives=4", "text.video_negatives=false"),
    ),
    *(Ablation(name=f"K = {k}", overrides=(f"text.verb_negatives={k}",)) for k in (2, 4, 8)),
    Ablation(
        name="K = 4, drawn uniformly",
        overrides=("text.verb_negatives=4", "text.negative_policy=uniform"),
    ),
    Ablation(name="equal captions not masked", overrides=("text.mask_equal_texts=false",)),
    Ablation(
        name="no contextualizer",
        overrides=(
            "loss.event_context=0",
            "loss.video_context=0",
            "model.contextualizer_layers=0",
        ),
    ),
    Ablation(name="no video level (λ = 0)", overrides=("loss.video=0", "loss.video_context=0")),
    Ablation(name="λ = 4", overrides=("loss.video=4", "loss.video_context=4")),
    Ablation(name="LoRA on the text tower", overrides=("model.adaptation=lora_text",)),
    Ablation(name="LoRA on both towers", overrides=("model.adaptation=lora_both",)),
    Ablation(name="full fine-tuning", overrides=("model.adaptation=full", "train.lr=1e-4")),
    Ablation(name="not held to the base", overrides=("keep.weight=0",)),
    Ablation(name="a tenth of the videos", few=True),
)


def main() -> None:
    """Runs what is missing, then writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    quiet_libraries()
    with ProgressDisplay() as display:
        out = arguments.out.resolve()
        draw_world(out, display.update)
        jobs = list(product(ABLATIONS, range(arguments.seeds)))
        found: dict[str, list[Means]] = {one.name: [] for one in ABLATIONS}
        for done, ((ablation, seed), means) in enumerate(zip(jobs, _run(out, jobs), strict=True)):
            found[ablation.name].append(means)
            display.update("ablations", done + 1, len(jobs), f"{ablation.name}, seed {seed}")
    write_atomically(out / "ablations.json", json.dumps(found, indent=2) + "\n")
    write_atomically(DOCS, _page(found, num_seeds=arguments.seeds))


def draw_world(out: Path, on_progress: DetailedProgress) -> Workshop:
    """Videos to adapt to, a tenth of them in a store of their own, and the named tests."""
    workshop = Workshop(path=out, on_progress=on_progress)
    for part in ("kept", "detail", "training"):
        draw(workshop, part, size=SIZE, evaluation_seed=TUNING_SEED)
    lay_out_base(workshop.base(0), 0)
    prepare_videos(workshop)
    few = Workshop(path=out / "few", on_progress=on_progress)
    # A story depends on its position only: these are the first of the others.
    draw(few, "training", size=FEW, evaluation_seed=TUNING_SEED)
    prepare_videos(few)
    return workshop


def _run(out: Path, jobs: Sequence[tuple[Ablation, int]]) -> Iterator[Means]:
    """The means of all jobs, one process a core with one thread each."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the processes as they start
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        # The first fills the cache with what the base makes of the tests; the others read it.
        yield pool.submit(_means, out, *jobs[0]).result()
        yield from pool.map(_means, [out] * (len(jobs) - 1), *zip(*jobs[1:], strict=True))


def _means(out: Path, ablation: Ablation, seed: int) -> Means:
    """Base and adapted means of one run."""
    overrides = list(ablation.overrides)
    workshop = silent_workshop(out)
    store = workshop.store()
    if ablation.few:
        store = silent_workshop(out / "few").store()
        epochs = mini_config(workshop.base(0), seed=seed).train.epochs
        overrides.append(f"train.epochs={SIZE.train // FEW.train * epochs}")
    return adapted_means(
        workshop,
        out / ablation.folder / f"seed{seed}",
        base=workshop.base(0),
        seed=seed,
        store=store,
        overrides=overrides,
    )


def silent_workshop(out: Path) -> Workshop:
    """Of a process that shows nothing."""
    quiet_libraries()
    tune_for_cpu()
    return Workshop(path=out, on_progress=lambda *_: None)


def adapted_means(
    workshop: Workshop,
    run: Path,
    *,
    base: Path,
    seed: int,
    store: Path,
    overrides: Sequence[str] = (),
) -> Means:
    """Adapt with the recipe `mini`, or go on with it, and score."""
    config = mini_config(base, seed=seed, overrides=overrides)
    if not (run / "model").exists():
        resume = (run / "config.json").exists()
        adapt(
            config,
            data=[store],
            out=run,
            keep_images=[workshop.world.pictures] if config.keep.weight else [],
            resume=resume,
            cache=workshop.cache,
            cpu=True,
        )
    scores = read_scores(workshop.tests, [evaluate_run(workshop, run, base=base)])
    summary = summarise(scores, seed=0)
    return {mean: {model: summary[mean][model] for model in ("base", "adapted")} for mean in MEANS}


def _page(found: dict[str, list[Means]], *, num_seeds: int) -> str:
    """The page of the documentation."""
    about = (
        f"`make ablations` runs the recipe `mini` on {SIZE.train} videos, one change at a time, "
        f"with {num_seeds} seeds at strength 1. Each test of detail has {2 * SIZE.pairs} items, "
        f"each kept test {SIZE.stills}, drawn from the seed that settings were tuned on. Numbers "
        "are points against the base: mean of the seeds, their lowest and highest. "
        "[The mini world](mini_world.md#the-named-tests) describes the tests."
    )
    lines = [
        "# Ablations in the mini world",
        "",
        *textwrap.wrap(about, width=100, break_long_words=False, break_on_hyphens=False),
        "",
        "| change | `--set` | " + " | ".join(MEANS.values()) + " |",
        "|---|---|" + "---|" * len(MEANS),
    ]
    for ablation in ABLATIONS:
        cells = [
            points_cell([100 * (means[group]["adapted"] - means[group]["base"]) for means in seeds])
            for seeds in [found[ablation.name]]
            for group in MEANS
        ]
        settings = f"`{' '.join(ablation.overrides)}`" if ablation.overrides else ""
        lines.append(f"| {ablation.name} | {settings} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def points_cell(points: Sequence[float]) -> str:
    """Mean, lowest and highest."""
    return f"{np.mean(points):+.1f} ({min(points):+.1f} to {max(points):+.1f})"


if __name__ == "__main__":
    main()
