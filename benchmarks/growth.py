"""Time and memory of `prepare`, `adapt`, `eval` and `index` as the data grow, and of a start.

    python benchmarks/growth.py [--videos 20] [--folder FOLDER] [--picture docs/growth.png]
    python benchmarks/growth.py --start-up 23626 [--rounds 2] [--source OTHER/src]

Data are made up: videos of 10 s with five events each of about four roles, as VidSitu's, most
captions different by a word that nothing else has. Clips are 32 px small, all of the same pictures
but of different bytes, so that each is decoded; the model is a CLIP of random weights with a layer
a tower. So the numbers are those of everything but large pictures and large models, which cost the
same for each frame and text whatever the number of videos (docs/scaling.md).

The first form runs each verb on so many videos, ten times and a hundred times as many, every run in
a process of its own: seconds by the clock, CPU seconds of all its processes, and the largest
process's peak memory. `adapt` is one epoch without validation.

The second form writes a store of so many videos without decoding, and starts `adapt` on it, twice:
anew and with `--resume`. It tells how long it takes from the call to the end of the first step,
embedding of texts apart. With `--source` another version's does the same in turn.

Beside each run stands the time of a product of two matrices of 2048 x 2048, which tells how fast
the machine was just then. One thread.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

VERBS = ("prepare", "adapt", "eval", "index")
FACTORS = (1, 10, 100)
SIZE_PX = 32
FILLERS = {
    "Arg0": "man woman boy girl driver guard doctor soldier".split(),
    "Arg1": "car door letter ball horse lamp suitcase table".split(),
    "direction": "forward,to the left,down the stairs,across the street".split(","),
    "manner": "slowly,quickly,with great care,angrily,in silence".split(","),
}
VERB_NAMES = [
    f"{verb}{number}" for verb in ("walk", "look", "grab", "speak") for number in range(75)
]


def main() -> None:
    """Measure, print a table, draw a picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--videos", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="keep what is made here")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--start-up", type=int, metavar="VIDEOS")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--source", type=Path, help="src folder of another version")
    parser.add_argument("--only", help="run this here, and print JSON")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure_here(options.only, options.folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        write_model(folder / "model")
        if options.start_up:
            measure_start_up(folder, options)
        else:
            measure_growth(folder, options)


def measure_growth(folder: Path, options: argparse.Namespace) -> None:
    """Each verb at each size."""
    rows: list[dict[str, Any]] = []
    print(f"{'verb':10}{'videos':>8}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}{'product ms':>12}")
    for factor in FACTORS:
        num = factor * options.videos
        world = folder / f"{num}"
        write_world(world, num)
        for verb in VERBS:
            row = {"videos": num, **run_alone(verb, world)}
            rows.append(row)
            print(
                f"{verb:10}{num:8,}{row['wall_s']:9.1f}{row['cpu_s']:9.1f}"
                f"{row['peak_mib']:10.0f}{row['product_ms']:12.0f}",
                flush=True,
            )
    if options.picture:
        draw(rows, options.picture)


def measure_start_up(folder: Path, options: argparse.Namespace) -> None:
    """A start and a resumed one, of one or two versions in turn."""
    world = folder / f"start-{options.start_up}"
    write_store(world, options.start_up)
    sources = [None, *([options.source] if options.source else [])]
    print(f"{'':28}{'wall s':>9}{'CPU s':>9}{'texts s':>9}{'peak MiB':>10}{'product ms':>12}")
    for _ in range(options.rounds):
        for source in sources:
            shutil.rmtree(world / "run", ignore_errors=True)
            for verb in ("start", "resume"):
                row = run_alone(verb, world, source=source)
                name = f"{verb} ({source.parent.name if source else 'this version'})"
                print(
                    f"{name:28}{row['wall_s'] - row['texts_s']:9.1f}"
                    f"{row['cpu_s'] - row['texts_s']:9.1f}{row['texts_s']:9.1f}"
                    f"{row['peak_mib']:10.0f}{row['product_ms']:12.0f}",
                    flush=True,
                )


def run_alone(verb: str, world: Path, *, source: Path | None = None) -> dict[str, Any]:
    """What `measure_here` finds in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if source is not None:
        environment["PYTHONPATH"] = str(source)
    # peft asks transformers under a deprecated name: not this benchmark's news.
    command = [sys.executable, "-W", "ignore::FutureWarning", __file__, "--only", verb]
    command += ["--folder", str(world)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def measure_here(verb: str, world: Path) -> dict[str, Any]:
    """Run a verb; its libraries are imported first, and count for memory alone."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(1)
    runs: dict[str, Callable[[Path], Callable[[], float]]] = {
        "prepare": prepare_verb,
        "adapt": adapt_verb,
        "eval": eval_verb,
        "index": index_verb,
        "start": lambda world: start_verb(world, resume=False),
        "resume": lambda world: start_verb(world, resume=True),
    }
    run = runs[verb](world)
    product_ms = _product_ms()
    start, start_cpu = time.perf_counter(), _cpu_s()
    texts_s = run()
    wall_s, cpu_s = time.perf_counter() - start, _cpu_s() - start_cpu
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak_mib = max(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1024
    return {
        "verb": verb,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "texts_s": texts_s,
        "peak_mib": peak_mib,
        "product_ms": product_ms,
    }


def prepare_verb(world: Path) -> Callable[[], float]:
    """`figclip prepare`, one process that decodes."""
    from figclip.preparation.prepare import prepare
    from figclip.video.store import StoreSpec

    def run() -> float:
        prepare(
            world / "events.jsonl",
            videos=world / "videos",
            out=world / "frames.store",
            spec=StoreSpec(size=SIZE_PX),
            num_workers=1,
        )
        return 0.0

    return run


def adapt_verb(world: Path) -> Callable[[], float]:
    """`figclip adapt`, one epoch."""
    from figclip.adaptation.adapt import adapt

    def run() -> float:
        adapt(_config(world), data=[world / "frames.store"], out=world / "run", cpu=True)
        return 0.0

    return run


def eval_verb(world: Path) -> Callable[[], float]:
    """`figclip eval` of the base on the annotated events."""
    from figclip.evaluation.evaluate import evaluate
    from figclip.evaluation.sources import DataSource

    def run() -> float:
        source = DataSource(name="events", path=world / "frames.store")
        evaluate(str(world.parent / "model"), data=[source], out=world / "eval", cache=None)
        return 0.0

    return run


def index_verb(world: Path) -> Callable[[], float]:
    """`figclip index` of all clips."""
    import figclip

    clips = sorted((world / "videos").iterdir())

    def run() -> float:
        figclip.index(world.parent / "model", clips, out=world / "clips.index")
        return 0.0

    return run


class _SteppedError(Exception):
    """A step has been done."""


def start_verb(world: Path, *, resume: bool) -> Callable[[], float]:
    """`figclip adapt` to the end of its first step; gives the seconds of embedding texts."""
    from figclip.adaptation.adapt import adapt
    from figclip.model.embedder import Embedder

    embed, spent = Embedder.embed_texts, [0.0]

    def timed(self: Embedder, texts: Any) -> Any:
        start = time.perf_counter()
        rows = embed(self, texts)
        spent[0] += time.perf_counter() - start
        return rows

    Embedder.embed_texts = timed

    def on_step(report: Any) -> None:
        if report.step > 0:
            raise _SteppedError

    def run() -> float:
        with suppress(_SteppedError):
            adapt(
                _config(world),
                data=[world / "frames.store"],
                out=world / "run",
                cache=world / "cache",
                resume=resume,
                cpu=True,
                on_step=on_step,
            )
        return spent[0]

    return run


def _config(world: Path) -> Any:
    """The default recipe on the small model, for an epoch."""
    from figclip.config.parsing import apply_overrides
    from figclip.config.recipes import build_recipe

    settings = [f"model.base={world.parent / 'model'}", "data.val_fraction=0", "train.epochs=1"]
    settings += ["model.contextualizer_layers=1", "model.contextualizer_head_dim=16"]
    settings += ["train.checkpoint_every=1" if "start-" in world.name else "train.lr=0"]
    settings += ["keep.weight=0", "data.loader_workers=1", "train.micro_batch=400"]
    return apply_overrides(build_recipe("default"), settings)


def write_world(world: Path, num: int) -> None:
    """Annotations and clips."""
    from figclip.video.container import write_h264

    shutil.rmtree(world, ignore_errors=True)
    (world / "videos").mkdir(parents=True)
    lines = [json.dumps(video) for video in made_up_videos(num)]
    (world / "events.jsonl").write_text("\n".join(lines) + "\n")
    clip = world / "clip.mp4"
    pictures = np.random.default_rng(0).integers(0, 256, (20, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    write_h264(str(clip), iter(pictures), fps=2, preset="ultrafast")
    for number in range(num):
        # A box that players skip: other bytes, the same pictures.
        box = struct.pack(">I4sQ", 16, b"free", number)
        (world / "videos" / f"{number}.mp4").write_bytes(clip.read_bytes() + box)


def write_store(world: Path, num: int) -> None:
    """A store as `prepare` would leave it, all videos with the same twenty pictures."""
    from figclip.annotations.archive import pack_source
    from figclip.annotations.vidsitu import load_source
    from figclip.video.decoding import to_time_us
    from figclip.video.sampling import frame_times_s
    from figclip.video.store import FrameStoreWriter, StoreSpec

    if (world / "frames.store").exists():
        return
    world.mkdir(parents=True, exist_ok=True)
    source = world / "events.jsonl"
    source.write_text("".join(json.dumps(video) + "\n" for video in made_up_videos(num)))
    shape = (20, SIZE_PX, SIZE_PX, 3)
    pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with FrameStoreWriter(world / "frames.store", spec=StoreSpec(size=SIZE_PX)) as writer:
        writer.set_source(pack_source(source))
        for record in load_source(source).records:
            times_s = frame_times_s(record.annotations[0], frames_per_event=4)
            times_us = [to_time_us(time_s) for time_s in times_s]
            name = f"{record.id:0>64}"
            writer.add_video(name, record.video, pictures, times_us=times_us, duration_s=10.0)
            writer.add_record(record, video_hash=name)
        writer.set_coverage({"splits": {}})


def made_up_videos(num: int) -> Iterator[dict[str, Any]]:
    """Videos as a line of own annotations has them; unique words are counted through."""
    rng, words = random.Random(0), iter(range(10**9))
    for number in range(num):
        events: list[dict[str, Any]] = []
        for start_s in range(0, 10, 2):
            verb = rng.choice(VERB_NAMES)
            roles: dict[str, str] = {}
            for slot, texts in FILLERS.items():
                if rng.random() < 0.9:
                    own = f" {_word(next(words))}" if rng.random() < 0.35 else ""
                    roles[f"{verb} {slot}" if slot.startswith("Arg") else slot] = (
                        rng.choice(texts) + own
                    )
            events.append({"start_s": start_s, "end_s": start_s + 2, "verb": verb, "roles": roles})
        yield {"video": f"{number}.mp4", "id": f"{number}", "group": f"g{number}", "events": events}


def _word(number: int) -> str:
    """A word that no other number has."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    word = "q"
    while number:
        number, letter = divmod(number, 26)
        word += letters[letter]
    return word


def write_model(folder: Path) -> None:
    """A CLIP of random weights with a layer a tower and the mini CLIP's tokenizer."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    from figclip.miniworld.mini_clip import CLIP_MEAN, CLIP_STD
    from figclip.miniworld.mini_models import load_mini_model
    from figclip.model.backbone import Preprocessing, text_config
    from figclip.model.folder import write_clip_files

    if folder.exists():
        return
    mini = load_mini_model(0)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    tower |= {"num_attention_heads": 2, "projection_dim": 32}
    config = CLIPConfig(
        text_config={**text_config(mini.clip.config).to_dict(), **tower},
        vision_config={
            **tower,
            "image_size": SIZE_PX,
            "patch_size": 16,
            "hidden_act": "quick_gelu",
        },
        projection_dim=32,
    )
    torch.manual_seed(0)
    write_clip_files(
        folder,
        state=CLIPModel(config).state_dict(),
        config=config,
        tokenizer=mini.tokenizer,
        preprocessing=Preprocessing(image_size=SIZE_PX, mean=CLIP_MEAN, std=CLIP_STD),
    )


def draw(rows: list[dict[str, Any]], picture: Path) -> None:
    """Time and memory over the number of videos, both axes by powers of ten."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for verb in VERBS:
        own = [row for row in rows if row["verb"] == verb]
        videos = [row["videos"] for row in own]
        left.loglog(videos, [row["cpu_s"] for row in own], marker="o", label=verb)
        right.loglog(videos, [row["peak_mib"] for row in own], marker="o", label=verb)
    least, most = min(row["videos"] for row in rows), max(row["videos"] for row in rows)
    left.loglog([least, most], [0.02 * least, 0.02 * most], "k:", label="20 ms a video")
    left.set(xlabel="videos", ylabel="CPU seconds", title="Time")
    right.set(xlabel="videos", ylabel="MiB", title="Peak memory", ylim=(100, 10_000))
    left.legend(frameon=False, fontsize="small")
    figure.savefig(picture, dpi=100)


def _product_ms() -> float:
    """Milliseconds of a product of two matrices of 2048 x 2048, the best of three."""
    import torch

    one = torch.ones(2048, 2048)
    taken: list[float] = []
    for _ in range(3):
        start = time.perf_counter()
        torch.mm(one, one)
        taken.append(time.perf_counter() - start)
    return 1000 * min(taken)


def _cpu_s() -> float:
    """CPU time of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":  # decoding and reading start processes that import this file again
    main()
