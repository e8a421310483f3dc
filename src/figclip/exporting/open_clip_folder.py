"""`--to open_clip`: a folder that open_clip loads as `local-dir:`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPConfig

from figclip.exporting.agreement import Loaded
from figclip.exporting.targets import Target
from figclip.model.card import Library
from figclip.model.families import CLIP
from figclip.model.figclip import FiGCLIP
from figclip.model.open_clip import CONFIG_FILE, WEIGHTS_FILE, open_clip_config, to_open_clip


def _write(model: FiGCLIP, folder: Path) -> None:
    """Settings, weights and the tokenizer, which need not be OpenAI's."""
    backbone = model.backbone
    state = to_open_clip(backbone.clip.state_dict())
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    save_file(on_cpu, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    settings, preprocessing = backbone.clip.config, backbone.preprocessing
    assert isinstance(settings, CLIPConfig)
    config = open_clip_config(settings, mean=preprocessing.mean, std=preprocessing.std)
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
    backbone.tokenizer.save_pretrained(folder)


def _load(folder: Path) -> list[Loaded]:
    """As open_clip's documentation has it."""
    open_clip: Any = import_module("open_clip")
    name = f"local-dir:{folder}"
    clip, _, preprocess = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name)
    clip.eval()

    def embed_images(images: Sequence[Image.Image]) -> Tensor:
        return clip.encode_image(torch.stack([preprocess(one) for one in images]))

    def embed_texts(texts: Sequence[str]) -> Tensor:
        return clip.encode_text(tokenizer(list(texts)))

    return [Loaded(precision="fp32", embed_images=embed_images, embed_texts=embed_texts)]


OPEN_CLIP = Target(
    library=Library(
        name="open_clip",
        pipeline_tag="zero-shot-image-classification",
        usage="""\
import open_clip

model, _, preprocess = open_clip.create_model_and_transforms("local-dir:THIS_FOLDER")
tokenizer = open_clip.get_tokenizer("local-dir:THIS_FOLDER")""",
    ),
    needs=("open_clip",),
    extra="open_clip",
    families=(CLIP.name,),
    write=_write,
    load=_load,
)
