"""Named ways to look at a whole video: which frames, which pixels, how they are pooled.

Published numbers differ by several points with these; a result names its preset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from figclip.errors import ConfigError

SamplingRule = Literal[
    "midpoints_4", "midpoints_20", "midpoints_32", "seconds_12", "seconds_64", "half_seconds"
]
"""Names of rules in `data.sampling.clip_times_s`."""

ClassNames = Literal["words", "labels"]
"""How prompts name classes: `apply eye makeup`, or `ApplyEyeMakeup` as a benchmark writes it."""


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
        class_names: What prompts say for a class.
    """

    name: str
    sampling: SamplingRule
    pipeline: str | None = None
    imagenet_normalisation: bool = False
    normalised_frames: bool = True
    max_tokens: int | None = None
    class_names: ClassNames = "words"


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        # Ours: 20 frames at the midpoints of equal segments, as 5 events of 4 frames have.
        Preset(name="figclip", sampling="midpoints_20"),
        # A clip of one event, looked at as adaptation looks at an annotated event of 4 frames.
        Preset(name="event", sampling="midpoints_4"),
        # ArrowLuo/CLIP4Clip@508ffa3 README.md, "MSRVTT": --max_frames 12 --max_words 32; pooling in
        # modules/modeling.py:392-394 (normalise, mean, normalise).
        Preset(name="clip4clip", sampling="seconds_12", max_tokens=32),
        # The same for paragraphs, "ActivityNet" and "DiDeMo": --max_frames 64 --max_words 64.
        Preset(name="clip4clip_64", sampling="seconds_64", max_tokens=64),
        # muzairkhattak/ViFi-CLIP@e2d1948: datasets/build.py:285-295 (32 frames, edge 256, crop) and
        # :34 (ImageNet's statistics); trainers/vificlip.py:184-193 (mean of raw features, then
        # normalised); labels/ucf_101_labels.csv (`ApplyEyeMakeup`), as written in
        # trainers/vificlip.py:70,121.
        Preset(
            name="vificlip",
            sampling="midpoints_32",
            pipeline="vificlip",
            imagenet_normalisation=True,
            normalised_frames=False,
            class_names="labels",
        ),
        # katha-ai/VELOCITI@8d66ddb: utils/extract_frames.py:21-42 (two frames a second),
        # models/clip_model.py:131-136 (mean of raw features, then normalised).
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
