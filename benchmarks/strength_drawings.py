"""Is the chosen strength steady? One adaptation, its strength chosen by several sets of stills.

    figclip quickstart --out quickstart
    python benchmarks/strength_drawings.py quickstart --drawings 10

Each set of stills is drawn from a seed of its own, as many as the quickstart draws. The adaptation
and the validation videos are the same. Nothing is written but the drawings.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import torch

from figclip.adaptation.assembly import RunParts, assemble
from figclip.adaptation.strength import StrengthChoice, choose_strength, open_kept, plan_kept
from figclip.annotations.counterfactuals import build_counterfeit_pools
from figclip.config import RunConfig
from figclip.config.parsing import from_json
from figclip.evaluation.seen_items import media_in
from figclip.miniworld.mini_clip import IMAGE_SIZE
from figclip.miniworld.named_tests import kept_tests, write_kept_tests
from figclip.miniworld.painting import PaintOrders, paint
from figclip.miniworld.quickstart import WorldSize
from figclip.model.folder import SeenMedia, read_info
from figclip.tasks.dense_retrieval import build_validation
from figclip.training.run_folder import RunFolder
from figclip.video.store import StoreSpec

FIRST_SEED = 101
"""Apart from the seeds of `miniworld/world_files.py`."""


def load_parts(quickstart: Path, config: RunConfig, run: RunFolder) -> RunParts:
    """The adapted CLIP with its LoRA layers, and the validation videos."""
    store = quickstart / "frames.store"
    parts = assemble(config, [store], cache=None, on_texts=None, device=torch.device("cpu"))
    info = read_info(run.model)
    assert info is not None
    weights = run.load_checkpoint(info.provenance["step"]).tensors
    with torch.no_grad():
        for name, parameter in parts.backbone.clip.named_parameters():
            if (trained := weights.get(f"weights/clip.{name}")) is not None:
                parameter.copy_(trained)
    return parts


def choose(parts: RunParts, config: RunConfig, folder: Path, *, seed: int) -> StrengthChoice:
    """Draw the stills of a seed and choose by them."""
    orders = PaintOrders()
    num_stills = WorldSize().selection_stills
    write_kept_tests(folder / "kept", num_stills=num_stills, seed=seed, painter=orders)
    paint(orders.orders, workers=1, on_progress=lambda done, total: None)
    keep = [test.source for test in kept_tests(folder / "kept")]
    planned = plan_kept(keep, config, cache=folder / "cache")
    assert planned is not None
    validation = build_validation(
        parts.val,
        pools=build_counterfeit_pools(parts.train.records),
        frames_per_event=config.data.frames_per_event,
        seed=config.train.seed,
    )
    seen = SeenMedia(trained_on=media_in(parts.train), validated_on=media_in(parts.val))
    return choose_strength(
        parts.backbone,
        open_kept(planned, StoreSpec(size=IMAGE_SIZE), seen=seen, on_progress=None),
        detail=validation.scores,
        micro_batch=config.train.micro_batch,
        seed=config.train.seed,
        on_progress=None,
    )


def main() -> None:
    """Print the strength of each drawing, and how far they are apart."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("quickstart", type=Path, help="folder of figclip quickstart")
    parser.add_argument("--run", default="run-base0-seed0", help="run folder in it")
    parser.add_argument("--drawings", type=int, default=10)
    arguments = parser.parse_args()
    run = RunFolder(arguments.quickstart / arguments.run)
    config = from_json(run.config.read_text(), RunConfig)
    parts = load_parts(arguments.quickstart, config, run)
    strengths: list[float] = []
    for seed in range(FIRST_SEED, FIRST_SEED + arguments.drawings):
        with tempfile.TemporaryDirectory() as folder:
            choice = choose(parts, config, Path(folder), seed=seed)
        strengths.append(choice.alpha)
        losses = ", ".join(f"{name} {one.loss:+.3f}" for name, one in choice.chosen.tests.items())
        print(f"seed {seed}: {choice.alpha:.2f}  losses there: {losses}", flush=True)
    apart = max(strengths) - min(strengths)
    spread = statistics.stdev(strengths) if len(strengths) > 1 else 0.0
    print(f"{len(strengths)} drawings: {apart:.2f} apart, standard deviation {spread:.3f}")


if __name__ == "__main__":  # drawing and decoding start processes that import this file again
    main()
