"""OpenAI's four architectures at full size, with random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize
from transformers import CLIPModel, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from figclip.config.recipes import build_recipe
from figclip.miniworld.mini_clip import CLIP_MEAN, CLIP_STD
from figclip.model.backbone import Backbone, Preprocessing, load_backbone, weights_hash
from figclip.model.contextualizer import VideoContextualizer
from figclip.model.figclip import FiGCLIP
from figclip.model.folder import ModelInfo, write_adapted
from figclip.model.lora import add_adaptation, lora_layers
from tests.full_size_clips import ARCHITECTURES, clip_config, write_vit_b_32

pytestmark = pytest.mark.slow

TEXTS = ["a man pushes a woman", "", "the walker is man with short hair, " * 12]


@pytest.fixture(scope="module")
def b_32(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """0.6 GB, for as long as it is needed."""
    folder = tmp_path_factory.mktemp("b32")
    yield write_vit_b_32(folder / "clip")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def tokenizer(b_32: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(b_32)


def pictures() -> list[Image.Image]:
    generator = np.random.default_rng(0)
    shapes = [(224, 224), (300, 500), (640, 360), (100, 90)]
    return [
        Image.fromarray(generator.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in shapes
    ]


def test_parity_with_transformers(b_32: Path):
    processor = CLIPImageProcessorPil.from_pretrained(b_32)
    tokenizer = CLIPTokenizer.from_pretrained(b_32)
    model = CLIPModel.from_pretrained(b_32).eval()
    with torch.no_grad():
        expected = model(
            **processor(pictures(), return_tensors="pt"),
            **tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt"),
        )
    ours = FiGCLIP.from_pretrained(b_32)
    assert (expected.image_embeds[0] - expected.image_embeds[1]).norm() > 1e-2
    images, texts = ours.encode_image(pictures()), ours.encode_text(TEXTS)
    torch.testing.assert_close(images, expected.image_embeds, atol=1e-6, rtol=0)
    torch.testing.assert_close(texts, expected.text_embeds, atol=1e-6, rtol=0)


def on_meta(name: str, tokenizer: CLIPTokenizer) -> Backbone:
    """The architecture without memory for its weights."""
    with torch.device("meta"):
        clip = CLIPModel(clip_config(name))
    image_size = ARCHITECTURES[name]["vision"][-1]
    preprocessing = Preprocessing(image_size=image_size, mean=CLIP_MEAN, std=CLIP_STD)
    return Backbone(clip, tokenizer=tokenizer, preprocessing=preprocessing, name="")


def trained_parameters(name: str, adaptation: Any, tokenizer: CLIPTokenizer) -> int:
    backbone = on_meta(name, tokenizer)
    with torch.device("meta"):
        add_adaptation(backbone, adaptation, rank=64, lora_alpha=64, seed=0)
    return sum(p.numel() for p in backbone.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("name", "whole", "image", "both"),
    [
        # An adapted projection of width w trains 2 * 64 * w; 3 a layer.
        ("vit_b_32", 151_277_313, 3_538_944, 5_898_240),
        ("vit_b_16", 149_620_737, 3_538_944, 5_898_240),
        ("vit_l_14", 427_616_513, 9_437_184, 12_976_128),
        ("vit_l_14_336", 427_944_193, 9_437_184, 12_976_128),
    ],
)
def test_parameters(tokenizer: CLIPTokenizer, name: str, whole: int, image: int, both: int):
    assert sum(p.numel() for p in on_meta(name, tokenizer).parameters()) == whole
    assert trained_parameters(name, "lora_image", tokenizer) == image
    assert trained_parameters(name, "lora_both", tokenizer) == both
    assert trained_parameters(name, "full", tokenizer) == whole - 1


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_recipes_contextualizer_fits_the_projection(name: str):
    config = build_recipe(f"srl_clip_{name}").model
    with torch.device("meta"):
        VideoContextualizer(
            ARCHITECTURES[name]["projection"],
            num_layers=config.contextualizer_layers,
            head_dim=config.contextualizer_head_dim,
        )


def test_merge_save_reload(b_32: Path, tmp_path: Path):
    backbone = load_backbone(str(b_32))
    base_hash = weights_hash(backbone.clip)
    adapter = add_adaptation(backbone, "lora_image", rank=64, lora_alpha=64, seed=0)
    for layer in lora_layers(backbone.clip).values():
        weight = layer.lora_B["default"].weight
        assert isinstance(weight, torch.Tensor)
        torch.nn.init.normal_(weight, std=0.02)
    frames = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    with torch.no_grad():
        live = normalize(backbone.encode_frames(torch.from_numpy(frames)), dim=-1)
    info = ModelInfo(
        activation="quick_gelu",
        adaptation="lora_image",
        alpha=1.0,
        lora_scale=1.0,
        pixel_pipeline="pil",
        pooling="mean",
        base="",
        base_hash=base_hash,
        contextualizer=None,
    )
    folder = tmp_path / "model"
    write_adapted(folder, backbone, adapter=adapter, contextualizer=None, info=info)
    base = FiGCLIP.from_pretrained(b_32).encode_frames(frames)
    assert (live - base).norm(dim=-1).min() > 1e-3
    reloaded = FiGCLIP.from_pretrained(folder).encode_frames(frames)
    torch.testing.assert_close(reloaded, live, atol=1e-5, rtol=0)
    unscaled = FiGCLIP.from_pretrained(folder, alpha=0.0).encode_frames(frames)
    torch.testing.assert_close(unscaled, base, atol=1e-5, rtol=0)
    saved = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    assert (saved["r"], saved["base_model_name_or_path"]) == (64, "")
