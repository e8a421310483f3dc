"""One optimiser step of the main job: figclip against plain loops, and against the machine.

    python benchmarks/training_step.py [--rounds 3] [--steps 2] [--micro-batch N] [--videos N]
    python benchmarks/training_step.py --against held [--recipe mini --steps 20] [--rounds 5]

ViT-B/32's architecture with random weights, LoRA r = 64 on the image tower, a contextualizer of 6
layers; 20 videos of 5 events of 4 frames, 4 hard negatives an event. Against figclip stand two
loops of transformers and PEFT alone: `one-shot`, one forward of all frames and one backward, and
`chunks`, forty frames at a time with a gradient cache. figclip is measured with memory enough to
hold all activations, and (`figclip-small`) with `--small-gib` for them. All use
`figclip.training.losses`, start from the same weights, and must end with the same gradients
(checked).

`limit` is the time of the step's matrix products alone, of their real shapes, in memory that is
warm: forward once, backward once. Nothing on this machine is faster without fewer products; what
holds less in memory computes the forward a second time.

`--against held` asks instead what it costs to hold the model to its base on unlabelled pictures:
the same step with the recipe's `keep.pictures` beside the frames, and 512 texts. The base's view of
both is there already, as in a run. `--recipe mini` takes the mini CLIP and 8 videos.

Texts are embedded beforehand, outside the timing, on both sides: random unit vectors, or, with
`--with-texts`, token sequences through our frozen text tower, to see what they cost in memory.

Every measurement has a process of its own, in turn (A B A B), so that a machine whose speed
drifts treats both alike; figclip's has `tune_for_cpu`, as its command line has. Of several steps
the first is left out: it faults in fresh memory, which only figclip keeps. Prints for each: seconds
by the clock and of CPU time (with OMP_NUM_THREADS=1 the figure to trust on a shared machine:
threads that wait for each other count as busy), frames a second, and the process's peak memory.
Fails when figclip is slower by the clock or needs more memory than its peer, or has other
gradients; or when holding takes more than 15 % of CPU time.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import normalize

import machine
from figclip.config.recipes import build_recipe
from figclip.model.backbone import TokenBatch
from figclip.training.clip_trainee import Teacher
from step_jobs import (
    NUM_EVENTS,
    Job,
    Step,
    build_backbone,
    build_clip,
    build_job,
    ours,
    plain_loop,
    random_rows,
    random_texts,
    step_products,
)

CHUNK = 40
"""Frames at a time of `chunks`."""
SMALL_MICRO_BATCH = 16
"""Of `figclip-small`, as docs/training.md says for less memory."""
PEERS = {"figclip": "one-shot", "figclip-small": "chunks"}
"""Whom each of ours is compared with: as fast as can be, and in little memory."""
TUNED = ("figclip", "figclip-small", "held")
"""Those whose process has figclip's settings for the CPU."""
VARIANTS = (*PEERS, *PEERS.values(), "held", "limit")
NUM_PICTURES = 1000
MAX_HOLDING_RATIO = 1.15
"""CPU time of a step that holds the model to its base, over that of one that does not."""
MAX_GRADIENT_ERROR = 1e-4
"""Relative L2 in fp32, worst tensor: both sides round, in another order."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One step; the mean of those after the first, and the loss of the last.

    Attributes:
        wall_s: By the clock.
        cpu_s: User and system time of all threads.
        peak_bytes: Largest resident size of the process, weights and libraries included.
        loss: Before the step.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    loss: float


_RUN_TUNED = """
import runpy, sys
from figclip.runtime.cpu_settings import tune_for_cpu
tune_for_cpu()  # before torch is imported
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def main() -> None:
    """Run the variants in turn, print the table, and exit 1 where a bar is missed."""
    options = parse_options()
    if options.only:
        measure(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.against == "held":
            sys.exit(holding_verdict(compare(("figclip", "held"), options, Path(folder))))
        names = (*PEERS, *PEERS.values())
        results = compare((*names, "limit"), options, Path(folder))
        gradients = {name: load_file(Path(folder) / name) for name in names}
    sys.exit(max(verdict(ours, results, gradients) for ours in PEERS))


def parse_options() -> argparse.Namespace:
    """The command line, with the recipe's defaults."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", choices=("loops", "held"), default="loops")
    parser.add_argument("--recipe", choices=("default", "mini"), default="default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="steps that are timed; not the first")
    parser.add_argument("--videos", type=int, help="default: the recipe's")
    parser.add_argument("--micro-batch", type=int, help="default: the recipe's")
    parser.add_argument("--small-gib", type=float, default=1.2, help="figclip-small's activations")
    parser.add_argument("--with-texts", action="store_true")
    parser.add_argument("--only", choices=VARIANTS, help="measure here, print JSON")
    parser.add_argument("--gradients", type=Path, help="with --only: where to save them")
    options = parser.parse_args()
    recipe = build_recipe(options.recipe)
    options.videos = options.videos or recipe.data.videos_per_batch
    options.micro_batch = options.micro_batch or recipe.train.micro_batch
    return options


def compare(
    names: Sequence[str], options: argparse.Namespace, folder: Path
) -> dict[str, list[Measured]]:
    """Measure the variants in turn, each in its own process."""
    results: dict[str, list[Measured]] = {name: [] for name in names}
    frames = num_frames(options)
    print(f"{frames} frames, micro-batch {options.micro_batch}, {options.steps} steps")
    for _ in range(options.rounds):
        print(machine.describe())
        print(f"{'':14}{'wall s':>8}{'CPU s':>8}{'frames/s':>10}{'peak GiB':>10}{'loss':>11}")
        for name in results:
            # peft asks transformers under a deprecated name: not this benchmark's news.
            command = [sys.executable, "-W", "ignore::FutureWarning"]
            command += ["-c", _RUN_TUNED] if name in TUNED else []
            command += [__file__, "--only", name]
            command += ["--gradients", str(folder / name), "--videos", str(options.videos)]
            command += ["--micro-batch", str(options.micro_batch), "--recipe", options.recipe]
            command += ["--steps", str(options.steps), "--small-gib", str(options.small_gib)]
            command += ["--with-texts"] if options.with_texts else []
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            one = Measured(**json.loads(done.stdout))
            results[name].append(one)
            print(
                f"{name:14}{one.wall_s:8.2f}{one.cpu_s:8.2f}{frames / one.wall_s:10.2f}"
                f"{one.peak_bytes / 2**30:10.2f}{one.loss:11.6f}",
                flush=True,
            )
    return results


def verdict(
    ours: str, results: dict[str, list[Measured]], gradients: dict[str, dict[str, Tensor]]
) -> int:
    """Print the ratios to the peer and to the limit; 1 when a bar is missed."""
    peer = PEERS[ours]
    faster = {
        kind: [
            getattr(b, kind) / getattr(a, kind)
            for a, b in zip(results[ours], results[peer], strict=True)
        ]
        for kind in ("wall_s", "cpu_s")
    }
    reached = [
        limit.wall_s / one.wall_s
        for one, limit in zip(results[ours], results["limit"], strict=True)
    ]
    peaks = [max(m.peak_bytes for m in results[name]) for name in (ours, peer)]
    error = gradient_error(gradients[ours], gradients[peer])
    print(
        f"{ours} against {peer}: {machine.spread(faster['wall_s'])} x as fast by the clock, "
        f"{machine.spread(faster['cpu_s'])} by CPU time, {peaks[0] / peaks[1]:.2f} x the memory; "
        f"{machine.spread(reached)} of the limit; worst gradient {error:.1e} apart"
    )
    slower = statistics.median(faster["wall_s"]) < 1
    return int(slower or peaks[0] > peaks[1] or error > MAX_GRADIENT_ERROR)


def holding_verdict(results: dict[str, list[Measured]]) -> int:
    """Print what holding costs, with the range over rounds; 1 when the bar is missed."""
    rounds = list(zip(results["held"], results["figclip"], strict=True))
    cpu = [held.cpu_s / free.cpu_s for held, free in rounds]
    wall = [held.wall_s / free.wall_s for held, free in rounds]
    for name, ratios in (("wall", wall), ("CPU", cpu)):
        print(f"held / figclip: {name} {machine.spread(ratios)} in {len(ratios)} rounds")
    return int(statistics.median(cpu) > MAX_HOLDING_RATIO)


def gradient_error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Largest relative L2 distance of any gradient."""
    assert found.keys() == expected.keys()
    return max(
        float((found[name] - gradient).norm() / gradient.norm())
        for name, gradient in expected.items()
    )


def measure(options: argparse.Namespace) -> None:
    """Time steps of one variant, save the gradients of the last one, print the rest as JSON."""
    clip = build_clip(options.recipe)
    micro_batch = SMALL_MICRO_BATCH if options.only == "figclip-small" else options.micro_batch
    job = build_job(clip, options.recipe, options.videos, micro_batch=micro_batch)
    if options.only == "limit":
        seconds = machine.product_seconds(step_products(job))
        print(json.dumps({"wall_s": seconds, "cpu_s": 0.0, "peak_bytes": 0, "loss": 0.0}))
        return
    table_MD = embed_texts(job) if options.with_texts else random_texts(job)
    build = {
        "figclip": ours,
        "figclip-small": partial(ours, activations_gib=options.small_gib),
        "held": held,
        "one-shot": partial(plain_loop, chunk=num_frames(options)),
        "chunks": partial(plain_loop, chunk=CHUNK),
    }[options.only]
    named, accumulate = build(job, table_MD)
    optimizer = torch.optim.AdamW(named.values(), lr=1e-5)
    started, cpu_started, loss = time.perf_counter(), cpu_seconds(), math.nan
    for step in range(options.steps + 1):
        if step == 1:
            started, cpu_started = time.perf_counter(), cpu_seconds()
        optimizer.zero_grad()
        loss = accumulate()
        nn.utils.clip_grad_norm_(named.values(), torch.inf)
        optimizer.step()
    result = Measured(
        wall_s=(time.perf_counter() - started) / options.steps,
        cpu_s=(cpu_seconds() - cpu_started) / options.steps,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        loss=loss,
    )
    save_file({n: p.grad for n, p in named.items() if p.grad is not None}, options.gradients)
    print(json.dumps(dataclasses.asdict(result)))


def num_frames(options: argparse.Namespace) -> int:
    """Frames of a step."""
    return options.videos * NUM_EVENTS * build_recipe(options.recipe).data.frames_per_event


def embed_texts(job: Job) -> Tensor:
    """Random tokens of the lengths of dense captions through the frozen text tower."""
    backbone = build_backbone(job.clip)
    lengths = np.sort(np.random.default_rng(0).integers(20, 74, len(job.texts.texts)))
    rows: list[Tensor] = []
    with torch.inference_mode():
        for part in torch.from_numpy(lengths).split(job.config.train.micro_batch):
            present = (torch.arange(int(part.max())) < part[:, None]).long()
            ids = torch.randint(1, 49405, present.shape)
            ids[torch.arange(len(part)), part - 1] = 49407  # the end token, where CLIP pools
            rows.append(normalize(backbone.encode_tokens(TokenBatch(ids, present, ())), dim=-1))
    return torch.cat(rows).clone()


def held(job: Job, table_MD: Tensor) -> Step:
    """What `figclip adapt` does in a step that holds the model to its base."""
    teacher = Teacher(
        picture_ND=random_rows(NUM_PICTURES, job),
        texts=tuple(f"text {i}" for i in range(job.config.keep.texts)),
        text_MD=random_rows(job.config.keep.texts, job),
    )
    return ours(job, table_MD, teacher=teacher)


def cpu_seconds() -> float:
    """User and system time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
