"""CLIPs of open_clip as bases: the same weights and texts, and other kinds refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPModel

from figclip.errors import ModelError
from figclip.exporting.open_clip_folder import OPEN_CLIP
from figclip.model.backbone import load_backbone, load_tokenizer, weights_hash
from figclip.model.figclip import FiGCLIP
from figclip.model.folder import resolve_model
from figclip.model.open_clip import from_open_clip, open_clip_config, to_open_clip
from tests.small_runs import write_tiny_clip

MEAN = (0.5, 0.4, 0.3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def folder(clip: Path, tmp_path: Path) -> Path:
    """The same CLIP as open_clip has it; written without the library."""
    OPEN_CLIP.write(FiGCLIP.from_pretrained(clip), tmp_path)
    return tmp_path


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit `open_clip_config.json`."""
    file = folder / "open_clip_config.json"
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_names_of_weights_there_and_back(clip: Path):
    state = CLIPModel.from_pretrained(clip).state_dict()
    theirs = to_open_clip(state)
    assert "visual.transformer.resblocks.1.attn.in_proj_bias" in theirs
    assert theirs["text_projection"].shape == state["text_projection.weight"].t().shape
    custom = {
        name if name.startswith(("visual.", "logit")) else f"text.{name}": tensor
        for name, tensor in theirs.items()
    }
    for back in (from_open_clip(theirs), from_open_clip(custom)):
        assert back.keys() == state.keys()
        assert all(torch.equal(tensor, state[name]) for name, tensor in back.items())


def test_a_base_is_the_same_model(clip: Path, folder: Path):
    source = resolve_model(f"open_clip:{folder}")
    ours, theirs = load_backbone(str(clip)), load_backbone(source)
    assert weights_hash(theirs.clip) == weights_hash(ours.clip)
    assert (theirs.preprocessing, theirs.activation) == (ours.preprocessing, ours.activation)
    texts = ["a man pushes a woman", "walk " * 90]
    assert torch.equal(theirs.tokenize(texts).ids_NL, ours.tokenize(texts).ids_NL)
    tokenizer, length = load_tokenizer(source)
    assert (len(tokenizer), length) == (len(ours.tokenizer), 77)
    assert theirs.name == "", "a local path is none of others' business"


def test_a_checkpoint_of_training_beside_its_settings(clip: Path, folder: Path):
    state = load_file(folder / "open_clip_model.safetensors")
    checkpoint = {
        "epoch": 3,
        "name": "run",
        "state_dict": {f"module.{name}": tensor for name, tensor in state.items()},
    }
    torch.save(checkpoint, folder / "epoch_3.pt")
    (folder / "open_clip_model.safetensors").unlink()
    loaded = load_backbone(f"open_clip:{folder / 'epoch_3.pt'}")
    assert weights_hash(loaded.clip) == weights_hash(load_backbone(str(clip)).clip)
    with pytest.raises(ModelError, match="has none of open_clip_model.safetensors"):
        load_backbone(f"open_clip:{folder}")


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_the_activation_is_said(clip: Path, activation: str):
    config = CLIPModel.from_pretrained(clip).config
    config.vision_config.hidden_act = config.text_config.hidden_act = activation
    content = open_clip_config(config, mean=MEAN, std=MEAN)
    assert content["model_cfg"]["quick_gelu"] == (activation == "quick_gelu")
    assert content["preprocess_cfg"]["mean"] == list(MEAN)


def test_an_end_token_that_is_not_the_last_is_named(clip: Path, folder: Path):
    config = CLIPModel.from_pretrained(clip).config
    config.text_config.eos_token_id = 7
    text = open_clip_config(config, mean=MEAN, std=MEAN)["model_cfg"]["text_cfg"]
    assert (text["pool_type"], text["eos_id"]) == ("eos", 7)
    change(folder, lambda content: content["model_cfg"].update(text_cfg=text))
    with pytest.raises(ModelError, match="the text tower reads them at token 7"):
        load_backbone(f"open_clip:{folder}")


@pytest.mark.parametrize(
    ("part", "settings", "said"),
    [
        ("vision_cfg", {"timm_model_name": "convnext_base"}, "timm_model_name='convnext_base'"),
        (
            "vision_cfg",
            {"timm_model_name": "vit_base_patch16_siglip_224"},
            r"is a SigLIP.*as transformers has it, such as google/siglip",
        ),
        ("vision_cfg", {"layers": [3, 4, 6, 3]}, "is a ResNet"),
        ("vision_cfg", {"attentional_pool": True}, "attentional_pool=True"),
        ("vision_cfg", {"pool_type": "avg"}, "pool_type='avg'"),
        ("text_cfg", {"hf_model_name": "roberta-base"}, "hf_model_name='roberta-base'"),
        ("text_cfg", {"no_causal_mask": True}, "no_causal_mask=True"),
        ("text_cfg", {"pool_type": "last"}, "pool_type='last'"),
        (None, {"multimodal_cfg": {"width": 8}}, "multimodal_cfg=an object"),
        (None, {"init_logit_bias": -10}, "init_logit_bias=-10"),
        ("preprocess_cfg", {"interpolation": "bilinear"}, "interpolation='bilinear'"),
        ("preprocess_cfg", {"resize_mode": "squash"}, "resize_mode='squash'"),
        ("preprocess_cfg", {"mean": [1, 2]}, "open_clip_config.json"),
        ("vision_cfg", {"width": 64}, "its weights are not those of a CLIP with its settings"),
    ],
)
def test_other_kinds_are_refused_by_name(
    folder: Path, part: str | None, settings: dict[str, Any], said: str
):
    def edit(content: dict[str, Any]) -> None:
        model = content["model_cfg"]
        place = content if part == "preprocess_cfg" else model
        (model if part is None else place[part]).update(settings)

    change(folder, edit)
    with pytest.raises(ModelError, match=said):
        load_backbone(f"open_clip:{folder}")


def test_what_is_damaged_or_missing_is_named(folder: Path, tmp_path: Path):
    with pytest.raises(ModelError, match="does not exist"):
        load_backbone(f"open_clip:{tmp_path / 'none'}")
    weights = folder / "open_clip_model.safetensors"
    state = load_file(weights)
    del state["logit_scale"]
    save_file(state, weights)
    with pytest.raises(ModelError, match=r"Missing key.*logit_scale"):
        load_backbone(f"open_clip:{folder}")
    weights.write_bytes(b"damaged")
    with pytest.raises(ModelError, match="cannot be read"):
        load_backbone(f"open_clip:{folder}")
    (folder / "tokenizer.json").unlink()
    weights.unlink()
    (folder / "open_clip_config.json").write_text("{")
    with pytest.raises(ModelError, match="open_clip_config.json"):
        load_backbone(f"open_clip:{folder}")
    (folder / "open_clip_config.json").unlink()
    with pytest.raises(ModelError, match="has no open_clip_config.json"):
        load_backbone(f"open_clip:{folder}")
