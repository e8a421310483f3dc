"""What happens to pictures before the image tower, read from an image processor's settings."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from figclip.errors import ModelError
from figclip.model.loading import load_part


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """What happens to a frame before the image tower.

    `image_size` is the edge in pixels after the pixel pipeline, of which `pipeline` is the model's
    own (see `video.pixels`). Mean and standard deviation are of each RGB channel, in [0, 1].
    """

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    # Not in the repr, which names embeddings of given pixels in caches and indexes.
    pipeline: str = field(default="pil", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRules:
    """How a family of models treats pictures, and how its files say so.

    Attributes:
        processor: Name of the image processor that other libraries look for.
        read: Settings of a source, for a tower that takes pictures of an edge.
        write: The settings, for `preprocessor_config.json`.
    """

    processor: str
    read: Callable[[str, int], Preprocessing]
    write: Callable[[Preprocessing], dict[str, Any]]


def _read_cropping(source: str, image_size: int) -> Preprocessing:
    """CLIP's: shortest edge by bicubic, centre crop."""
    processor = load_part(CLIPImageProcessorPil, source)
    _check_settings(processor, {"do_center_crop": True, "resample": 3}, source)
    size = (dict(processor.size), dict(processor.crop_size))
    crops = list(size[1].values())
    if size[0].get("shortest_edge") != image_size or crops != [image_size] * max(1, len(crops)):
        raise ModelError(
            f"its image processor resizes to {size[0]} and crops to {size[1]}, "
            f"the image tower takes {image_size}",
            where=source,
            fix="Correct preprocessor_config.json.",
        )
    return _preprocessing(processor, source, image_size=image_size, pipeline="pil")


def _write_cropping(preprocessing: Preprocessing) -> dict[str, Any]:
    size = preprocessing.image_size
    return {
        "size": {"shortest_edge": size},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
    }


_SQUASHING = {3: "pil-squash", 2: "pil-squash-bilinear"}
"""Pipelines by PIL's number of the filter."""


def _read_squashing(source: str, image_size: int) -> Preprocessing:
    """SigLIP's: both edges, without a crop."""
    processor = load_part(SiglipImageProcessorPil, source)
    resample = int(processor.resample)
    _check_settings(processor, {"resample": resample if resample in _SQUASHING else 3}, source)
    if processor.do_center_crop:  # absent as a rule
        _check_settings(processor, {"do_center_crop": False}, source)
    size = dict(processor.size)
    if size != {"height": image_size, "width": image_size}:
        raise ModelError(
            f"its image processor resizes to {size}, the image tower takes {image_size}",
            where=source,
            fix="Correct preprocessor_config.json.",
        )
    return _preprocessing(processor, source, image_size=image_size, pipeline=_SQUASHING[resample])


def _write_squashing(preprocessing: Preprocessing) -> dict[str, Any]:
    size = preprocessing.image_size
    resample = {pipeline: number for number, pipeline in _SQUASHING.items()}
    return {
        "size": {"height": size, "width": size},
        "resample": resample[preprocessing.pipeline],
    }


CROPPING = PictureRules(processor="CLIPImageProcessor", read=_read_cropping, write=_write_cropping)
SQUASHING = PictureRules(
    processor="SiglipImageProcessor", read=_read_squashing, write=_write_squashing
)


def _check_settings(processor: Any, settings: Mapping[str, Any], source: str) -> None:
    """Refuse an image processor that does something else than figclip."""
    expected = {"do_resize": True, **settings}
    expected |= {"do_rescale": True, "do_normalize": True, "rescale_factor": 1 / 255}
    for name, value in expected.items():
        found = getattr(processor, name)
        if found != value:
            raise ModelError(
                f"its image processor has {name}={found}, figclip's pixel pipelines need {value}",
                where=source,
                fix="Correct preprocessor_config.json.",
            )


def _preprocessing(processor: Any, source: str, *, image_size: int, pipeline: str) -> Preprocessing:
    """With the statistics of the channels."""
    mean, std = (_channels(processor, name, source) for name in ("image_mean", "image_std"))
    if min(std) <= 0:
        raise ModelError(f"its image processor has image_std={std}, must be above 0", where=source)
    return Preprocessing(image_size=image_size, mean=mean, std=std, pipeline=pipeline)


def _channels(processor: Any, name: str, source: str) -> tuple[float, float, float]:
    """A setting of the image processor that is one number an RGB channel."""
    values = getattr(processor, name)
    numbers = isinstance(values, (list, tuple)) and len(values) == 3
    if not numbers or not all(isinstance(v, (int, float)) and math.isfinite(v) for v in values):
        raise ModelError(
            f"its image processor has {name}={values}, must be three numbers",
            where=source,
            fix="Correct preprocessor_config.json.",
        )
    red, green, blue = map(float, values)
    return red, green, blue
