"""What holds the adapted CLIP to its base, on ViT-B/32 at full size with random weights."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize
from transformers import CLIPModel

from figclip.adaptation.adapt import adapt
from figclip.config import (
    DataConfig,
    KeepConfig,
    ModelConfig,
    Precision,
    RunConfig,
    TextConfig,
    TrainConfig,
)
from figclip.miniworld.mini_clip import CLIP_MEAN, CLIP_STD
from figclip.model.lora import lora_layers, plain_state
from figclip.preparation.prepare import prepare
from figclip.training.loop import StepReport
from figclip.training.run_folder import read_metrics
from figclip.video.store import StoreSpec
from tests.adapted_world import make_world
from tests.full_size_clips import write_vit_b_32
from tests.rank_processes import NUM_RANKS, share, spawn_ranks, start_rank
from tests.small_runs import (
    KEPT_TEXTS,
    SmallRun,
    assert_close,
    gradients,
    make_run,
    step_losses,
    with_micro_batch,
)
from tests.training_trace import one_thread

pytestmark = pytest.mark.slow

EVENTS = (1, 2)
CONFIG = RunConfig(
    recipe="test",
    data=DataConfig(frames_per_event=2),
    text=TextConfig(verb_negatives=1),
    model=ModelConfig(
        adaptation="lora_both",
        lora_rank=4,
        lora_alpha=8,
        contextualizer_layers=1,
        contextualizer_head_dim=64,
    ),
    keep=KeepConfig(weight=0.8, pictures=4),
    train=TrainConfig(micro_batch=1000),
)
BAR = 1e-6
"""Largest relative L2 distance of a gradient; all of it in float64."""
MIN_COSINE = {"bf16": 0.999, "fp16": 0.9999}
"""Between the towers' gradients of half precision and fp32; measured 0.99988 and 0.999995."""


@pytest.fixture(scope="module", autouse=True)
def on_one_thread() -> Generator[None]:
    """As the two processes have: they share the machine."""
    with one_thread():
        yield


@pytest.fixture(scope="module")
def b_32(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """0.6 GB, for as long as it is needed."""
    folder = tmp_path_factory.mktemp("b32")
    yield write_vit_b_32(folder / "clip")
    shutil.rmtree(folder)


def exact_run(
    b_32: Path, config: RunConfig = CONFIG, accelerator: Accelerator | None = None
) -> SmallRun:
    return make_run(
        b_32, config, events_per_video=EVENTS, dtype=torch.float64, accelerator=accelerator
    )


@pytest.fixture(scope="module")
def one_shot(b_32: Path) -> dict[str, Tensor]:
    """Gradients of the whole objective, everything encoded at once by one process."""
    found, _ = gradients(exact_run(b_32))
    return found


def test_micro_batches_give_the_one_shot_gradient(b_32: Path, one_shot: dict[str, Tensor]):
    """Two at a time: of five parts of frames, and of texts, one is encoded twice."""
    found, _ = gradients(exact_run(b_32, with_micro_batch(CONFIG, 2)))
    assert_close(found, one_shot, tolerance=BAR)


def work(rank: int, port: int, b_32: Path, out: Path) -> None:
    """What one of the two processes does."""
    accelerator = start_rank(rank, port)
    run = exact_run(b_32, accelerator=accelerator)
    run.batch = share(run, 1, accelerator)
    found, _ = gradients(run)
    save_file(found, out / f"{rank}.safetensors")
    accelerator.end_training()


def test_two_processes_give_the_gradient_of_one(
    b_32: Path, one_shot: dict[str, Tensor], tmp_path: Path
):
    spawn_ranks(work, b_32, tmp_path, deadline_s=1200)
    for rank in range(NUM_RANKS):
        assert_close(load_file(tmp_path / f"{rank}.safetensors"), one_shot, tolerance=BAR)


def plain_similarities(clip: CLIPModel, run: SmallRun) -> Tensor:
    """What transformers makes of the step's pictures and all texts: scale x cosine."""
    assert run.batch.pictures is not None
    pixels = run.batch.pictures.frames_NHWC.permute(0, 3, 1, 2).double() / 255
    mean, std = (torch.tensor(v).double().view(3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
    texts = run.trainee.backbone.tokenizer(list(KEPT_TEXTS), padding=True, return_tensors="pt")
    return clip(pixel_values=(pixels - mean) / std, **texts).logits_per_image


def plain_clip(folder: Path, state: dict[str, Tensor] | None = None) -> CLIPModel:
    clip = CLIPModel.from_pretrained(folder).double().eval()
    if state is not None:
        clip.load_state_dict(state)
    return clip


def test_loss_and_gradients_are_those_of_plain_transformers(
    b_32: Path, one_shot: dict[str, Tensor]
):
    """Of W + s B A the gradients of A and B are s Bt G and s G At, where G is the whole's."""
    run = exact_run(b_32)
    clip = plain_clip(b_32, plain_state(run.trainee.backbone.clip, alpha=1.0))
    with torch.no_grad():
        base_NM = plain_similarities(plain_clip(b_32), run) / CONFIG.keep.temperature
    adapted_NM = plain_similarities(clip, run) / CONFIG.keep.temperature
    loss = torch.zeros((), dtype=torch.float64)
    for base_M, adapted_M in zip(base_NM, adapted_NM, strict=True):
        base, adapted = base_M.exp() / base_M.exp().sum(), adapted_M.exp() / adapted_M.exp().sum()
        for p, q in zip(base, adapted, strict=True):
            loss = loss + p * (p.log() - q.log()) / len(base_NM)
    loss = CONFIG.keep.temperature**2 * loss
    loss.backward()
    losses = step_losses(run)
    assert loss.item() > 1e-3
    assert losses["loss/keep"] == pytest.approx(loss.item(), rel=BAR)
    free_config = dataclasses.replace(CONFIG, keep=KeepConfig(weight=0.0))
    free, _ = gradients(exact_run(b_32, free_config))
    found, expected = {}, {}
    for name, layer in lora_layers(run.trainee.backbone.clip).items():
        whole = clip.get_submodule(name).weight.grad
        a, b = (getattr(layer, f"lora_{one}")["default"].weight.detach() for one in "AB")
        expected |= {f"{name}.A": 2 * b.T @ whole, f"{name}.B": 2 * whole @ a.T}
        for one in "AB":
            full_name = f"clip.{name}.lora_{one}.default.weight"
            found[f"{name}.{one}"] = (one_shot[full_name] - free[full_name]) / CONFIG.keep.weight
    assert len(expected) == 2 * 2 * 12 * 3
    assert_close(found, expected, tolerance=BAR)


@pytest.mark.parametrize("precision", MIN_COSINE)
@pytest.mark.parametrize("temperature", [1.0, 3.0, 100.0])
def test_half_precision_gives_nearly_the_same_gradient(
    b_32: Path, precision: Precision, temperature: float
):
    keep = dataclasses.replace(CONFIG.keep, weight=1e3, temperature=temperature)
    found: dict[Precision, Tensor] = {}
    for one in ("fp32", precision):
        config = dataclasses.replace(
            CONFIG, keep=keep, train=dataclasses.replace(CONFIG.train, precision=one)
        )
        named, loss = gradients(make_run(b_32, config, events_per_video=EVENTS))
        assert np.isfinite(loss)
        towers = [part.flatten() for name, part in named.items() if name.startswith("clip.")]
        found[one] = normalize(torch.cat(towers).double(), dim=0)
        assert found[one].isfinite().all()
    cosine = float(found["fp32"] @ found[precision])
    assert cosine >= MIN_COSINE[precision], f"cosine {cosine:.5f}"


class CrashError(Exception):
    """What a process dies of that nobody asked to stop."""


def crash_at(report: StepReport) -> None:
    if report.step == 2:
        raise CrashError


def test_a_crashed_run_resumes_to_the_same_bits(b_32: Path, tmp_path: Path):
    world = make_world(tmp_path / "world", num_videos=4)
    store = tmp_path / "224.store"
    prepare(world.annotations, videos=world.videos, out=store, spec=StoreSpec(), frames_per_event=2)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (3, 90, 80, 3), dtype=np.uint8)
    for number, picture in enumerate(noise):
        Image.fromarray(picture).save(pictures / f"{number}.png")
    config = world.config(
        f"model.base={b_32}",
        "data.videos_per_batch=1",
        "keep.weight=1",
        "keep.pictures=2",
        "train.epochs=1",
        "train.checkpoint_every=1",
        "model.contextualizer_head_dim=64",
    )
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = {"data": [store], "keep_images": [pictures], "cache": tmp_path / "cache", "cpu": True}
    adapt(config, out=whole, **options)
    with pytest.raises(CrashError):
        adapt(config, out=broken, on_step=crash_at, **options)
    adapt(config, out=broken, resume=True, **options)
    expected, found = (load_file(run / "model" / "model.safetensors") for run in (whole, broken))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    losses = [
        [row["loss/keep"] for row in read_metrics(run / "metrics.jsonl") if "loss/keep" in row]
        for run in (whole, broken)
    ]
    assert len(losses[0]) == 3 and losses[0] == losses[1] and losses[0][-1] > 1e-6
