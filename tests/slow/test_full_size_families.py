"""SigLIP, SigLIP 2 and MetaCLIP 2 at full size, with random weights."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoModel,
    AutoProcessor,
    MetaClip2Config,
    SiglipConfig,
    SiglipModel,
)

from figclip.model.backbone import load_backbone
from figclip.model.families import FAMILIES
from figclip.model.figclip import FiGCLIP
from figclip.model.folder import write_clip_files
from tests.small_families import (
    sentencepiece_tokenizer,
    write_small_metaclip,
    write_small_siglip,
)

pytestmark = pytest.mark.slow

TEXTS = ["A man pushes a woman!", "", "the walker is man, with short hair: " * 12]


def siglip_config(*, vocab_size: int) -> SiglipConfig:
    """B/16 at 224 px, as in the config.json of google/siglip(2)-base-patch16-224."""
    text = {"vocab_size": vocab_size, "bos_token_id": None, "eos_token_id": 1}
    return SiglipConfig(text_config=text, vision_config={})


def write_siglip(folder: Path) -> None:
    write_small_siglip(
        folder,
        0,
        224,
        tokenizer=sentencepiece_tokenizer(),
        pipeline="pil-squash",
        config=siglip_config(vocab_size=32_000),
    )


def write_siglip_2(folder: Path) -> None:
    write_small_siglip(folder, 0, 224, config=siglip_config(vocab_size=256_000))


def write_metaclip_2(folder: Path) -> None:
    """Its B/32, but for the rows of the vocabulary, 901,629, which differ in nothing."""
    text = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    write_small_metaclip(folder, 0, 224, config=MetaClip2Config(text_config=text, vision_config={}))


@pytest.fixture(autouse=True)
def freed() -> Generator[None]:
    """A model of 1.5 GB at a time."""
    yield
    gc.collect()


@pytest.mark.parametrize("write", [write_siglip, write_siglip_2, write_metaclip_2])
def test_parity_with_transformers(tmp_path: Path, write: Callable[[Path], None]):
    if write is write_siglip:
        pytest.importorskip("sentencepiece")
    write(tmp_path)
    generator = np.random.default_rng(0)
    pictures = [
        Image.fromarray(generator.integers(0, 256, (*shape, 3), dtype=np.uint8))
        for shape in ((224, 224), (300, 500), (100, 90))
    ]
    model: Any = AutoModel.from_pretrained(tmp_path).eval()
    processor: Any = AutoProcessor.from_pretrained(tmp_path, backend="pil")
    pads = FAMILIES[model.config.model_type].texts.pads
    tokens = processor.tokenizer(
        TEXTS, padding="max_length" if pads else True, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        expected = (
            model.get_image_features(
                **processor.image_processor(pictures, return_tensors="pt")
            ).pooler_output,
            model.get_text_features(**tokens).pooler_output,
        )
    ours = FiGCLIP.from_pretrained(tmp_path)
    found = ours.encode_image(pictures), ours.encode_text(TEXTS)
    for rows, other in zip(found, expected, strict=True):
        assert (rows[0] - rows[1]).norm() > 1e-2, "all look alike: nothing is tested"
        other = torch.nn.functional.normalize(other, dim=-1)
        torch.testing.assert_close(rows, other, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("vocab_size", "parameters"), [(32_000, 203_155_970), (256_000, 375_187_970)]
)
def test_parameters_are_those_of_the_published_checkpoints(vocab_size: int, parameters: int):
    with torch.device("meta"):
        model = SiglipModel(siglip_config(vocab_size=vocab_size))
    assert sum(one.numel() for one in model.parameters()) == parameters


def test_the_first_siglips_read_no_capitals_and_no_punctuation(tmp_path: Path):
    pytest.importorskip("sentencepiece")
    write_small_siglip(tmp_path, 0, 16, tokenizer=sentencepiece_tokenizer(), pipeline="pil-squash")
    backbone = load_backbone(str(tmp_path))
    loud, quiet = backbone.tokenize(["A man, PUSHES!", "a man pushes"]).ids_NL
    assert torch.equal(loud, quiet) and len(loud) == backbone.context_length
    assert backbone.count_cut(TEXTS) == 1
    again = tmp_path / "again"
    write_clip_files(
        again,
        state=backbone.clip.state_dict(),
        config=backbone.clip.config,
        tokenizer=backbone.tokenizer,
        preprocessing=backbone.preprocessing,
    )
    assert torch.equal(load_backbone(str(again)).tokenize(["a man pushes"]).ids_NL[0], quiet)
