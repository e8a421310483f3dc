"""Everything that only a GPU can tell, in one table; ten minutes at most.

    python benchmarks/gpu_check.py [--tiny] [--out gpu-check]

- what the GPU's products reach in fp32, TF32 and bf16
- bf16 against fp32: embeddings, and the gradients of a step (cosine)
- a step of 400 frames in bf16, of ViT-B/32, B/16 and L/14, against transformers and PEFT in a plain
  loop with the same bf16 and SDPA: seconds, peak memory, and the share of the bf16 products' rate
  that the step's own products come to (model FLOPs utilisation)
- frames and texts embedded a second, against transformers in bf16
- `figclip adapt` on drawn videos: in fp32 and in bf16, how near the validations end; stopped by
  SIGTERM and resumed, how near the weights; on two GPUs, where there are two, against one
- frames that `prepare` decodes, and that the store gives back, against what a step takes

`--tiny` takes towers of a few layers and short loops: to its end on a CPU in a minute, so that
nothing breaks before the hour in which there is a GPU.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cosine_similarity
from transformers import CLIPModel

import figclip
from figclip.miniworld.annotated_videos import write_vidsitu
from figclip.miniworld.mini_models import load_mini_model, write_mini_model
from figclip.miniworld.painting import PaintOrders, paint
from figclip.miniworld.situations import sample_story
from figclip.model.backbone import TokenBatch
from figclip.runtime.device import pick_device, use_tensor_cores
from figclip.runtime.memory import free_memory_bytes, peak_memory_bytes
from step_jobs import (
    NUM_EVENTS,
    Job,
    build_backbone,
    build_clip,
    build_job,
    ours,
    plain_loop,
    random_texts,
    step_products,
)

TOWERS = {
    "ViT-B/32": {},
    "ViT-B/16": {"patch_size": 16},
    "ViT-L/14": {
        "patch_size": 14,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
    },
}
TINY_TOWER = {"patch_size": 112, "hidden_size": 64, "intermediate_size": 128}
TINY_TOWER |= {"num_hidden_layers": 2, "num_attention_heads": 2}
SHARE_OF_MEMORY = 0.8


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured."""

    towers: dict[str, dict[str, int]]
    videos: int
    steps: int
    product_side: int
    num_embedded: int
    adapted_videos: int
    epochs: int


FULL = Scale(
    towers=TOWERS,
    videos=20,
    steps=3,
    product_side=8192,
    num_embedded=2048,
    adapted_videos=64,
    epochs=4,
)
TINY = Scale(
    towers={"tiny": TINY_TOWER},
    videos=2,
    steps=1,
    product_side=256,
    num_embedded=16,
    adapted_videos=24,
    epochs=2,
)


def main() -> None:
    """Run all checks, print rows as they come, write them as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("gpu-check"))
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    device = torch.device(pick_device())
    scale = TINY if options.tiny else FULL
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    rows = {"device": name, "torch": torch.__version__}
    print(f"{name}, torch {torch.__version__}\n\n| what | found |\n|---|---|")
    for what, found in checks(device, scale, options.out):
        rows[what] = found
        print(f"| {what} | {found} |", flush=True)
        (options.out / "gpu-check.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


def checks(device: torch.device, scale: Scale, out: Path) -> Iterator[tuple[str, str]]:
    """All rows."""
    rates = product_rates(device, side=scale.product_side)
    for kind, rate in rates.items():
        yield f"products of {scale.product_side}, {kind}", f"{rate / 1e12:.2f} TFLOP/s"
    yield from precision_rows(device, scale)
    frames_a_step = 0.0
    for name, vision in scale.towers.items():
        job = make_job(device, scale.videos, vision)
        row, frames_a_step = step_row(job, scale, peak=rates["bf16"])
        yield f"a step, {name}", row
        yield from embedding_rows(name, job.clip, num=scale.num_embedded)
        del job
        free()
    yield from adaptation_rows(out, scale, frames_a_step=frames_a_step)


def product_rates(device: torch.device, *, side: int) -> dict[str, float]:
    """FLOP/s of a large square product."""
    rates: dict[str, float] = {}
    for kind, dtype in (("fp32", torch.float32), ("tf32", torch.float32), ("bf16", torch.bfloat16)):
        torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        rates[kind] = 2 * side**3 / seconds(lambda a=a, b=b: a @ b, device, rounds=10)
    use_tensor_cores()
    return rates


def seconds(work: Callable[[], object], device: torch.device, *, rounds: int) -> float:
    """Seconds of one call; the mean of so many after one that is not counted."""
    work()
    synchronize(device)
    start = time.perf_counter()
    for _ in range(rounds):
        work()
    synchronize(device)
    return (time.perf_counter() - start) / rounds


def synchronize(device: torch.device) -> None:
    """Wait for the GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def free() -> None:
    """Give back what is no longer used."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def make_job(device: torch.device, videos: int, vision: dict[str, int]) -> Job:
    """A step's job on the device."""
    clip = build_clip(**vision)
    return build_job(clip.to(device), "default", videos, micro_batch=40)


def our_step(job: Job, precision: str) -> tuple[dict[str, torch.nn.Parameter], Callable[[], float]]:
    """figclip's, with the memory that a run would take."""
    object.__setattr__(job.config.train, "precision", precision)
    gib = SHARE_OF_MEMORY * free_memory_bytes(job.clip.device) / 2**30
    accelerator = Accelerator(cpu=job.clip.device.type == "cpu")
    return ours(job, random_texts(job), activations_gib=gib, accelerator=accelerator)


def precision_rows(device: torch.device, scale: Scale) -> Iterator[tuple[str, str]]:
    """bf16 beside fp32, in which TF32 is off."""
    vision = next(iter(scale.towers.values()))
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for precision in ("fp32", "bf16"):
        torch.backends.cuda.matmul.allow_tf32 = False
        job = make_job(device, min(scale.videos, 4), vision)
        named, accumulate = our_step(job, precision)
        accumulate()
        gradient = torch.cat([p.grad.flatten() for p in named.values() if p.grad is not None])
        backbone = build_backbone(job.clip)
        backbone.precision = precision
        with torch.inference_mode():
            embedded = backbone.encode_frames(job.batch.frames_NHWC[:16])
        found[precision] = gradient.cpu().double(), embedded.cpu().double()
        del job, named, accumulate, backbone
        free()
    use_tensor_cores()
    gradients, embeddings = zip(*found.values(), strict=True)
    yield "gradient of a step, bf16 to fp32", f"cosine {cosine_similarity(*gradients, dim=0):.6f}"
    yield (
        "embeddings, bf16 to fp32",
        f"cosine {cosine_similarity(*embeddings, dim=1).min():.6f} at least",
    )


def step_row(job: Job, scale: Scale, *, peak: float) -> tuple[str, float]:
    """A step against the plain loop; and the frames a second that it takes."""
    device, num_frames = job.clip.device, len(job.batch.frames_NHWC)
    flops = sum(shape.flops * count for shape, count in step_products(job).items())
    _, accumulate = our_step(job, "bf16")
    own_s = seconds(accumulate, device, rounds=scale.steps)
    own_gib = peak_memory_bytes(device) / 2**30
    frames_a_second = num_frames / own_s
    del accumulate
    free()
    job = make_job(device, scale.videos, vision_of(job.clip))
    _, accumulate = plain_loop(job, random_texts(job), chunk=40, dtype=torch.bfloat16)
    peer_s = seconds(accumulate, device, rounds=scale.steps)
    peer_gib = peak_memory_bytes(device) / 2**30
    row = (
        f"{own_s:.3f} s, {own_gib:.1f} GiB, {flops / own_s / 1e12:.1f} TFLOP/s = "
        f"{100 * flops / own_s / peak:.0f} % of bf16's products; transformers and PEFT, "
        f"chunks of 40: {peer_s:.3f} s, {peer_gib:.1f} GiB; {peer_s / own_s:.2f} x as fast"
    )
    return row, frames_a_second


def vision_of(clip: CLIPModel) -> dict[str, int]:
    """The image tower's settings, to build it again."""
    config = clip.vision_model.config
    return {name: getattr(config, name) for name in TINY_TOWER}


def embedding_rows(name: str, clip: CLIPModel, *, num: int) -> Iterator[tuple[str, str]]:
    """Frames and texts a second, beside transformers'."""
    device, size = clip.device, clip.vision_model.embeddings.image_size
    backbone = build_backbone(clip)
    backbone.precision = "bf16"
    frames = torch.randint(256, (num, size, size, 3), dtype=torch.uint8)
    length = backbone.context_length
    ids = torch.randint(1, 49405, (num, length))
    ids[:, -1] = 49407
    tokens = TokenBatch(ids, torch.ones_like(ids), ())
    pixels = torch.randn(num, 3, size, size)
    ways: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "frames": (
            lambda: [backbone.encode_frames(part) for part in frames.split(256)],
            lambda: [
                clip.get_image_features(pixel_values=part.to(device)) for part in pixels.split(256)
            ],
        ),
        "texts": (
            lambda: backbone.encode_tokens(tokens),
            lambda: clip.get_text_features(input_ids=ids.to(device)),
        ),
    }
    for what, (own, theirs) in ways.items():
        with torch.inference_mode():
            own_s = seconds(own, device, rounds=2)
            with torch.autocast(device.type, dtype=torch.bfloat16):
                peer_s = seconds(theirs, device, rounds=2)
        yield (
            f"{what} embedded, {name}",
            f"{num / own_s:,.0f} a second; transformers {num / peer_s:,.0f}; "
            f"{peer_s / own_s:.2f} x as fast",
        )


def adaptation_rows(out: Path, scale: Scale, *, frames_a_step: float) -> Iterator[tuple[str, str]]:
    """`prepare` and `adapt` by the command line."""
    rng, orders = random.Random(0), PaintOrders()
    num_valid = scale.adapted_videos // 2
    stories = [sample_story(rng, held_out=None) for _ in range(scale.adapted_videos + num_valid)]
    train, valid = stories[num_valid:], stories[:num_valid]
    write_vidsitu(out / "world", train=train, valid=valid, painter=orders, seed=0)
    paint(orders.orders, workers=2, on_progress=lambda done, total: None)
    write_mini_model(out / "base", load_mini_model(0))
    start = time.perf_counter()
    source, videos = (str(out / "world" / name) for name in ("annotations", "videos"))
    run_figclip("prepare", source, "--videos", videos, "--out", str(out / "store"), "--size", "64")
    num_frames = len(stories) * NUM_EVENTS * 4
    yield (
        "`prepare`",
        f"{num_frames / (time.perf_counter() - start):,.0f} frames a second, start included; the "
        f"last step above takes {frames_a_step:,.0f}",
    )
    runs = {name: adapt(out, name, scale, precision=name) for name in ("fp32", "bf16")}
    scores = " and ".join(f"{found_events(run, out / 'store'):.4f}" for run in runs.values())
    yield "events found by their captions after `adapt` (R@1), fp32 and bf16", scores
    yield "weights, bf16 stopped and resumed", resumed_row(out, scale, whole=runs["bf16"])
    if torch.cuda.device_count() > 1:
        two = adapt(out, "two", scale, precision="fp32", processes=2)
        yield "weights, two GPUs to one", f"{furthest(two, runs['fp32']):.1e} apart"
    else:
        yield "two GPUs", "there are not two"


def adapt_command(out: Path, name: str, scale: Scale, *, precision: str) -> list[str]:
    """A short run of the recipe `mini`."""
    settings = {"epochs": scale.epochs, "checkpoint_every": 2, "precision": precision}
    return [
        "adapt", "--recipe", "mini", "--base", str(out / "base"), "--data", str(out / "store"),
        "--out", str(out / name),
        *(part for key, value in settings.items() for part in ("--set", f"train.{key}={value}")),
    ]  # fmt: skip


def adapt(out: Path, name: str, scale: Scale, *, precision: str, processes: int = 1) -> Path:
    """A whole run."""
    run_figclip(*adapt_command(out, name, scale, precision=precision), processes=processes)
    return out / name


def resumed_row(out: Path, scale: Scale, *, whole: Path) -> str:
    """Stop a run after its first checkpoint, go on, and compare."""
    command = adapt_command(out, "resumed", scale, precision="bf16")
    started = [sys.executable, "-m", "figclip", *command]
    with subprocess.Popen(started, stderr=subprocess.DEVNULL) as run:
        while run.poll() is None and not list((out / "resumed").glob("checkpoints/*")):
            time.sleep(0.05)
        run.send_signal(signal.SIGTERM)
        stopped = run.wait()
    if stopped:
        run_figclip(*command, "--resume")
    said = "stopped by SIGTERM" if stopped else "ended before it could be stopped"
    return f"{furthest(out / 'resumed', whole):.1e} apart ({said})"


def run_figclip(*arguments: str, processes: int = 1) -> None:
    """The command line, over so many processes."""
    launcher = ["-m", "figclip"]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), *launcher]
    done = subprocess.run([sys.executable, *launcher, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"figclip {' '.join(arguments)} failed:\n{done.stderr}")


def furthest(run: Path, other: Path) -> float:
    """Largest difference of any weight."""
    one, two = (load_file(path / "model" / "model.safetensors") for path in (run, other))
    return max(float((one[name] - two[name]).abs().max()) for name in one)


def found_events(run: Path, store: Path) -> float:
    """Share of held-out events that their captions find first."""
    data = [figclip.parse_source(f"events:{store},split=valid")]
    result = figclip.evaluate(
        run, data=data, out=run / "eval", tasks=["dense_retrieval"], device=pick_device()
    )
    return result.tasks[0].metrics["events t2v R@1"].adapted.official


if __name__ == "__main__":
    main()
