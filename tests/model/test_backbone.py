"""The backbone: transformers' numbers, and everything that is not a whole CLIP refused."""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize
from transformers import CLIPModel, CLIPProcessor, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from figclip.errors import ModelError
from figclip.model import tokenizers
from figclip.model.backbone import Backbone, load_backbone, load_tokenizer, weights_hash
from figclip.model.figclip import FiGCLIP
from tests.small_clip import write_small_clip

TEXTS = [
    "A man pushes a WOMAN",
    "",
    "ball",
    "  spaces   collapse \n here ",
    "Ünïcödé 球 🎈 <|endoftext|> it's",
    "the mover is red ball, " * 20,
]


@pytest.fixture(scope="module", params=["quick_gelu", "gelu"])
def clip_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    write_small_clip(
        folder,
        seed=3,
        image_size=24,
        patch_size=8,
        width=32,
        layers=2,
        activation=request.param,
    )
    return folder


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    write_small_clip(folder, seed=3, image_size=16, patch_size=8, width=32, layers=1)
    return folder


@pytest.fixture(scope="module")
def small(plain_folder: Path) -> Backbone:
    return load_backbone(str(plain_folder))


def picture(mode: str, width: int, height: int) -> Image.Image:
    """Noise of a mode, with transparency where the mode has any."""
    generator = np.random.default_rng([width, height, len(mode)])
    noise = Image.fromarray(generator.integers(0, 256, (height, width, 4), dtype=np.uint8), "RGBA")
    if mode == "P with transparency":
        image = noise.convert("RGB").convert("P")
        image.info["transparency"] = 3
        return image
    return noise if mode == "RGBA" else noise.convert(mode)


PICTURES = [
    *(picture("RGB", *size) for size in ((24, 24), (61, 33), (33, 61), (7, 5), (24, 200), (1, 1))),
    *(picture(mode, 40, 31) for mode in ("L", "RGBA", "LA", "1", "CMYK", "P", "I;16")),
    picture("P with transparency", 40, 31),
]


def expected_embeddings(folder: Path) -> tuple[Tensor, Tensor]:
    """What transformers alone makes of the pictures and texts."""
    processor = CLIPProcessor(
        CLIPImageProcessorPil.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    )
    # A picture at a time: some processors refuse lists of different modes.
    pixels = torch.cat(
        [processor.image_processor(p, return_tensors="pt")["pixel_values"] for p in PICTURES]
    )
    tokens = processor.tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt")
    model = CLIPModel.from_pretrained(folder).eval()
    with torch.no_grad():
        output = model(pixel_values=pixels, **tokens)
    return output.image_embeds, output.text_embeds


def test_embeddings_equal_those_of_transformers(clip_folder: Path):
    images, texts = expected_embeddings(clip_folder)
    model = FiGCLIP.from_pretrained(clip_folder)
    found_images, found_texts = model.encode_image(PICTURES), model.encode_text(TEXTS)
    assert (images[0] - images[1]).norm() > 1e-2, "all pictures look alike: nothing is tested"
    torch.testing.assert_close(found_images, images, atol=1e-6, rtol=0)
    torch.testing.assert_close(found_texts, texts, atol=1e-6, rtol=0)
    assert found_images.dtype == found_texts.dtype == torch.float32


def test_the_two_activations_differ(tmp_path: Path):
    """Else the parity above would not notice a tower with the wrong one."""
    rows = []
    for activation in ("quick_gelu", "gelu"):
        folder = tmp_path / activation
        write_small_clip(
            folder, seed=3, image_size=16, patch_size=8, width=32, layers=2, activation=activation
        )
        backbone = load_backbone(str(folder))
        assert backbone.activation == activation
        with torch.no_grad():
            rows.append(normalize(backbone.encode_tokens(backbone.tokenize(["a ball"])), dim=-1))
    assert (rows[0] - rows[1]).abs().max() > 1e-5


def test_unnormalised_features_equal_those_of_transformers(clip_folder: Path):
    backbone = load_backbone(str(clip_folder))
    frames = np.random.default_rng(0).integers(0, 256, (3, 24, 24, 3), dtype=np.uint8)
    processor = CLIPImageProcessorPil.from_pretrained(clip_folder)
    inputs = processor(list(frames), return_tensors="pt")["pixel_values"]
    model = CLIPModel.from_pretrained(clip_folder).eval()
    tokens = backbone.tokenize(TEXTS)
    with torch.no_grad():
        image = model.visual_projection(model.vision_model(pixel_values=inputs).pooler_output)
        text = model.text_projection(
            model.text_model(
                input_ids=tokens.ids_NL, attention_mask=tokens.present_NL
            ).pooler_output
        )
        found_image = backbone.encode_frames(torch.from_numpy(frames))
        found_text = backbone.encode_tokens(tokens)
    torch.testing.assert_close(found_image, image, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(found_text, text, atol=1e-6, rtol=1e-6)


def test_padding_changes_no_text(plain_folder: Path):
    backbone = load_backbone(str(plain_folder))
    with torch.no_grad():
        together = backbone.encode_tokens(backbone.tokenize(TEXTS))
        alone = torch.cat([backbone.encode_tokens(backbone.tokenize([text])) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_texts_are_cut_at_the_context_length_and_counted(plain_folder: Path):
    backbone = load_backbone(str(plain_folder))
    start, end = backbone.tokenizer.bos_token_id, backbone.tokenizer.eos_token_id
    # Every letter followed by a space is one token; start and end make two.
    texts = [" ".join("x" * n) for n in (74, 75, 76, 300)] + ["x"]
    tokens = backbone.tokenize(texts)
    assert backbone.context_length == 77
    assert tokens.truncated == (2, 3)
    assert tokens.ids_NL.shape == (5, 77)
    assert tokens.present_NL.sum(dim=1).tolist() == [76, 77, 77, 77, 3]
    letter = tokens.ids_NL[0, 1].item()
    assert tokens.ids_NL[3].tolist() == [start, *[letter] * 75, end]
    assert torch.equal(tokens.ids_NL[1], tokens.ids_NL[2])
    assert tokens.ids_NL[4, :3].tolist() == [start, letter, end]
    assert backbone.count_cut(texts) == 2


@settings(max_examples=20)
@given(
    texts=st.lists(
        st.lists(
            st.sampled_from(
                ["man,", "(who)", "", "\n", "the\tdog", "<|endoftext|>", "\u0301", "Σ", "3rd"]
            )
            | st.text(max_size=5)
        ).map(" ".join),
        max_size=6,
    ),
    limit=st.integers(3, 20),
)
def test_texts_are_counted_word_by_word_as_they_are_cut(
    small: Backbone, texts: list[str], limit: int
):
    cut = small.tokenize(texts, max_tokens=limit).truncated if texts else ()
    assert small.count_cut(texts, max_tokens=limit) == len(cut)


def test_micro_batches_hold_every_text_once_short_ones_first(plain_folder: Path):
    backbone = load_backbone(str(plain_folder))
    texts = ["ccc", "a", "bb", "", "dddd"]
    assert list(backbone.micro_batches(texts, size=2)) == [[3, 1], [2, 0], [4]]
    assert list(backbone.micro_batches([], size=2)) == []


def test_frames_of_another_size_are_refused(plain_folder: Path):
    backbone = load_backbone(str(plain_folder))
    with pytest.raises(ModelError, match="the tower takes 16x16"):
        backbone.encode_frames(torch.zeros(1, 16, 17, 3, dtype=torch.uint8))


def test_double_precision_stays_double(plain_folder: Path):
    backbone = load_backbone(str(plain_folder)).double()
    frames = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    with torch.no_grad():
        assert backbone.encode_frames(frames).dtype == torch.float64


def test_the_hash_depends_on_every_weight_and_on_nothing_else(plain_folder: Path):
    backbone = load_backbone(str(plain_folder))
    first = weights_hash(backbone.clip)
    assert weights_hash(load_backbone(str(plain_folder)).clip) == first
    for name, parameter in backbone.clip.named_parameters():
        old = parameter.data.clone()
        parameter.data.view(-1)[-1] += 1e-3
        assert weights_hash(backbone.clip) != first, name
        parameter.data.copy_(old)
    assert weights_hash(backbone.clip) == first


def test_local_folders_have_no_name_for_others(plain_folder: Path):
    assert load_backbone(str(plain_folder)).name == ""


def config_with(**changes: Any) -> Callable[[Path], None]:
    """Change config.json; `vision__hidden_act` reaches into the towers' parts."""

    def change(folder: Path) -> None:
        content = json.loads((folder / "config.json").read_text())
        for key, value in changes.items():
            part, _, name = key.partition("__")
            target = content[f"{part}_config"] if name else content
            target[name or key] = value
        (folder / "config.json").write_text(json.dumps(content))

    return change


def processor_with(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "preprocessor_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def without(*names: str) -> Callable[[Path], Any]:
    return lambda folder: [(folder / name).unlink() for name in names]


def with_content(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content)


def cut_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def add_a_token(folder: Path) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<extra>"])
    tokenizer.save_pretrained(folder)


def larger_vocabulary(folder: Path) -> None:
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    vocab = content["model"]["vocab"]
    for i in range(3):
        vocab[f"more{i}"] = len(vocab) + 5
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "cannot be loaded as CLIPConfig"),
        (without("config.json"), "has no config.json"),
        (with_content("config.json", b"{"), "cannot be loaded as CLIPConfig"),
        (with_content("config.json", b"[]"), "cannot be loaded as CLIPConfig"),
        (with_content("config.json", b"\xff\xfe\x00"), "cannot be loaded as CLIPConfig"),
        (config_with(model_type="bert"), "is a 'bert' model, not a CLIP"),
        (config_with(vision_config=[1]), "cannot be loaded as CLIPConfig"),
        (config_with(vision__hidden_size="wide"), "cannot be loaded as CLIPConfig"),
        (config_with(vision__num_attention_heads=0), "cannot be loaded as CLIP"),
        (config_with(vision__hidden_act="gelu"), "towers' activations differ: .'gelu', 'quick"),
        (
            config_with(vision__hidden_act="zzz", text__hidden_act="zzz"),
            "cannot be loaded as CLIPModel",
        ),
        (config_with(vision__num_hidden_layers=2), "16 weights are missing, the first is vision"),
        (config_with(text__num_hidden_layers=0), "16 weights are of layers that config.json does"),
        (config_with(projection_dim=33), "cannot be loaded as CLIPModel"),
        (config_with(text__vocab_size=10), "cannot be loaded as CLIPModel"),
        (config_with(text__eos_token_id=5), "the tokenizer ends texts with token 773, .* token 5"),
        (without("model.safetensors"), "cannot be loaded as CLIPModel"),
        (with_content("model.safetensors", b""), "cannot be loaded as CLIPModel"),
        (with_content("model.safetensors", b"x" * 99), "cannot be loaded as CLIPModel"),
        (cut_weights, "cannot be loaded as CLIPModel"),
        (
            without("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"),
            "the tokenizer ends texts with token",
        ),
        (with_content("tokenizer.json", b"{"), "cannot be loaded as CLIPTokenizer"),
        (with_content("tokenizer.json", b'{"a": [1]}'), "cannot be loaded as CLIPTokenizer"),
        (
            with_content(
                "preprocessor_config.json",
                b'{"size": {"shortest_edge": 16}, "crop_size": {"height": {}}}',
            ),
            "cannot be loaded as CLIPImageProcessor|the image tower takes 16",
        ),
        (larger_vocabulary, "the tokenizer has 777 entries, the text tower only 774"),
        (add_a_token, "the tokenizer has 775 entries, the text tower only 774"),
        (without("preprocessor_config.json"), "cannot be loaded as CLIPImageProcessorPil"),
        (with_content("preprocessor_config.json", b"{"), "cannot be loaded as CLIPImage"),
        (processor_with(do_resize=False), "has do_resize=False"),
        (processor_with(do_center_crop=False), "has do_center_crop=False"),
        (processor_with(do_normalize=False), "has do_normalize=False"),
        (processor_with(do_rescale=False), "has do_rescale=False"),
        (processor_with(resample=2), "has resample=2, figclip's pixel pipelines need 3"),
        (processor_with(rescale_factor=0.5), "has rescale_factor=0.5"),
        (processor_with(size={"shortest_edge": 17}), "resizes to .*17.*the image tower takes 16"),
        (processor_with(size={"height": 16, "width": 16}), "the image tower takes 16"),
        (processor_with(crop_size={"height": 16, "width": 17}), "crops to .*17"),
        (processor_with(crop_size={"height": [16], "width": [16]}), r"crops to .*\[16\]"),
        (processor_with(image_mean=[0.5]), "image_mean=.*must be three numbers"),
        (processor_with(image_mean="abc"), "image_mean=abc, must be three numbers"),
        (processor_with(image_std=[float("nan")] * 3), "image_std=.*must be three numbers"),
        (processor_with(image_std=[0, 1, 1]), "image_std=.*must be above 0"),
    ],
)
def test_what_is_not_a_whole_clip_is_refused_by_name(
    plain_folder: Path, tmp_path: Path, damage: Callable[[Path], Any], message: str
):
    folder = shutil.copytree(plain_folder, tmp_path / "clip")
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load_backbone(str(folder))
    assert caught.value.where == str(folder)


def test_our_own_mistakes_are_no_damage(plain_folder: Path, monkeypatch: pytest.MonkeyPatch):
    def mistaken(*_: object, **__: object) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(tokenizers, "check_tokenizer", mistaken)
    for load in (load_backbone, load_tokenizer):
        with pytest.raises(TypeError, match="a bug"):
            load(str(plain_folder))


def test_openais_weights_with_gelu_are_refused(
    plain_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Public copies of OpenAI's CLIPs exist whose config lost QuickGELU: silently worse."""
    folder = tmp_path / "openai" / "clip"
    shutil.copytree(plain_folder, folder)
    config_with(vision__hidden_act="gelu", text__hidden_act="gelu")(folder)
    load_backbone(str(folder))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="was trained with quick_gelu, but its config says gelu"):
        load_backbone("openai/clip")


def test_long_texts_raise_no_false_alarm(
    plain_folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    assert load_backbone(str(plain_folder)).tokenize(["a ball " * 100]).truncated == (0,)
    assert "indexing errors" not in caplog.text


def test_a_legacy_end_token_is_the_highest_of_the_vocabulary(plain_folder: Path, tmp_path: Path):
    """OpenAI's own configurations say eos_token_id 2, and pool at the highest id."""
    folder = shutil.copytree(plain_folder, tmp_path / "clip")
    expected = FiGCLIP.from_pretrained(folder).encode_text(TEXTS)
    config_with(text__eos_token_id=2)(folder)
    torch.testing.assert_close(FiGCLIP.from_pretrained(folder).encode_text(TEXTS), expected)


class Evil:
    """Unpickling makes a file: whoever loads this runs someone else's program."""

    def __init__(self, target: Path) -> None:
        self._target = str(target)

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (self._target,))


@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_are_not_executed(plain_folder: Path, tmp_path: Path, zipped: bool):
    folder = shutil.copytree(plain_folder, tmp_path / "clip")
    (folder / "model.safetensors").unlink()
    evil, target = folder / "pytorch_model.bin", tmp_path / "executed"
    if zipped:
        torch.save({"logit_scale": Evil(target)}, evil)
    else:
        evil.write_bytes(pickle.dumps(Evil(target), protocol=2))
    with pytest.raises(ModelError, match="cannot be loaded as CLIPModel"):
        load_backbone(str(folder))
    assert not target.exists()
    pickle.loads(pickle.dumps(Evil(target)))
    assert target.exists(), "the pickle would have done nothing: nothing is tested"


def test_honest_old_weights_load(plain_folder: Path, tmp_path: Path):
    """Hub models from before safetensors: a state dict that torch reads with weights_only."""
    folder = shutil.copytree(plain_folder, tmp_path / "clip")
    before: Backbone = load_backbone(str(folder))
    (folder / "model.safetensors").unlink()
    torch.save(before.clip.state_dict(), folder / "pytorch_model.bin")
    assert weights_hash(load_backbone(str(folder)).clip) == weights_hash(before.clip)


def test_the_tokenizer_alone(plain_folder: Path, tmp_path: Path):
    folder = shutil.copytree(plain_folder, tmp_path / "clip")
    (folder / "model.safetensors").unlink()
    tokenizer, context_length = load_tokenizer(str(folder))
    assert context_length == 77
    assert len(tokenizer("a ball")["input_ids"]) == 4
    without("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")(folder)
    with pytest.raises(ModelError, match="the tokenizer ends texts"):
        load_tokenizer(str(folder))
