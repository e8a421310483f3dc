"""Every family: transformers' own numbers, exact gradients, and what cannot be had by name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoModel, AutoProcessor, AutoTokenizer

from figclip.config import Adaptation
from figclip.errors import ConfigError, ModelError
from figclip.model.backbone import Backbone, load_backbone, load_tokenizer
from figclip.model.embedder import Embedder
from figclip.model.families import FAMILIES
from figclip.model.figclip import FiGCLIP
from figclip.model.image_tower import ADAPTER_NAME, encode_pixels, merge_weights
from figclip.model.lora import add_adaptation, lora_layers
from tests.small_families import (
    SIGLIP_LENGTH,
    SMALL_FAMILIES,
    SmallFamily,
    gemma_files,
    write_small_siglip,
)

SIZE = 20
"""Not a multiple of a patch: the rest of the picture is not looked at."""

TEXTS = ["A man pushes a WOMAN", "", "ball", "  two  spaces ", "Ünï 球", "a red ball, " * 60]


@pytest.fixture(scope="module", params=SMALL_FAMILIES, ids=lambda one: one.name)
def family(request: pytest.FixtureRequest) -> SmallFamily:
    return request.param


@pytest.fixture(scope="module")
def folder(family: SmallFamily, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(family.name)
    family.write(path, 3, SIZE)
    return path


def pictures() -> list[Image.Image]:
    generator = np.random.default_rng(0)
    sizes = ((SIZE, SIZE), (61, 33), (7, 50), (200, 24))
    return [Image.fromarray(generator.integers(0, 256, (*s, 3), dtype=np.uint8)) for s in sizes]


def expected(folder: Path) -> tuple[Tensor, Tensor]:
    """What transformers makes of the pictures and texts, by its own documented calls."""
    model: Any = AutoModel.from_pretrained(folder).eval()
    processor: Any = AutoProcessor.from_pretrained(folder, backend="pil")
    pads = FAMILIES[model.config.model_type].texts.pads
    tokens = processor.tokenizer(
        TEXTS, padding="max_length" if pads else True, truncation=True, return_tensors="pt"
    )
    if pads:
        assert tokens["input_ids"].shape == (len(TEXTS), SIGLIP_LENGTH)
    with torch.no_grad():
        rows = [
            model.get_image_features(
                **processor.image_processor(one, return_tensors="pt")
            ).pooler_output
            for one in pictures()
        ]
        return torch.cat(rows), model.get_text_features(**tokens).pooler_output


def test_embeddings_are_those_of_transformers(folder: Path, family: SmallFamily):
    images, texts = expected(folder)
    model = FiGCLIP.from_pretrained(folder)
    assert model.video_pipeline.name == family.pipeline
    normalised = torch.nn.functional.normalize
    found = model.encode_image(pictures()), model.encode_text(TEXTS)
    torch.testing.assert_close(found[0], normalised(images, dim=-1), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[1], normalised(texts, dim=-1), atol=1e-6, rtol=0)
    for rows in found:
        assert (rows[0] - rows[2]).norm() > 1e-3, "all look alike: nothing is tested"


def test_logits_are_those_of_transformers(folder: Path):
    model: Any = AutoModel.from_pretrained(folder).eval()
    backbone = load_backbone(str(folder))
    pixels = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    tokens = backbone.tokenize(TEXTS[:3])
    pads = backbone.family.texts.pads
    with torch.no_grad():
        expected = model(
            input_ids=tokens.ids_NL,
            attention_mask=None if pads else tokens.present_NL,
            pixel_values=pixels,
        ).logits_per_image
        images, texts = (
            torch.nn.functional.normalize(rows, dim=-1)
            for rows in (encode_pixels(backbone.clip, pixels), backbone.encode_tokens(tokens))
        )
        found = backbone.logit_scale * images @ texts.T
        if backbone.logit_bias is not None:
            found = found + backbone.logit_bias
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-6)


def adapted(folder: Path, adaptation: Adaptation) -> Backbone:
    backbone = load_backbone(str(folder))
    add_adaptation(backbone, adaptation, rank=3, lora_alpha=6, seed=0)
    torch.manual_seed(1)
    for layer in lora_layers(backbone.clip).values():
        torch.nn.init.normal_(layer.lora_B[ADAPTER_NAME].get_parameter("weight"), std=0.3)
    return backbone


@pytest.mark.parametrize("adaptation", ["lora_image", "lora_both", "full"])
@pytest.mark.parametrize("lean", [False, True])
def test_gradients_of_the_image_tower_are_those_of_transformers_and_peft(
    folder: Path, adaptation: Adaptation, lean: bool
):
    clip: Any = adapted(folder, adaptation).clip.double()
    pixels = torch.randn(
        3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    out = clip.get_image_features(pixels).pooler_output
    weight = torch.randn(out.shape, dtype=torch.float64)
    (out * weight).sum().backward()
    expected = {n: p.grad.clone() for n, p in clip.named_parameters() if p.grad is not None}
    clip.zero_grad()
    found = encode_pixels(clip, pixels, merged=merge_weights(clip), lean=lean)
    torch.testing.assert_close(found, out, atol=1e-12, rtol=1e-12)
    (found * weight).sum().backward()
    named = {n: p.grad for n, p in clip.named_parameters() if p.grad is not None}
    assert named.keys() == expected.keys() and named
    for name, gradient in expected.items():
        torch.testing.assert_close(named[name], gradient, atol=1e-10, rtol=1e-8, msg=name)


def test_what_is_pooled_before_a_projection(folder: Path):
    backbone = adapted(folder, "lora_image")
    if not backbone.has_projection:
        assert backbone.family.name == "siglip"
        with pytest.raises(ModelError, match=r"SigLIP, whose image tower has no projection"):
            Embedder(backbone).before_projection()
        return
    pixels = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = backbone.clip.vision_model(pixels).pooler_output
        found = encode_pixels(backbone.clip, pixels, projected=False)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert found.shape[1] == backbone.pooled_dim


def test_lora_is_on_all_queries_keys_and_values_and_on_nothing_else(folder: Path):
    names = lora_layers(adapted(folder, "lora_both").clip).keys()
    assert names == {
        f"{tower}_model.encoder.layers.{layer}.self_attn.{part}_proj"
        for tower in ("vision", "text")
        for layer in range(2)
        for part in "qkv"
    }


def test_what_is_cut_is_counted_and_still_ends(folder: Path):
    backbone = load_backbone(str(folder))
    assert backbone.count_cut(TEXTS) == 1
    tokens = backbone.tokenize(TEXTS)
    assert tokens.truncated == (5,)
    assert tokens.ids_NL[5, backbone.context_length - 1] == backbone.tokenizer.eos_token_id
    short = backbone.tokenize(TEXTS, max_tokens=4)
    assert short.truncated == (0, 3, 4, 5) or backbone.family.texts.splits_at_spaces
    assert (short.present_NL.sum(dim=1) <= 4).all()
    assert backbone.count_cut(TEXTS, max_tokens=4) == len(short.truncated)
    tokenizer, length = load_tokenizer(str(folder))
    assert (len(tokenizer), length) == (len(backbone.tokenizer), backbone.context_length)


def test_siglip_2_reads_lower_case_whatever_class_its_files_name(tmp_path: Path):
    """transformers loads Gemma's tokenizer from its checkpoints, which keeps capitals."""
    write_small_siglip(tmp_path, 0, 16)
    expected = load_backbone(str(tmp_path)).tokenize(["a man"]).ids_NL
    gemma_files(tmp_path)
    kept = AutoTokenizer.from_pretrained(tmp_path)(["A Man"])["input_ids"]
    assert kept[0] != expected[0, : len(kept[0])].tolist()
    found = load_backbone(str(tmp_path)).tokenize(["A Man"]).ids_NL
    assert torch.equal(found, expected)


@pytest.mark.parametrize(("pipeline", "resample"), [("pil-squash", 3), ("pil-squash-bilinear", 2)])
def test_the_filter_is_that_of_the_image_processor(tmp_path: Path, pipeline: str, resample: int):
    write_small_siglip(tmp_path, 0, 16, pipeline=pipeline)
    assert json.loads((tmp_path / "preprocessor_config.json").read_text())["resample"] == resample
    assert load_backbone(str(tmp_path)).preprocessing.pipeline == pipeline


def test_the_first_siglips_need_sentencepiece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_small_siglip(tmp_path, 0, 16)
    (tmp_path / "spiece.model").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ConfigError, match=r"pip install \"figclip\[siglip\]\""):
        load_backbone(str(tmp_path))


def change(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    for name, value in changes.items():
        part, _, key = name.rpartition("__")
        (content[f"{part}_config"] if part else content)[key] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "siglip2"}, "NaFlex.*Take a SigLIP 2 of fixed resolution"),
        ({"model_type": "altclip"}, "text tower is an XLM-RoBERTa"),
        ({"model_type": "chinese_clip"}, "text tower is a BERT"),
        ({"model_type": "bert"}, "model_type clip .CLIP. or metaclip_2 .MetaCLIP 2. or siglip"),
        ({"model_type": ["siglip"]}, "not a CLIP that figclip knows"),
        ({"vision__vision_use_head": False}, "has no head that pools patches"),
        ({"text__projection_size": 31}, "embeds texts in 31 numbers, pictures in 32"),
        ({"text__vocab_size": 10}, "cannot be loaded as SiglipModel"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], message: str
):
    write_small_siglip(tmp_path, 0, 16)
    change(tmp_path / "config.json", **changes)
    with pytest.raises(ModelError, match=message):
        load_backbone(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resample": 1}, "has resample=1"),
        ({"do_normalize": False}, "has do_normalize=False"),
        ({"size": {"height": 16, "width": 17}}, "resizes to .*17.*the image tower takes 16"),
        ({"size": {"shortest_edge": 16}}, "resizes to .*shortest_edge.*the image tower takes 16"),
        ({"do_center_crop": True}, "has do_center_crop=True"),
        ({"image_std": [0, 1, 1]}, "image_std=.*must be above 0"),
    ],
)
def test_other_pictures_are_refused(tmp_path: Path, changes: dict[str, Any], message: str):
    write_small_siglip(tmp_path, 0, 16)
    change(tmp_path / "preprocessor_config.json", **changes)
    with pytest.raises(ModelError, match=message):
        load_backbone(str(tmp_path))


def test_a_tokenizer_without_end_is_refused(tmp_path: Path):
    write_small_siglip(tmp_path, 0, 16)
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "post_processor": None}))
    with pytest.raises(ModelError, match="does not end a text with its end token"):
        load_backbone(str(tmp_path))
