"""All that writes, as commands: a new writer joins by a line in the table."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

from figclip.annotations.vidsitu import load_source
from figclip.cli.app import app
from figclip.demo.annotating import Annotations, line_of
from figclip.miniworld import world_files
from figclip.miniworld.painting import Order
from figclip.miniworld.world_files import WorldFolder, WorldSize
from figclip.runtime.files import make_folder, write_atomically
from figclip.runtime.progress import CountProgress
from tests.processes import run_forked, start_fork_server

Arguments = list[str | Path]

DRAWN, BASE, STORE, OWN = "world", "mini-clip-0", "frames.store", "own"
RUN, SITUATIONS, CAPTIONING, SCORED = "run", "situations", "captioning", "scored"
"""What writers make for others, below the folder of a world."""


@dataclass(frozen=True)
class World:
    """A mini world: what is drawn, and what was made of it, in one folder."""

    folder: Path

    @property
    def drawn(self) -> WorldFolder:
        return WorldFolder(self.folder / DRAWN)

    @property
    def store(self) -> Path:
        return self.folder / STORE

    @property
    def run(self) -> Path:
        return self.folder / RUN

    @property
    def adapt(self) -> Arguments:
        """The arguments of an adaptation, but for its folder."""
        base = self.folder / BASE
        return ["adapt", "--recipe", "tiny", "--base", base, "--data", self.store, "--cpu"]

    @property
    def events(self) -> Arguments:
        """Data of annotated events."""
        return ["--data", f"vidsitu:{self.store}"]

    @property
    def stills(self) -> Arguments:
        """Data of pictures of one thing."""
        kept = self.drawn.kept
        return ["--data", f"actions:{kept / 'kinds.csv'},images={kept / 'images'}"]

    @property
    def films(self) -> Arguments:
        """Data of dense captions."""
        return ["--data", f"activitynet:{self.drawn.films},videos={self.drawn.films / 'videos'}"]


@dataclass(frozen=True)
class Writer:
    """A command that writes below a folder.

    Attributes:
        command: Arguments of `figclip`, of the world and the folder.
        begun: What of the world lies in the folder before.
        always: Folder of those that is whole at every moment, whatever happens.
    """

    command: Callable[[World, Path], Arguments]
    begun: str | None = None
    always: str | None = None

    def lay_out(self, world: World, out: Path) -> None:
        """Make the folder as it is before."""
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        if self.begun is not None:
            shutil.copytree(world.folder / self.begun, out / self.begun)


@app.command(hidden=True)
def draw(out: Path, num_videos: int = 5) -> None:
    """What a quickstart draws before it embeds, in one process; a verb of these tests alone."""
    from figclip.miniworld.stages import Workshop, lay_out_base
    from figclip.miniworld.stages import draw as draw_part

    size = WorldSize(
        train=num_videos - 1, valid=1, pairs=1, stills=4, pictures=4, selection_stills=4,
        films=num_videos - 1, valid_films=1,
    )  # fmt: skip
    workshop = Workshop(path=out, on_progress=lambda *_: None)
    paint = world_files.paint

    def paint_here(orders: Sequence[Order], *, workers: int, on_progress: CountProgress) -> None:
        paint(orders, workers=0, on_progress=on_progress)

    with patch.object(world_files, "paint", paint_here):
        for part in ("kept", "training", "films"):
            draw_part(workshop, part, size=size)
    lay_out_base(workshop.base(0), 0)
    for file in workshop.world.films.rglob("*.mp4"):
        os.utime(file, (0, 0))  # an index holds the times of its files
    records = load_source(workshop.world.vidsitu / "annotations").records
    lines = [f"{line_of(one, each)}\n" for one in records for each in one.annotations]
    make_folder(out / OWN)
    write_atomically(out / OWN / "own.jsonl", "".join(lines))


@app.command(hidden=True)
def save_annotation(file: Path) -> None:
    """What the page of `figclip demo` does to save a line, here in the place of itself."""
    annotations = Annotations.load(file, videos=file.parent)
    annotations.save(0, annotations.lines[0])


@app.command(hidden=True)
def index_in_context(model: str, videos: str, out: Path) -> None:
    """`figclip index`, were the contextualizer what the model has found best for long texts."""
    from figclip.cli.index import index
    from figclip.model.figclip import FiGCLIP

    with patch.object(FiGCLIP, "long_pooling", "both"):
        index(model, [videos], out=out, workers=1, cpu=True)


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
    "train.epochs=2", "train.videos_per_batch=2", "train.keep_checkpoints=1",
    "head.width=16", "head.heads=2", "head.encoder_layers=1", "head.decoder_layers=1",
    "head.max_words=8", "head.min_word_count=1",
)  # fmt: skip

WRITERS = {
    "draw": Writer(lambda world, out: ["draw", out]),
    "prepare": Writer(
        lambda world, out: [
            "prepare", world.drawn.vidsitu / "annotations",
            "--videos", world.drawn.vidsitu / "videos", "--out", out / STORE,
            "--size", "64", "--frames", "2", "--workers", "1",
        ]
    ),
    "adapt": Writer(lambda world, out: [*world.adapt, *ADAPTED, "--out", out / RUN]),
    "adapt, held to pictures": Writer(
        lambda world, out: [
            *world.adapt, *ADAPTED, "--out", out / "held",
            "--keep-images", world.drawn.pictures, *sets("keep.weight=1", "keep.pictures=2"),
        ]
    ),
    "model folder": Writer(
        lambda world, out: [*world.adapt, *ADAPTED, "--out", out / RUN, "--resume"],
        begun=RUN,
        always=f"{RUN}/model",
    ),
    "finetune situations": Writer(
        lambda world, out: [
            "finetune", "situations", "--recipe", "mini_situations", *world.events,
            "--model", world.folder / BASE, "--out", out / SITUATIONS, "--cpu",
            *FINETUNED, *sets("frames.per_event=2"),
        ]
    ),
    "finetune captioning": Writer(
        lambda world, out: [
            "finetune", "captioning", "--recipe", "mini_captioning", *world.films,
            "--model", world.run, "--out", out / CAPTIONING, "--cpu",
            *FINETUNED, *sets("frames.per_second=1", "queries.num=4"),
        ]
    ),
    "eval": Writer(
        lambda world, out: [
            "eval", world.run, *world.events, *world.stills, "--out", out / "results", "--cpu",
            "--task", "dense_retrieval,actions", "--frames", "2",
        ]
    ),
    "eval situations": Writer(
        lambda world, out: [
            "eval", world.folder / SITUATIONS, *world.events, "--out", out / SCORED, "--cpu",
        ]
    ),
    "eval captioning": Writer(
        lambda world, out: [
            "eval", world.folder / CAPTIONING, *world.films, "--out", out / "captioned", "--cpu",
        ]
    ),
    "describe": Writer(
        lambda world, out: [
            "describe", world.folder / CAPTIONING,
            *sorted((world.drawn.films / "videos").iterdir())[:2],
            "--out", out / "described", "--cpu",
        ]
    ),
    "score": Writer(
        lambda world, out: [
            "score", world.folder / SCORED / "predictions" / "adapted" / "verbs.json",
            *world.events, "--out", out / "scores",
        ]
    ),
    "report": Writer(
        lambda world, out: [
            "report", world.run, "--heads", world.folder / CAPTIONING,
            "--out", out / "report.html",
        ]
    ),
    "index": Writer(
        lambda world, out: [
            "index", world.run, world.drawn.films / "videos", "--out", out / "videos.index",
            "--workers", "1", "--cpu",
        ]
    ),
    "index in context": Writer(
        lambda world, out: [
            "index-in-context", world.run, world.drawn.films / "videos", out / "context.index",
        ]
    ),
    "search": Writer(
        lambda world, out: [
            "search", world.folder / "videos.index", "a red cat chases a blue dog", "-k", "3",
            "--clips", out / "clips", "--sheet", out / "sheet.png", "--cpu",
        ]
    ),
    "export": Writer(
        lambda world, out: ["export", world.run, "--to", "hf", "--out", out / "exported"]
    ),
    "demo": Writer(
        lambda world, out: ["save-annotation", out / OWN / "own.jsonl"], begun=OWN, always=OWN
    ),
}  # fmt: skip
"""In an order in which one makes what later ones read, where the folders are one."""
READ_BY_OTHERS = (
    "draw", "prepare", "adapt", "finetune situations", "finetune captioning", "eval situations",
    "index",
)  # fmt: skip
_HEAVY = (
    "figclip.adaptation.adapt", "figclip.evaluation.figures", "figclip.heads.captioning.task",
    "figclip.heads.situations.task", "figclip.miniworld.stages", "figclip.search.indexing",
)  # fmt: skip


def written_world(
    folder: Path,
    *,
    threads: int = 1,
    only: Collection[str] = WRITERS,
    more: Mapping[str, Sequence[str]] | None = None,
) -> World:
    """What the writers make, or some, one on what the others made.

    They run in a process of its own, with so many threads; `more` are arguments for some of them.
    """
    options = json.dumps({"only": list(only), "more": {**(more or {})}})
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "tests.torture.writers", folder, options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return World(folder)


def warm_up() -> None:
    """Import what takes seconds, once for all forks of this process and all workers of theirs."""
    for name in _HEAVY:
        import_module(name)
    start_fork_server(*_HEAVY)


def run_writers(world: World, *, only: Sequence[str], more: Mapping[str, Sequence[str]]) -> None:
    """Run some writers in forks of this process, which must not have computed anything."""
    world.folder.mkdir()
    os.environ["FIGCLIP_CACHE"] = str(world.folder / "cache")
    for name in only:
        arguments = [*WRITERS[name].command(world, world.folder), *more.get(name, ())]
        done = run_forked(*arguments, out=world.folder.parent)
        assert done.returncode == 0, f"{name}: {done.stderr}"


if __name__ == "__main__":
    warm_up()
    run_writers(World(Path(sys.argv[1])), **json.loads(sys.argv[2]))
