"""All that writes, as commands: a new writer joins by a line in the table."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imports torch, which worker processes would do, too
    from tests.adapted_world import World


@dataclass(frozen=True)
class Writer:
    """A command that writes below a folder.

    Attributes:
        command: Arguments of `figclip`, of the world and the folder.
        begun: What of the world lies in the folder before, as what.
        always: Folder of those that is whole at every moment, whatever happens.
    """

    command: Callable[[World, Path], list[str | Path]]
    begun: tuple[tuple[str, str], ...] = ()
    always: str | None = None

    def lay_out(self, world: World, out: Path) -> None:
        """Make the folder as it is before."""
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        for there, here in self.begun:
            shutil.copytree(world.folder / there, out / here)


def sets(*settings: str) -> list[str]:
    return [part for one in settings for part in ("--set", one)]


ADAPTED = sets(
    "train.epochs=2",
    "train.checkpoint_every=1",
    "train.keep_checkpoints=1",
    "data.videos_per_batch=2",
    "data.val_fraction=0",
    "data.loader_workers=0",
)
FINETUNED = sets(
    "frames.per_event=2", "train.epochs=2", "train.videos_per_batch=2", "train.keep_checkpoints=1",
    "head.width=16", "head.heads=2", "head.encoder_layers=1", "head.decoder_layers=1",
    "head.max_words=8", "head.min_word_count=1",
)  # fmt: skip


def adapted(world: World, run: Path) -> list[str | Path]:
    """The command of an adaptation."""
    return [
        "adapt", "--recipe", "tiny", "--base", world.base, "--data", world.store, "--out", run,
        "--cpu", *ADAPTED,
    ]  # fmt: skip


def finetuned(world: World, run: Path) -> list[str | Path]:
    """The command of task heads on the base."""
    return [
        "finetune", "situations", "--recipe", "mini_situations", "--model", world.base,
        "--data", f"vidsitu:{world.store}", "--out", run, "--cpu", *FINETUNED,
    ]  # fmt: skip


def scored(world: World, out: Path) -> list[str | Path]:
    """The command that scores these heads, and writes what they predict."""
    data = f"vidsitu:{world.store}"
    return ["eval", world.folder / HEADS, "--data", data, "--out", out, "--cpu"]


RUN, HEADS, SCORED = "run", "heads", "scored"
"""Folders of the world with what `adapted`, `finetuned` and `scored` make."""

WRITERS = {
    "prepare": Writer(
        lambda world, out: [
            "prepare", world.annotations, "--videos", world.videos, "--out", out / "frames.store",
            "--size", "32", "--frames", "2", "--workers", "1",
        ]
    ),
    "adapt": Writer(lambda world, out: adapted(world, out / RUN)),
    "model folder": Writer(
        lambda world, out: [*adapted(world, out / RUN), "--resume"],
        begun=((RUN, RUN),),
        always=f"{RUN}/model",
    ),
    "finetune": Writer(lambda world, out: finetuned(world, out / HEADS)),
    "eval": Writer(
        lambda world, out: [
            "eval", world.base, "--data", f"vidsitu:{world.store}", "--out", out / "results",
            "--cpu", "--task", "dense_retrieval", "--frames", "2",
        ]
    ),
    "eval heads": Writer(lambda world, out: scored(world, out / "results")),
    "score": Writer(
        lambda world, out: [
            "score", world.folder / SCORED / "predictions" / "adapted" / "verbs.json",
            "--data", f"vidsitu:{world.store}", "--out", out / "results",
        ]
    ),
    "report": Writer(
        lambda world, out: ["report", world.folder / RUN, "--out", out / "report.html"]
    ),
    "index": Writer(
        lambda world, out: [
            "index", world.base, world.videos, "--out", out / "videos.index", "--workers", "1",
            "--cpu",
        ]
    ),
}  # fmt: skip
