"""What a GPU computes against what a CPU does. `make test-gpu`; skipped, and said so, without one.

Speed, memory and larger models are for `benchmarks/gpu_check.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cosine_similarity

from figclip.adaptation.adapt import adapt
from figclip.config import Precision
from figclip.model.backbone import load_backbone
from figclip.runtime.device import half_precision, pick_device
from figclip.runtime.memory import free_memory_bytes, peak_memory_bytes
from tests.adapted_world import World, make_world
from tests.small_runs import gradients, make_run, write_tiny_clip
from tests.training.test_clip_trainee import CONFIG

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]
CUDA = torch.device("cuda")


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Without TF32, but where a test asks for it."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), num_videos=12, num_valid=1)


def embeddings(clip_folder: Path, device: str, precision: Precision) -> list[Tensor]:
    backbone = load_backbone(str(clip_folder), precision=precision).to(device)
    size = backbone.preprocessing.image_size
    frames = torch.randint(256, (9, size, size, 3), dtype=torch.uint8, generator=torch.Generator())
    with torch.inference_mode():
        tokens = backbone.tokenize(["a dog bites a man", "a man bites a dog"])
        return [backbone.encode_frames(frames).cpu(), backbone.encode_tokens(tokens).cpu()]


def test_fp32_is_the_cpus(clip_folder: Path):
    pairs = zip(*(embeddings(clip_folder, d, "fp32") for d in ("cpu", "cuda")), strict=True)
    for expected, found in pairs:
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_by_default_products_are_bf16s_and_near(clip_folder: Path):
    if half_precision("auto", CUDA) is None:
        pytest.skip("this GPU has no bf16")
    assert half_precision("auto", CUDA) == torch.bfloat16
    pairs = zip(
        embeddings(clip_folder, "cpu", "fp32"),
        embeddings(clip_folder, "cuda", "auto"),
        strict=True,
    )
    for expected, found in pairs:
        assert found.dtype == torch.float32
        assert cosine_similarity(found, expected, dim=1).min() > 0.999


@pytest.mark.parametrize("activation_bytes", [0, 2**30])
@pytest.mark.parametrize("adaptation", ["lora_image", "lora_both", "full"])
def test_a_steps_gradients_are_the_cpus(clip_folder: Path, adaptation, activation_bytes: int):
    config = dataclasses.replace(
        CONFIG,
        model=dataclasses.replace(CONFIG.model, adaptation=adaptation),
        train=dataclasses.replace(CONFIG.train, precision="fp32", micro_batch=7),
    )
    expected, loss = gradients(make_run(clip_folder, config))
    run = make_run(clip_folder, config, activation_bytes=activation_bytes)
    trainee = run.trainee
    trainee.backbone.to(CUDA)
    assert trainee.contextualizer is not None
    trainee.contextualizer.to(CUDA)
    trainee._accelerator = Accelerator()
    found, found_loss = gradients(run)
    assert found_loss == pytest.approx(loss, rel=1e-4)
    for name, gradient in expected.items():
        error = (found[name].cpu() - gradient).norm() / gradient.norm()
        assert error < 1e-3, name


def test_adapt_resumes_to_the_same_weights(world: World, tmp_path: Path):
    """Sums whose order a GPU leaves open move the last bits."""
    config = world.config("train.epochs=2", "train.checkpoint_every=2", "train.precision=fp32")
    adapt(config, data=[world.store], out=tmp_path / "whole")

    def stop(report: object) -> None:
        if getattr(report, "step", 0) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapt(config, data=[world.store], out=tmp_path / "resumed", on_step=stop)
    adapt(config, data=[world.store], out=tmp_path / "resumed", resume=True)
    whole, resumed = (
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "resumed")
    )
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, atol=1e-5, rtol=1e-4, msg=name)


def test_memory_is_the_gpus():
    assert pick_device() == "cuda" and pick_device(cpu=True) == "cpu"
    assert torch.backends.cuda.matmul.allow_tf32
    held = torch.zeros(2**20, device=CUDA)
    assert peak_memory_bytes(CUDA) >= held.nbytes
    assert 0 < free_memory_bytes(CUDA) <= torch.cuda.get_device_properties(CUDA).total_memory
