"""The kinds of models that figclip adapts: what each does in its own way.

All have two towers of the same transformer layers, so that LoRA, gradients, strengths and folders
are the same for all. A row of the table is all that another kind of such a model needs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    CLIPVisionModel,
    MetaClip2Config,
    MetaClip2Model,
    MetaClip2TextConfig,
    MetaClip2VisionConfig,
    MetaClip2VisionModel,
    PreTrainedConfig,
    SiglipConfig,
    SiglipModel,
    SiglipTextConfig,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from figclip.errors import ModelError
from figclip.model.loading import load_named, load_part
from figclip.model.preprocessing import CROPPING, SQUASHING, PictureRules
from figclip.model.tokenizers import CLIP_TEXTS, NAMED_TEXTS, SIGLIP_TEXTS, TextRules

DualEncoder: TypeAlias = CLIPModel | MetaClip2Model | SiglipModel
DualConfig: TypeAlias = CLIPConfig | MetaClip2Config | SiglipConfig
TextConfig: TypeAlias = CLIPTextConfig | MetaClip2TextConfig | SiglipTextConfig
VisionTower: TypeAlias = CLIPVisionModel | MetaClip2VisionModel | SiglipVisionModel
VisionConfig: TypeAlias = CLIPVisionConfig | MetaClip2VisionConfig | SiglipVisionConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A kind of models.

    Attributes:
        name: `model_type` in config.json.
        title: Its name for people.
        config: Class of its configuration; likewise `model`.
        processor: Name of the class that transformers puts pictures and texts through.
        pictures: How it treats pictures.
        texts: How it reads texts.
        max_log_scale: The family's own bound on its log temperature.
        notes: What a model card must say to its users.
    """

    name: str
    title: str
    config: type[DualConfig]
    model: type[DualEncoder]
    processor: str = "CLIPProcessor"
    pictures: PictureRules = CROPPING
    texts: TextRules
    max_log_scale: float = float(np.log(100.0))
    notes: tuple[str, ...] = ()


CLIP = Family(name="clip", title="CLIP", config=CLIPConfig, model=CLIPModel, texts=CLIP_TEXTS)
METACLIP_2 = Family(
    name="metaclip_2",
    title="MetaCLIP 2",
    config=MetaClip2Config,
    model=MetaClip2Model,
    texts=NAMED_TEXTS,
)
SIGLIP = Family(
    name="siglip",
    title="SigLIP",
    config=SiglipConfig,
    model=SiglipModel,
    processor="SiglipProcessor",
    pictures=SQUASHING,
    texts=SIGLIP_TEXTS,
    max_log_scale=float("inf"),
    notes=(
        'It reads texts padded to their full length and without a mask: `padding="max_length"`. '
        "Otherwise their embeddings are others.",
    ),
)

FAMILIES = {one.name: one for one in (CLIP, METACLIP_2, SIGLIP)}
"""By `model_type`."""

_LACKING = {
    "siglip2": "A NaFlex takes pictures of any shape in any number of patches, frame stores hold "
    "squares. Take a SigLIP 2 of fixed resolution, such as google/siglip2-base-patch16-224",
    "altclip": "Its text tower is an XLM-RoBERTa, whose layers figclip does not know. Take a "
    "MetaCLIP 2 for other languages than English",
    "chinese_clip": "Its text tower is a BERT, whose layers figclip does not know. Take a MetaCLIP "
    "2 for other languages than English",
    "align": "Its image tower is an EfficientNet, not a transformer",
    "blip": "Its texts attend to pictures, or its towers have other names",
    "xclip": "Its image tower takes frames of a whole video at once",
}
"""Why other kinds of models cannot be had, by `model_type`."""


def find_family(model_type: object, *, source: str) -> Family:
    """The family of a `model_type`.

    Raises:
        ModelError: none that figclip knows; it says what is missing.
    """
    family = FAMILIES.get(model_type) if isinstance(model_type, str) else None
    if family is None:
        titles = " or ".join(f"{one.name} ({one.title})" for one in FAMILIES.values())
        raise ModelError(
            f"is a {model_type!r} model, not a CLIP that figclip knows",
            where=source,
            fix=_LACKING.get(str(model_type))
            or f"Give a folder or hub id whose config.json says model_type {titles}.",
        )
    return family


def family_of(config: PreTrainedConfig) -> Family:
    """The family of a configuration that was loaded."""
    return FAMILIES[config.model_type]


def load_config(source: str) -> DualConfig:
    """The configuration; transformers would build ViT-B/32's for a folder that has none.

    Raises:
        ModelError: there is none, it is damaged, or of a family that figclip does not know.
    """
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        raise ModelError(
            "has no config.json", where=source, fix="Give a folder or hub id of a whole CLIP."
        )
    content, _ = load_named("CLIPConfig", source, lambda: PreTrainedConfig.get_config_dict(source))
    model_type = content.get("model_type", "clip") if isinstance(content, dict) else "clip"
    config: DualConfig = load_part(find_family(model_type, source=source).config, source)
    _check_pooling(config, source)
    return config


def _check_pooling(config: DualConfig, source: str) -> None:
    """Refuse a SigLIP whose towers do not end in the same space."""
    if not isinstance(config, SiglipConfig):
        return
    vision, text = vision_config(config), cast(SiglipTextConfig, text_config(config))
    if not cast(SiglipVisionConfig, vision).vision_use_head:
        raise ModelError("its image tower has no head that pools patches", where=source)
    if text.projection_size != vision.hidden_size:
        raise ModelError(
            f"embeds texts in {text.projection_size} numbers, pictures in {vision.hidden_size}",
            where=source,
            fix="Correct config.json.",
        )


def projection(clip: DualEncoder, tower: Literal["visual", "text"]) -> nn.Module:
    """What a tower ends in; of families whose towers pool embeddings the identity."""
    found = getattr(clip, f"{tower}_projection", nn.Identity())
    assert isinstance(found, nn.Module)
    return found


def logit_parameters(clip: DualEncoder) -> dict[str, nn.Parameter]:
    """What makes logits of similarities: the log of their scale, and their bias if there is one."""
    names = ("logit_scale", "logit_bias")
    return {name: clip.get_parameter(name) for name in names if hasattr(clip, name)}


def vision_config(config: Any) -> VisionConfig:
    """The image tower's part of a configuration."""
    assert isinstance(config.vision_config, VisionConfig)
    return config.vision_config


def text_config(config: Any) -> TextConfig:
    """The text tower's part of a configuration."""
    assert isinstance(config.text_config, TextConfig)
    return config.text_config
