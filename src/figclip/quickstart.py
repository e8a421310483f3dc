"""The whole path on clips that are drawn on the spot: world, store, adaptation, comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from figclip.config import apply_overrides
from figclip.data.frames import StoreSpec
from figclip.evaluation import evaluate, format_table, parse_source
from figclip.model.folder import StagedFolder
from figclip.preparation import prepare
from figclip.recipes import build_recipe
from figclip.selection import adapt
from figclip.world.sketch import draw_sketch
from figclip.world.small_clip import write_small_clip

NUM_VIDEOS, NUM_VALID = 32, 8
IMAGE_SIZE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickstartResult:
    """What the quickstart made.

    Attributes:
        model: The adapted model's folder.
        table: Base beside adapted, as text.
    """

    model: Path
    table: str


def run_quickstart(
    out: Path, *, seed: int, on_progress: Callable[[str, int, int], None]
) -> QuickstartResult:
    """Draw, prepare, adapt, compare. What is already there is not made again.

    Args:
        out: Folder for all that is made.
        seed: Of clips, base model and training.
        on_progress: Told the stage, how much of it is done, of how much.

    Raises:
        KeyboardInterrupt: training was interrupted by a signal; calling this again goes on.
    """
    world, base, store, run = (out / name for name in ("world", "base", "frames.store", "run"))
    if not world.exists():
        with StagedFolder(world) as folder:
            draw_sketch(folder, num_videos=NUM_VIDEOS, num_valid=NUM_VALID, seed=seed)
    if not base.exists():
        with StagedFolder(base) as folder:
            write_small_clip(folder, seed=seed, image_size=IMAGE_SIZE)
    prepare(
        world / "annotations",
        videos=world / "videos",
        out=store,
        spec=StoreSpec(size=IMAGE_SIZE),
        on_video=lambda done, total, _: on_progress("decoding", done, total),
    )
    config = apply_overrides(build_recipe("mini"), [f"model.base={base}", f"train.seed={seed}"])
    result = adapt(
        config,
        data=[store],
        out=run,
        resume=(run / "config.json").exists(),
        cache=out / "cache",
        cpu=True,
        on_step=lambda report: on_progress("adapting", report.step, report.num_steps),
    )
    if result.model is None:
        raise KeyboardInterrupt
    compared = evaluate(
        run,
        data=[parse_source(f"vidsitu:{store},split={split}") for split in ("train", "valid")],
        out=run / "eval",
        cache=out / "cache",
        seed=seed,
    )
    return QuickstartResult(model=result.model, table=format_table(compared))
