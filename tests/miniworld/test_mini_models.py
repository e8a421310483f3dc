"""The folder of a mini model: one for transformers and for figclip, whatever the family."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize
from transformers import AutoModel, CLIPImageProcessorPil, SiglipImageProcessorPil

from figclip.miniworld.mini_clip import IMAGE_SIZE
from figclip.miniworld.mini_models import BUILDERS, write_mini_model
from figclip.model.backbone import load_backbone
from figclip.model.tokenizers import tokenizer_content

assert_close = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-4)
TEXTS = ["a red cat", "In this photo, the action is chase, the chaser is dog"]
PROCESSORS = {"clip": CLIPImageProcessorPil, "siglip": SiglipImageProcessorPil}


@pytest.mark.parametrize("family", BUILDERS)
def test_size_and_seed(family: str):
    whole = BUILDERS[family](seed=0).clip
    assert 1_000_000 < sum(p.numel() for p in whole.parameters()) < 3_000_000
    build = partial(BUILDERS[family], width=32, vision_layers=1, text_layers=1)
    name = "vision_model.encoder.layers.0.mlp.fc1.weight"
    weights = [build(seed=seed).clip.get_parameter(name) for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("family", BUILDERS)
def test_folder_loads(tmp_path: Path, family: str):
    built = BUILDERS[family](seed=0, width=32, vision_layers=1, text_layers=1).eval()
    write_mini_model(tmp_path / "model", built)
    loaded = load_backbone(str(tmp_path / "model"))
    assert loaded.preprocessing == built.preprocessing
    assert tokenizer_content(loaded.tokenizer) == tokenizer_content(built.tokenizer)
    model: Any = AutoModel.from_pretrained(tmp_path / "model").eval()
    assert type(model) is built.family.model
    processor: Any = PROCESSORS[family].from_pretrained(tmp_path / "model")
    tokens = loaded.tokenizer(
        TEXTS, padding="max_length" if built.family.texts.pads else True, return_tensors="pt"
    )
    frames = torch.randint(0, 256, (2, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=torch.uint8)
    pixels = processor(images=list(frames.permute(0, 3, 1, 2)), return_tensors="pt")
    with torch.no_grad():
        images_ND, texts_ND = (
            built.encode_frames(frames),
            built.encode_tokens(built.tokenize(TEXTS)),
        )
        assert_close(loaded.encode_frames(frames), images_ND)
        assert_close(loaded.encode_tokens(loaded.tokenize(TEXTS)), texts_ND)
        outputs = model(**tokens, **pixels)
    assert_close(outputs.text_embeds, normalize(texts_ND))
    assert_close(outputs.image_embeds, normalize(images_ND))


def test_siglip_begins_with_the_temperature_and_bias_of_its_paper():
    backbone = BUILDERS["siglip"](seed=0, width=32, vision_layers=1, text_layers=1)
    assert backbone.logit_scale.item() == pytest.approx(10)
    assert backbone.logit_bias is not None and backbone.logit_bias.item() == -10
