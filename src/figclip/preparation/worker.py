"""What a decoding process does with one file; apart from `preparation`, which imports torch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from figclip.datasets.records import Box, MediumKind
from figclip.errors import VideoError
from figclip.video.container import hash_video, probe_video
from figclip.video.decoding import decode_frames, to_time_us
from figclip.video.images import read_image
from figclip.video.pixels import image_to_pixels
from figclip.video.sampling import Sampling, clip_times_s
from figclip.video.store import FrameStore, StoreSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoJob:
    """A video to decode.

    Attributes:
        record_idx: Index of its record.
        path: Its file.
        times_us: Times of the frames wanted, distinct, ascending.
    """

    record_idx: int
    path: Path
    times_us: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedVideo:
    """A decoded video.

    Attributes:
        video_hash: SHA-256 of the file, hex.
        frames_NHWC: One frame per time; None when the store has them already.
        duration_s: End of its last frame; 0 when the store has the frames.
    """

    video_hash: str
    frames_NHWC: UInt8[np.ndarray, "N S S 3"] | None  # noqa: N815
    duration_s: float


def decode_video(
    job: VideoJob, *, store: Path, spec: StoreSpec, limit_s: float
) -> DecodedVideo | VideoError:
    """Hash a video, and decode it unless the store has its frames.

    Args:
        job: What to decode.
        store: Frame store; it exists.
        spec: Its pixels.
        limit_s: Seconds that decoding may take.

    Returns:
        The frames, or why there are none.

    Raises:
        StoreError: The store cannot be read.
    """
    try:
        video_hash = hash_video(job.path)
        with FrameStore.open(store) as stored:
            known = stored.frame_times_us(video_hash)
        if set(job.times_us) <= set(known):
            return DecodedVideo(video_hash=video_hash, frames_NHWC=None, duration_s=0.0)
        decoded = decode_frames(
            job.path,
            [time_us / 1e6 for time_us in job.times_us],
            pipeline=spec.pixels,
            deadline_s=limit_s,
        )
    except VideoError as error:
        return error
    except MemoryError:
        return VideoError("too-large: decoding it takes more memory than there is")
    return DecodedVideo(
        video_hash=video_hash, frames_NHWC=decoded.frames_NHWC, duration_s=decoded.duration_s
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipJob:
    """An image or a whole video to decode.

    Attributes:
        key: What it is called in stores: SHA-256 of the file, and the part of it.
        kind: `image` or `video`.
        path: Its file.
        box: The part of an image that is wanted; None for all of it.
    """

    key: str
    kind: MediumKind
    path: Path
    box: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedClip:
    """A decoded image or video.

    Attributes:
        times_us: Times of its frames, distinct, ascending; 0 for an image.
        frames_NHWC: One frame per time.
        duration_s: End of its last frame; 0 for an image.
    """

    times_us: tuple[int, ...]
    frames_NHWC: UInt8[np.ndarray, "N S S 3"]  # noqa: N815
    duration_s: float


def clip_key(file_hash: str, box: Box | None) -> str:
    """Name of a clip in stores: `<hash>`, or `<hash>#left,top,width,height` of a part."""
    return (
        file_hash if box is None else f"{file_hash}#{box.left},{box.top},{box.width},{box.height}"
    )


def clip_times_us(kind: MediumKind, duration_s: float, sampling: Sampling) -> tuple[int, ...]:
    """Times of a clip's frames in whole microseconds.

    Raises:
        VideoError: `too-long`.
    """
    times_s = (0.0,) if kind == "image" else clip_times_s(duration_s, sampling)
    return tuple(to_time_us(time_s) for time_s in times_s)


def decode_clip(
    job: ClipJob, *, spec: StoreSpec, sampling: Sampling, limit_s: float
) -> DecodedClip | VideoError:
    """Decode an image or a whole video.

    Args:
        job: What to decode.
        spec: Pixels to make.
        sampling: Which frames of a video.
        limit_s: Seconds that a video may take.

    Returns:
        The frames, or why there are none.
    """
    deadline_s = time.monotonic() + limit_s
    try:
        if job.kind == "image":
            pixels_HWC = image_to_pixels(read_image(job.path, box=job.box), pipeline=spec.pixels)
            return DecodedClip(times_us=(0,), frames_NHWC=pixels_HWC[np.newaxis], duration_s=0.0)
        duration_s = probe_video(job.path, deadline_s=limit_s).duration_s
        times_us = clip_times_us(job.kind, duration_s, sampling)
        frames_NHWC = decode_frames(
            job.path,
            [time_us / 1e6 for time_us in times_us],
            pipeline=spec.pixels,
            deadline_s=deadline_s - time.monotonic(),
        ).frames_NHWC
    except VideoError as error:
        return error
    except MemoryError:
        return VideoError("too-large: decoding it takes more memory than there is")
    return DecodedClip(times_us=times_us, frames_NHWC=frames_NHWC, duration_s=duration_s)
