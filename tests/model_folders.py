"""Model folders that tests share: adapted CLIPs whose adaptation is not zero."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel

from figclip.config import Adaptation
from figclip.model.backbone import Backbone, load_backbone, weights_hash
from figclip.model.contextualizer import VideoContextualizer
from figclip.model.folder import ContextualizerShape, ModelInfo, SeenMedia, write_adapted
from figclip.model.lora import add_adaptation, lora_layers
from figclip.runtime.checked_json import load_checked

RANK = 4
LORA_ALPHA = 6.0


@dataclass
class Adapted:
    """An adapted CLIP in memory, and what its folder says."""

    backbone: Backbone
    adapter: PeftModel | None
    contextualizer: VideoContextualizer | None
    info: ModelInfo

    def write(self, folder: Path) -> Path:
        """Write the model folder; returns it."""
        write_adapted(
            folder,
            self.backbone,
            adapter=self.adapter,
            contextualizer=self.contextualizer,
            info=self.info,
        )
        return folder


def adapt_at_random(
    clip_folder: Path,
    *,
    adaptation: Adaptation = "lora_image",
    alpha: float = 1.0,
    layers: int = 1,
    seed: int = 0,
) -> Adapted:
    """Adapt a CLIP by random numbers, large enough to change what it sees.

    Args:
        clip_folder: The base.
        adaptation: What is changed.
        alpha: Strength that the folder is merged at.
        layers: Of the contextualizer; 0 for none.
        seed: Of all random numbers.
    """
    backbone = load_backbone(str(clip_folder))
    base_hash = weights_hash(backbone.clip)
    adapter = add_adaptation(backbone, adaptation, rank=RANK, lora_alpha=LORA_ALPHA, seed=seed)
    torch.manual_seed(seed)
    for layer in lora_layers(backbone.clip).values():
        weight = layer.lora_B["default"].weight
        assert isinstance(weight, torch.Tensor)
        torch.nn.init.normal_(weight, std=0.3)
    if adaptation == "full":
        for parameter in backbone.clip.vision_model.parameters():
            parameter.data.add_(0.02 * torch.randn(parameter.shape))
    contextualizer = None
    if layers:
        contextualizer = VideoContextualizer(backbone.dim, num_layers=layers, head_dim=16).eval()
    info = ModelInfo(
        activation=backbone.activation,
        adaptation=adaptation,
        alpha=alpha,
        lora_scale=0.0 if adaptation == "full" else LORA_ALPHA / RANK,
        pixel_pipeline="pil",
        pooling="mean",
        base="",
        base_hash=base_hash,
        contextualizer=ContextualizerShape(layers=layers, head_dim=16, frames_per_event=4)
        if layers
        else None,
        provenance={"recipe": "test"},
        seen=SeenMedia(trained_on=frozenset(["0123456789abcdef"])),
    )
    return Adapted(backbone, adapter, contextualizer, info)


def forget_hashes(folder: Path) -> None:
    """Make of a model folder one of before 2026-11-29, so that what it says is looked at."""
    file = folder / "figclip.json"
    content = load_checked(file.read_text())
    del content["files"]
    file.write_text(json.dumps(content))
