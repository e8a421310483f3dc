"""The mini world's models: built from nothing by family, and the pretrained ones that we ship.

The pretrained weights are one file per family and seed, in half precision.
"""

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from figclip.errors import ModelError
from figclip.miniworld.mini_clip import build_mini_clip
from figclip.miniworld.mini_siglip import build_mini_siglip
from figclip.model.backbone import Backbone
from figclip.model.families import FAMILIES
from figclip.model.folder import write_clip_files
from figclip.runtime.files import staged_folder, write_atomically

BUILDERS = {"clip": build_mini_clip, "siglip": build_mini_siglip}
"""What builds a model of random weights, by the name of its family."""

SHA256 = {
    ("clip", 0): "04f5c31a02a99d1f168196c7472d9dcf0dd7df4a8dd47815b11091023155ada7",
    ("clip", 1): "e6cff43071f87b3335bb40ff882f6a41e44ae1c41b1f03e341aa97af03fd7054",
    ("siglip", 0): "b41a40c0b3d8a817268b9077219908e731494c902b57d4ec7ac3bb37066d4897",
}
"""File of the weights, by family and seed of their pretraining; the log of it is beside it."""

_FOLDER = Path(__file__).parent / "weights"


def title_of(family: str, seed: int) -> str:
    """What people call a mini model."""
    return f"mini {FAMILIES[family].title} {seed}"


def write_mini_model(path: Path, backbone: Backbone) -> None:
    """Write the folder that is loaded as any model; an existing one is replaced."""
    with staged_folder(path) as folder:
        write_clip_files(
            folder,
            state=backbone.clip.state_dict(),
            config=backbone.clip.config,
            tokenizer=backbone.tokenizer,
            preprocessing=backbone.preprocessing,
        )


def load_mini_model(seed: int, *, family: str = "clip") -> Backbone:
    """A mini model as `python -m figclip.miniworld OUT --family FAMILY --seed SEED` made it.

    Raises:
        ModelError: the file is not the one that was shipped.
    """
    file = weights_file(_FOLDER, seed, family=family)
    found = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else "missing"
    if found != SHA256.get((family, seed)):
        raise ModelError(
            f"is not the {title_of(family, seed)} that figclip came with (SHA-256 {found})",
            where=str(file),
            fix="Install figclip anew",
        )
    backbone = BUILDERS[family](seed=seed).eval()
    halves = load_file(file)
    backbone.clip.load_state_dict({name: half.float() for name, half in halves.items()})
    return backbone


def weights_file(folder: Path, seed: int, *, family: str = "clip") -> Path:
    """Where the weights of a seed are."""
    return folder / f"mini_{family}_{seed}.safetensors"


def write_weights(folder: Path, backbone: Backbone, *, seed: int) -> Path:
    """Write weights as they are shipped; returns the file."""
    file = weights_file(folder, seed, family=backbone.family.name)
    halves = {name: one.half().contiguous() for name, one in backbone.clip.state_dict().items()}
    write_atomically(file, save(halves))
    return file


def round_to_half(backbone: Backbone) -> None:
    """Make the weights those that half precision can hold: shipping them loses nothing more."""
    with torch.no_grad():
        for weight in backbone.clip.parameters():
            weight.copy_(weight.half())
