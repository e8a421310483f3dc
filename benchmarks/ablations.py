"""What each part of the method does in the mini world: one change at a time, several seeds.

    make ablations            (python benchmarks/ablations.py OUT --seeds 3)

Every run is at strength 1, so that nothing is hidden by the choice of the strength, and is scored
on named tests of the seed that settings were tuned on: that of the quickstart's tests stays unseen.
Writes OUT/ablations.json and docs/ablations.md. Finished runs are kept: the same command goes on.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from figclip.checkpoint import write_atomically
from figclip.cli.options import quiet_libraries
from figclip.cli.progress import ProgressDisplay
from figclip.data.frames import StoreSpec
from figclip.preparation import prepare
from figclip.quickstart.stages import Workshop, draw, evaluate_run, mini_config, prepare_videos
from figclip.quickstart.summary import read_scores, summarise
from figclip.quickstart.world_files import TUNING_SEED, WorldSize
from figclip.selection import adapt
from figclip.world.mini_clip import IMAGE_SIZE

SIZE = WorldSize(pairs=150, stills=600, selection_stills=2)
MEANS = {"detail": "natural", "detail_template": "template", "semantic": "kept"}
DOCS = Path(__file__).parent.parent / "docs" / "ablations.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """One change of the recipe `mini`.

    Attributes:
        name: As the table says it.
        overrides: Of `--set`.
        tenth: Trains on a tenth of the videos, for as many steps.
    """

    name: str
    overrides: tuple[str, ...] = ()
    tenth: bool = False

    @property
    def folder(self) -> str:
        """Its runs' folder."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name)


ABLATIONS = (
    Ablation(name="the recipe `mini`"),
    Ablation(
        name="no hard negatives", overrides=("text.verb_negatives=0", "text.video_negatives=false")
    ),
    Ablation(name="natural negatives only (K = 0)", overrides=("text.verb_negatives=0",)),
    Ablation(name="verb-role negatives only", overrides=("text.video_negatives=false",)),
    Ablation(name="K = 1", overrides=("text.verb_negatives=1",)),
    Ablation(name="K = 8", overrides=("text.verb_negatives=8",)),
    Ablation(name="negatives drawn uniformly", overrides=("text.negative_policy=uniform",)),
    Ablation(name="equal captions not masked", overrides=("text.mask_equal_texts=false",)),
    Ablation(
        name="no contextualizer",
        overrides=(
            "loss.event_context=0",
            "loss.video_context=0",
            "model.contextualizer_layers=0",
        ),
    ),
    Ablation(name="no video level", overrides=("loss.video=0", "loss.video_context=0")),
    Ablation(name="video level at weight 1", overrides=("loss.video=1", "loss.video_context=1")),
    Ablation(name="LoRA on both towers", overrides=("model.adaptation=lora_both",)),
    Ablation(name="full fine-tuning", overrides=("model.adaptation=full", "train.lr=1e-4")),
    Ablation(name="a tenth of the videos", tenth=True),
)


def main() -> None:
    """Runs what is missing, then writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    quiet_libraries()
    with ProgressDisplay() as display:
        workshop = Workshop(path=arguments.out, on_progress=display.update)
        draw(workshop, size=SIZE, bases=[0], evaluation_seed=TUNING_SEED)
        prepare_videos(workshop)
        rows = [
            {
                "name": ablation.name,
                "overrides": ablation.overrides,
                "seeds": [_means(workshop, ablation, seed) for seed in range(arguments.seeds)],
            }
            for ablation in ABLATIONS
        ]
    write_atomically(arguments.out / "ablations.json", json.dumps(rows, indent=2) + "\n")
    DOCS.write_text(_page(rows, num_seeds=arguments.seeds))


def _means(workshop: Workshop, ablation: Ablation, seed: int) -> dict[str, dict[str, float]]:
    """Base and adapted means of one run."""
    run = workshop.path / ablation.folder / f"seed{seed}"
    store, overrides = workshop.store(), list(ablation.overrides)
    if ablation.tenth:
        store = _tenth(workshop)
        epochs = mini_config(workshop.base(0), seed=seed).train.epochs
        overrides.append(f"train.epochs={10 * epochs}")
    if not (run / "model").exists():
        config = mini_config(workshop.base(0), seed=seed, overrides=overrides)
        label = f"{ablation.name}, seed {seed}"
        adapt(
            config,
            data=[store],
            out=run,
            resume=(run / "config.json").exists(),
            cache=workshop.cache,
            cpu=True,
            on_step=lambda report: workshop.on_progress(label, report.step, report.num_steps, ""),
        )
    base = None if _has_base(ablation) else workshop.base(0)
    scores = read_scores(workshop.tests, [evaluate_run(workshop, run, base=base)])
    summary = summarise(scores, seed=0)
    return {mean: {model: summary[mean][model] for model in ("base", "adapted")} for mean in MEANS}


def _has_base(ablation: Ablation) -> bool:
    """Whether the base can be had from the run itself; a full fine-tune has none in it."""
    return "model.adaptation=full" not in ablation.overrides


def _tenth(workshop: Workshop) -> Path:
    """A store of a tenth of the training videos; a segment depends on its position only."""
    folder = workshop.path / "tenth"
    small = Workshop(path=folder, on_progress=workshop.on_progress)
    size = WorldSize(train=SIZE.train // 10, valid=1, pairs=0, stills=0, selection_stills=0)
    draw(small, size=size, bases=[], evaluation_seed=TUNING_SEED)
    prepare(
        small.world.vidsitu / "annotations",
        videos=small.world.vidsitu / "videos",
        out=small.store(),
        spec=StoreSpec(size=IMAGE_SIZE),
    )
    return small.store()


def _page(rows: list[dict[str, Any]], *, num_seeds: int) -> str:
    """The page of the documentation."""
    lines = [
        "# Ablations in the mini world",
        "",
        f"`make ablations`: one change of the recipe `mini` at a time, {num_seeds} seeds, strength "
        f"1, {2 * SIZE.pairs} items a test of detail and {SIZE.stills} a kept test, of the seed "
        "that settings were tuned on. Points against the base: mean of the seeds, their lowest and "
        "highest. The tests are those of [the mini world](mini_world.md).",
        "",
        "| change | " + " | ".join(MEANS.values()) + " |",
        "|---|" + "---|" * len(MEANS),
    ]
    for row in rows:
        cells = [
            _cell([100 * (s[m]["adapted"] - s[m]["base"]) for s in row["seeds"]]) for m in MEANS
        ]
        lines.append(f"| {row['name']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(points: list[float]) -> str:
    """Mean, lowest and highest."""
    return f"{np.mean(points):+.1f} ({min(points):+.1f} to {max(points):+.1f})"


if __name__ == "__main__":
    main()
