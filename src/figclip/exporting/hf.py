"""`--to hf`: a plain CLIP for transformers, smaller than a model folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor
from transformers import AutoModel, AutoProcessor

from figclip.exporting.agreement import Loaded
from figclip.exporting.targets import Target
from figclip.model.card import TRANSFORMERS
from figclip.model.families import family_of
from figclip.model.figclip import FiGCLIP
from figclip.model.folder import write_clip_files


def write_hf(model: FiGCLIP, folder: Path) -> None:
    """Write what `from_pretrained` of `CLIPModel`, or of the family's model, reads."""
    backbone = model.backbone
    write_clip_files(
        folder,
        state=backbone.clip.state_dict(),
        config=backbone.clip.config,
        tokenizer=backbone.tokenizer,
        preprocessing=backbone.preprocessing,
    )


def _load(folder: Path) -> list[Loaded]:
    """As transformers' documentation has it."""
    clip: Any = AutoModel.from_pretrained(folder).eval()
    processor: Any = AutoProcessor.from_pretrained(folder)
    padding = "max_length" if family_of(clip.config).texts.pads else True

    def embed_images(images: Sequence[Image.Image]) -> Tensor:
        inputs = processor(images=list(images), return_tensors="pt")
        return clip.get_image_features(**inputs).pooler_output

    def embed_texts(texts: Sequence[str]) -> Tensor:
        inputs = processor.tokenizer(
            list(texts), padding=padding, truncation=True, return_tensors="pt"
        )
        return clip.get_text_features(**inputs).pooler_output

    return [Loaded(precision="fp32", embed_images=embed_images, embed_texts=embed_texts)]


HF = Target(library=TRANSFORMERS, write=write_hf, load=_load)
