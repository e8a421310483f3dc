"""The pretrained mini CLIPs that come with figclip, one a seed, in half precision."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from figclip.errors import ModelError
from figclip.model.backbone import Backbone
from figclip.world.mini_clip import build_mini_clip

SHA256 = {
    0: "04f5c31a02a99d1f168196c7472d9dcf0dd7df4a8dd47815b11091023155ada7",
    1: "e6cff43071f87b3335bb40ff882f6a41e44ae1c41b1f03e341aa97af03fd7054",
}
"""Of the weights, by the seed of their pretraining; beside each file is the log of it."""

_FOLDER = Path(__file__).parent / "weights"


def weights_file(folder: Path, seed: int) -> Path:
    """Where the weights of a seed are."""
    return folder / f"mini_clip_{seed}.safetensors"


def load_mini_clip(seed: int) -> Backbone:
    """A mini CLIP as `python -m figclip.world.pretrain OUT --seed SEED` made it.

    Args:
        seed: A key of `SHA256`.

    Raises:
        ModelError: the file is not the one that was shipped.
    """
    file = weights_file(_FOLDER, seed)
    found = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else "missing"
    if found != SHA256[seed]:
        raise ModelError(
            f"is not the mini CLIP that figclip came with (SHA-256 {found})",
            where=str(file),
            fix="Install figclip anew",
        )
    backbone = build_mini_clip(seed=seed).eval()
    halves = load_file(file)
    backbone.clip.load_state_dict({name: half.float() for name, half in halves.items()})
    return backbone


def write_weights(folder: Path, backbone: Backbone, *, seed: int) -> Path:
    """Write weights as they are shipped; returns the file."""
    file = weights_file(folder, seed)
    save_file({k: v.half().contiguous() for k, v in backbone.clip.state_dict().items()}, file)
    return file


def round_to_half(backbone: Backbone) -> None:
    """Make the weights those that half precision can hold: shipping them loses nothing more."""
    with torch.no_grad():
        for weight in backbone.clip.parameters():
            weight.copy_(weight.half())
