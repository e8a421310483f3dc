"""Choose the moments of an event or a whole video to look at, and name whole ways of looking.

A preset says which frames, which pixels, and how they are pooled. Published numbers differ by
several points with these, so every result names its preset.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from figclip.errors import ConfigError, VideoError
from figclip.records import Annotation, Event
from figclip.video.decoding import sample_midpoints, to_time_us

SamplingRule = Literal[
    "midpoints_4", "midpoints_20", "midpoints_32", "seconds_12", "seconds_64", "half_seconds"
]
"""Names of rules in `video.sampling.clip_times_s`."""

ClassNames = Literal["words", "labels"]
"""How prompts name classes: `apply eye makeup`, or `ApplyEyeMakeup` as a benchmark writes it."""


@dataclass(frozen=True, slots=True)
class FrameRate:
    """About so many frames a second, at the midpoints of equal segments of the whole video.

    Of a video too long for them fewer, as many as may be.
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

OUR_PRESETS = ("figclip", "event")
"""Those that are not a benchmark's own protocol."""


def find_preset(name: str) -> Preset:
    """A preset by name; a `ConfigError` that lists them if there is no such."""
    if name not in PRESETS:
        raise ConfigError(
            f"unknown preset {name!r}", where="--preset", fix=f"Presets are {', '.join(PRESETS)}"
        )
    return PRESETS[name]


MAX_CLIP_FRAMES = 2048
"""Most frames of one clip: 17 minutes at two a second, 308 MB at 224 px while they are decoded."""

_NUM_MIDPOINTS: dict[SamplingRule, int] = {"midpoints_4": 4, "midpoints_20": 20, "midpoints_32": 32}
_NUM_SECONDS: dict[SamplingRule, int] = {"seconds_12": 12, "seconds_64": 64}


def frame_times_s(annotation: Annotation, *, frames_per_event: int) -> list[float]:
    """Times of all frames of an annotation's events: midpoints of T equal segments of each."""
    return [
        time_s for event in annotation.events for time_s in event_times_s(event, frames_per_event)
    ]


def event_times_s(event: Event, frames_per_event: int) -> list[float]:
    """Midpoints in seconds of T equal segments of an event."""
    return list(sample_midpoints(event.start_s, event.end_s, num=frames_per_event))


def clip_times_s(duration_s: float, sampling: Sampling) -> tuple[float, ...]:
    """Times of a whole clip's frames.

    Args:
        duration_s: End of the clip's last frame.
        sampling: A `FrameRate`, or the name of a rule:

            - `midpoints_4`, `midpoints_20`, `midpoints_32`: midpoints of so many equal segments.
              The last is ViFi-CLIP's, which counts frames, not seconds: the same frames at a
              constant rate.
            - `seconds_12`, `seconds_64`: 0, 1, 2, … s; where that is more than 12 (64), those at so
              many evenly spaced places, rounded down. CLIP4Clip finds them by frame number and rate
              rounded down to an integer, so that at 29.97 fps its n-th frame is at 0.968 n s and a
              10 s clip has 11; we take the time itself.
            - `half_seconds`: a microsecond before 0.25 and 0.75 s of every second; the midpoint of
              a clip that ends before. VELOCITI counts frames from 1: at 24 fps, the rate of its
              clips, it takes the frame that ends at 0.25 s. It stops after 10 s, their length.

    Returns:
        Whole microseconds, distinct, ascending, at least one, below the end.

    Raises:
        VideoError: `bad-time`, an empty or endless clip; `too-long`, more than MAX_CLIP_FRAMES.

    Source:
        ArrowLuo/CLIP4Clip@508ffa3 dataloaders/rawvideo_util.py:31-65,
        dataloaders/dataloader_msrvtt_retrieval.py:104-111,
        dataloaders/dataloader_activitynet_retrieval.py:191-198;
        muzairkhattak/ViFi-CLIP@e2d1948 datasets/pipeline.py:1959-1965;
        katha-ai/VELOCITI@8d66ddb utils/extract_frames.py:21-41.
    """
    end_us = to_time_us(duration_s) if math.isfinite(duration_s) else 0
    if end_us < 1:
        raise VideoError(f"bad-time: cannot take frames from a clip of {duration_s} s")
    duration_s = end_us / 1e6
    if isinstance(sampling, FrameRate):
        wanted = min(MAX_CLIP_FRAMES, duration_s * sampling.per_second)
        times_s = sample_midpoints(0.0, duration_s, num=max(1, round(wanted)))
    elif sampling in _NUM_SECONDS:
        num_seconds = math.ceil(end_us / 1_000_000)
        num_frames = min(num_seconds, _NUM_SECONDS[sampling])
        times_s = np.linspace(0, num_seconds - 1, num=num_frames, dtype=np.int64).tolist()
    elif sampling == "half_seconds":
        times_s = _half_seconds(end_us)
    else:
        times_s = sample_midpoints(0.0, duration_s, num=_NUM_MIDPOINTS[sampling])
    times_us = sorted({to_time_us(time_s) for time_s in times_s})
    return tuple(time_us / 1e6 for time_us in times_us if time_us < end_us)


def _half_seconds(end_us: int) -> list[float]:
    """Just before 0.25 and 0.75 s of every second."""
    times_us = range(249_999, end_us, 500_000)
    if len(times_us) > MAX_CLIP_FRAMES:
        raise VideoError(
            f"too-long: {len(times_us):,} frames, two of each second, are more than "
            f"{MAX_CLIP_FRAMES:,}",
            fix="Cut the video, or choose a preset with a fixed number of frames",
        )
    return [time_us / 1e6 for time_us in times_us] or [end_us / 2e6]
