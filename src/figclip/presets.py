"""Named ways to look at a whole video: which frames, which pixels, how they are pooled.

Published numbers differ by several points with these; a result names its preset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from figclip.errors import ConfigError

SamplingRule = Literal["midpoints_4", "midpoints_20", "midpoints_32", "seconds_12", "half_seconds"]
"""Names of rules in `data.sampling.clip_times_s`."""


@dataclass(frozen=True, slots=True)
class FrameRate:
    """So many frames a second, at the midpoints of equal segments of the whole video.

    Attributes:
        per_second: About so many; of a video too long for them fewer, as many as may be.
    """

    per_second: float


Sampling = SamplingRule | FrameRate


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A way to look at whole videos; images are always treated as CLIP's own processor does.

    Attributes:
        name: Key in `PRESETS`.
        sampling: Which frames.
        pipeline: Pixel pipeline; None for the model's own.
        imagenet_normalisation: ImageNet's mean and standard deviation instead of CLIP's.
        normalised_frames: Frame embeddings are normalised before their mean is taken; the mean is
            normalised in any case.
        max_tokens: Texts are cut at so many tokens, start and end included; None: at the model's
            context length.
    """

    name: str
    sampling: SamplingRule
    pipeline: str | None = None
    imagenet_normalisation: bool = False
    normalised_frames: bool = True
    max_tokens: int | None = None


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        # Ours: 20 frames at the midpoints of equal segments, as 5 events of 4 frames have.
        Preset(name="figclip", sampling="midpoints_20"),
        # A clip of one event, looked at as adaptation looks at an annotated event of 4 frames.
        Preset(name="event", sampling="midpoints_4"),
        # CLIP4Clip: at most 12 of the frames at 0, 1, 2, ... s, 32 tokens.
        Preset(name="clip4clip", sampling="seconds_12", max_tokens=32),
        # ViFi-CLIP's evaluation: shortest edge to 8/7 of the image size, ImageNet's statistics.
        Preset(
            name="vificlip",
            sampling="midpoints_32",
            pipeline="vificlip",
            imagenet_normalisation=True,
        ),
        # VELOCITI's CLIP baseline: two frames a second, mean of raw embeddings.
        Preset(name="velociti", sampling="half_seconds", normalised_frames=False),
    )
}


def find_preset(name: str) -> Preset:
    """A preset by name.

    Raises:
        ConfigError: no such preset; the message lists them.
    """
    if name not in PRESETS:
        raise ConfigError(
            f"unknown preset {name!r}", where="--preset", fix=f"Presets are {', '.join(PRESETS)}"
        )
    return PRESETS[name]
