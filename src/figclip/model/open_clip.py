"""CLIPs of open_clip: its names of weights and settings, both ways.

A folder of open_clip has `open_clip_config.json`, weights (`open_clip_model.safetensors`,
`open_clip_pytorch_model.bin`) and, where its vocabulary is another than OpenAI's, the files of a
tokenizer. open_clip itself is needed only for OpenAI's vocabulary.

Source:
    mlfoundations/open_clip 3.3.0, `factory.py`, `model.py`, `tokenizer.py`.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPConfig, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

from figclip.errors import ConfigError, ModelError, shown
from figclip.runtime.reading import damage_named, parse_json, read_utf8

PREFIX = "open_clip:"
"""What a user writes before the path of such a folder, or of a checkpoint in one."""

CONFIG_FILE, WEIGHTS_FILE = "open_clip_config.json", "open_clip_model.safetensors"

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)

_WEIGHTS = (WEIGHTS_FILE, "open_clip_pytorch_model.bin", "open_clip_pytorch_model.pth")
_NAMES = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm": "ln_final",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm": "visual.ln_pre",
    "vision_model.post_layernorm": "visual.ln_post",
    "logit_scale": "logit_scale",
}
_TRANSPOSED = {
    "text_projection.weight": "text_projection",
    "visual_projection.weight": "visual.proj",
}
_LAYERS = {
    "text_model.encoder.layers": "transformer.resblocks",
    "vision_model.encoder.layers": "visual.transformer.resblocks",
}
_LAYER_NAMES = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_PROJECTIONS = ("q_proj", "k_proj", "v_proj")

# What a plain CLIP may say of itself; anything else must be as good as not said.
_SIZES = {
    "vision_cfg": ("layers", "width", "head_width", "mlp_ratio", "patch_size", "image_size"),
    "text_cfg": ("layers", "width", "heads", "mlp_ratio", "context_length", "vocab_size"),
}
_HARMLESS = {
    "model_cfg": ("embed_dim", "quick_gelu", "vision_cfg", "text_cfg", "custom_text"),
    "vision_cfg": ("patch_dropout", "output_tokens", "attn_pooler_queries", "attn_pooler_heads"),
    "text_cfg": (
        *("hf_tokenizer_name", "tokenizer_kwargs", "pad_id", "eos_id", "output_tokens"),
        *("hf_model_pretrained", "hf_proj_type", "hf_pooler_type"),
    ),
}
_DEFAULTS: dict[str, Any] = {"proj_type": "linear", "pos_embed_type": "learnable"}
_DEFAULTS |= {"block_type": "default", "norm_kwargs": {}, "act_kwargs": {}}
_VISION = {"layers": 12, "width": 768, "head_width": 64, "mlp_ratio": 4.0, "patch_size": 16}
_VISION |= {"image_size": 224}
_TEXT = {"layers": 12, "width": 512, "heads": 8, "mlp_ratio": 4.0, "context_length": 77}
_TEXT |= {"vocab_size": 49408}
_PREPROCESSING = {"mode": "RGB", "interpolation": "bicubic", "resize_mode": "shortest"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenClipFolder:
    """What a folder of open_clip holds, as transformers has it.

    Attributes:
        mean: Of each RGB channel, in [0, 1]; likewise `std`.
    """

    config: CLIPConfig
    state: dict[str, Tensor]
    tokenizer: CLIPTokenizer
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def to_open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a `CLIPModel` under open_clip's names."""
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name in _TRANSPOSED:
            found[_TRANSPOSED[name]] = tensor.t().contiguous()
            continue
        stem, _, kind = name.rpartition(".")
        layers = next((one for one in _LAYERS if name.startswith(f"{one}.")), None)
        if layers is None:
            renamed = _NAMES.get(name) or f"{_NAMES[stem]}.{kind}"
        else:
            number, _, part = stem.removeprefix(f"{layers}.").partition(".")
            block = f"{_LAYERS[layers]}.{number}"
            if part == "self_attn.q_proj":
                parts = [state[name.replace("q_proj", one)] for one in _PROJECTIONS]
                found[f"{block}.attn.in_proj_{kind}"] = torch.cat(parts)
            if part.removeprefix("self_attn.") in _PROJECTIONS:
                continue
            renamed = f"{block}.{_LAYER_NAMES[part]}.{kind}"
        found[renamed] = tensor
    return found


def from_open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of open_clip's CLIP under the names of a `CLIPModel`; unknown ones keep theirs."""
    names = {theirs: ours for ours, theirs in _NAMES.items()}
    transposed = {theirs: ours for ours, theirs in _TRANSPOSED.items()}
    parts = {theirs: ours for ours, theirs in _LAYER_NAMES.items()}
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        # With `custom_text` the text tower is a module of its own.
        name = name.removeprefix("text.")
        stem, _, kind = name.rpartition(".")
        layers = next((one for one, t in _LAYERS.items() if name.startswith(f"{t}.")), None)
        if name in transposed:
            found[transposed[name]] = tensor.t().contiguous()
        elif layers is not None:
            number, _, part = name.removeprefix(f"{_LAYERS[layers]}.").partition(".")
            block = f"{layers}.{number}"
            if part in ("attn.in_proj_weight", "attn.in_proj_bias"):
                for one, chunk in zip(_PROJECTIONS, tensor.chunk(3), strict=True):
                    found[f"{block}.self_attn.{one}.{part.rpartition('_')[2]}"] = chunk.contiguous()
            else:
                part = part.removesuffix(f".{kind}")
                found[f"{block}.{parts.get(part, part)}.{kind}"] = tensor
        else:
            found[names.get(name) or f"{names.get(stem, stem)}.{kind}"] = tensor
    return found


def open_clip_config(
    config: CLIPConfig, *, mean: tuple[float, ...], std: tuple[float, ...]
) -> dict[str, Any]:
    """The content of `open_clip_config.json` for a CLIP of transformers.

    The folder's own tokenizer is used. `mean` and `std` are of each RGB channel.

    Raises:
        ModelError: open_clip cannot be told of it.
    """
    vision, text = config.vision_config, config.text_config
    assert isinstance(vision, CLIPVisionConfig) and isinstance(text, CLIPTextConfig)
    if vision.hidden_act not in ("quick_gelu", "gelu"):
        raise ModelError(f"has the activation {vision.hidden_act}, which open_clip does not")
    towers = {"vision_cfg": vision, "text_cfg": text}
    shared = {
        name: {
            "layers": tower.num_hidden_layers,
            "width": tower.hidden_size,
            "mlp_ratio": tower.intermediate_size / tower.hidden_size,
            **({} if tower.layer_norm_eps == 1e-5 else {"norm_kwargs": _eps(tower)}),
        }
        for name, tower in towers.items()
    }
    # Where the end token is not the highest id, it is named; 2 stands for the highest.
    is_highest = text.eos_token_id in (2, text.vocab_size - 1)
    pooling = {} if is_highest else {"pool_type": "eos", "eos_id": text.eos_token_id}
    return {
        "model_cfg": {
            "embed_dim": config.projection_dim,
            "quick_gelu": vision.hidden_act == "quick_gelu",
            "vision_cfg": {
                **shared["vision_cfg"],
                "image_size": vision.image_size,
                "patch_size": vision.patch_size,
                "head_width": vision.hidden_size // vision.num_attention_heads,
            },
            "text_cfg": {
                **shared["text_cfg"],
                "context_length": text.max_position_embeddings,
                "vocab_size": text.vocab_size,
                "heads": text.num_attention_heads,
                # open_clip takes the folder's own for any name.
                "hf_tokenizer_name": "tokenizer.json",
                **pooling,
            },
        },
        "preprocess_cfg": {
            "size": vision.image_size,
            "mean": list(mean),
            "std": list(std),
            **_PREPROCESSING,
        },
    }


def _eps(tower: CLIPVisionConfig | CLIPTextConfig) -> dict[str, Any]:
    """How open_clip's layer norms are told another epsilon."""
    return {"eps": tower.layer_norm_eps}


def read_open_clip(path: Path) -> OpenClipFolder:
    """Read a CLIP of open_clip.

    Args:
        path: A folder that open_clip loads as `local-dir:`, or a checkpoint in a folder with
            `open_clip_config.json`.

    Raises:
        ModelError: not CLIP-shaped (another tower, pooling or preprocessing), damaged, or without
            its `open_clip_config.json`.
        ConfigError: OpenAI's vocabulary is needed, and open_clip is not installed.
    """
    folder = path if path.is_dir() else path.parent
    file = folder / CONFIG_FILE
    if not path.exists() or not file.is_file():
        raise ModelError(
            f"has no {CONFIG_FILE}" if path.exists() else "does not exist",
            where=f"{PREFIX}{path}",
            fix=f"Give a folder that open_clip loads as local-dir:, or a checkpoint in one. "
            f"{CONFIG_FILE} has model_cfg, open_clip.get_model_config(NAME), and preprocess_cfg",
        )
    with damage_named(file, ModelError, fix="Get the folder again"):
        content: Any = parse_json(read_utf8(file))
        settings, preprocessing = dict(content["model_cfg"]), content.get("preprocess_cfg", {})
        text, vision = settings["text_cfg"], settings["vision_cfg"]
        _refuse_other_kinds(settings, text, vision, where=str(file))
        mean, std = _read_preprocessing(preprocessing, where=str(file))
        state = from_open_clip(_read_weights(path))
        tokenizer = _read_tokenizer(folder, _TEXT | text)
        config = _build_config(settings, _VISION | vision, _TEXT | text, tokenizer)
        return OpenClipFolder(config=config, state=state, tokenizer=tokenizer, mean=mean, std=std)


def _refuse_other_kinds(
    settings: dict[str, Any], text: dict[str, Any], vision: dict[str, Any], *, where: str
) -> None:
    """Refuse what is set that a plain CLIP does not have, by its name."""
    if "siglip" in str(vision.get("timm_model_name")):
        raise ModelError(
            "is a SigLIP, whose image tower is timm's; figclip reads only plain CLIPs of open_clip",
            where=where,
            fix="Take the same SigLIP as transformers has it, such as google/siglip-base-patch16-"
            "224 or google/siglip2-base-patch16-224",
        )
    for part, found in {"model_cfg": settings, "vision_cfg": vision, "text_cfg": text}.items():
        known = {*_HARMLESS[part], *_SIZES.get(part, ())}
        for name, value in found.items():
            plain = [None, False, 0, "", _DEFAULTS.get(name)]
            if name == "pool_type":
                plain = ["tok"] if part == "vision_cfg" else ["argmax", "eos"]
            if name == "norm_kwargs" and isinstance(value, dict) and {*value} <= {"eps"}:
                continue
            if name not in known and value not in plain:
                raise ModelError(
                    f"its {part} has {name}={shown(value)}, which transformers' CLIP has not",
                    where=where,
                    fix="Take a CLIP with two plain transformers, such as ViT-B-32",
                )
    if not isinstance(vision.get("layers", 12), int):
        raise ModelError("its image tower is a ResNet, not a transformer", where=where)


def _read_preprocessing(
    settings: dict[str, Any], *, where: str
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and deviation; refused where the pictures would be treated in another way."""
    for name, expected in _PREPROCESSING.items():
        found = settings.get(name, expected)
        if found != expected:
            raise ModelError(
                f"its preprocess_cfg has {name}={shown(found)}, figclip needs {expected}",
                where=where,
            )
    mean_R, mean_G, mean_B = map(float, settings.get("mean") or OPENAI_MEAN)
    std_R, std_G, std_B = map(float, settings.get("std") or OPENAI_STD)
    return (mean_R, mean_G, mean_B), (std_R, std_G, std_B)


def _build_config(
    settings: dict[str, Any], vision: dict[str, Any], text: dict[str, Any], tokenizer: CLIPTokenizer
) -> CLIPConfig:
    """The settings as transformers has them."""
    shared = {
        "hidden_act": "quick_gelu" if settings.get("quick_gelu") else "gelu",
        "projection_dim": settings["embed_dim"],
    }

    def tower(found: dict[str, Any]) -> dict[str, Any]:
        return {
            "hidden_size": found["width"],
            "intermediate_size": int(found["width"] * found["mlp_ratio"]),
            "num_hidden_layers": found["layers"],
            "layer_norm_eps": (found.get("norm_kwargs") or {}).get("eps", 1e-5),
            **shared,
        }

    end = text["eos_id"] if text.get("pool_type") == "eos" else text["vocab_size"] - 1
    ids: dict[str, Any] = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": end,
        "pad_token_id": tokenizer.pad_token_id,
    }
    text_config = CLIPTextConfig(
        **tower(text),
        **ids,
        num_attention_heads=text["heads"],
        vocab_size=text["vocab_size"],
        max_position_embeddings=text["context_length"],
    )
    vision_config = CLIPVisionConfig(
        **tower(vision),
        num_attention_heads=vision["width"] // vision["head_width"],
        image_size=vision["image_size"],
        patch_size=vision["patch_size"],
    )
    return CLIPConfig(
        text_config=text_config.to_dict(),
        vision_config=vision_config.to_dict(),
        projection_dim=settings["embed_dim"],
    )


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a file, or of the one that open_clip takes from a folder; no code is run."""
    file = path
    if path.is_dir():
        files = [path / name for name in _WEIGHTS if (path / name).is_file()]
        if not files:
            raise ModelError(f"has none of {', '.join(_WEIGHTS)}", where=str(path))
        file = files[0]
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"cannot be read ({reason})", where=str(file), fix="Get the file again"
        ) from error
    state = content.get("state_dict", content)
    return {
        name.removeprefix("module."): tensor
        for name, tensor in state.items()
        if isinstance(tensor, Tensor)
    }


def _read_tokenizer(folder: Path, text: dict[str, Any]) -> CLIPTokenizer:
    """The folder's own, or OpenAI's vocabulary from open_clip."""
    length = text["context_length"]
    if (folder / "tokenizer.json").is_file() or (folder / "vocab.json").is_file():
        return CLIPTokenizer.from_pretrained(folder, model_max_length=length)
    if text.get("hf_tokenizer_name"):
        raise ModelError(
            f"its texts need the tokenizer {shown(text['hf_tokenizer_name'])}, whose files are not "
            "in the folder",
            where=str(folder),
            fix="Put tokenizer.json, vocab.json and merges.txt there",
        )
    try:
        library = import_module("open_clip")
    except ImportError as error:
        raise ConfigError(
            "needs the vocabulary that open_clip brings",
            where=f"{PREFIX}{folder}",
            fix='Install it: pip install "figclip[open_clip]"',
        ) from error
    with gzip.open(library.tokenizer.default_bpe(), "rt", encoding="utf-8") as file:
        merges = [tuple(line.split()) for line in file.read().split("\n")[1:48895]]
    symbols = list(library.tokenizer.bytes_to_unicode().values())
    words = [*symbols, *(f"{one}</w>" for one in symbols), *("".join(one) for one in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=length)  # pyright: ignore
