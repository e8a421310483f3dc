"""The real architectures of OpenAI's CLIPs, with random weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from figclip.miniworld.mini_clip import CLIP_MEAN, CLIP_STD
from figclip.model.backbone import Preprocessing, text_config
from figclip.model.folder import write_clip_files
from tests.small_clip import write_small_clip

# Width, layers, heads, patch, image and projection as in the config.json of each on the hub.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "vit_b_32": {"text": (512, 8), "vision": (768, 12, 12, 32, 224), "projection": 512},
    "vit_b_16": {"text": (512, 8), "vision": (768, 12, 12, 16, 224), "projection": 512},
    "vit_l_14": {"text": (768, 12), "vision": (1024, 24, 16, 14, 224), "projection": 768},
    "vit_l_14_336": {"text": (768, 12), "vision": (1024, 24, 16, 14, 336), "projection": 768},
}


def clip_config(name: str) -> CLIPConfig:
    parts = ARCHITECTURES[name]
    text_width, text_heads = parts["text"]
    width, layers, heads, patch, image = parts["vision"]
    return CLIPConfig(
        text_config={
            "hidden_size": text_width,
            "intermediate_size": 4 * text_width,
            "num_attention_heads": text_heads,
            "num_hidden_layers": 12,
            "projection_dim": parts["projection"],
        },
        vision_config={
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "patch_size": patch,
            "image_size": image,
            "projection_dim": parts["projection"],
        },
        projection_dim=parts["projection"],
        logit_scale_init_value=math.log(100),  # where the trained ones end
    )


def write_vit_b_32(folder: Path) -> Path:
    """ViT-B/32 with random weights and the small CLIP's tokenizer, whose ids fit its vocabulary."""
    small = folder.with_name(f"{folder.name}-tokenizer")
    write_small_clip(small, seed=0)
    tokenizer = CLIPTokenizer.from_pretrained(small)
    config = clip_config("vit_b_32")
    text = text_config(config)
    text.bos_token_id = tokenizer.bos_token_id
    text.eos_token_id = tokenizer.eos_token_id
    text.pad_token_id = tokenizer.pad_token_id
    torch.manual_seed(0)
    write_clip_files(
        folder,
        state=CLIPModel(config).state_dict(),
        config=config,
        tokenizer=tokenizer,
        preprocessing=Preprocessing(image_size=224, mean=CLIP_MEAN, std=CLIP_STD),
    )
    return folder
