"""What a decoding process does with one video; apart from `preparation`, which imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from figclip.data.frames import FrameStore, StoreSpec
from figclip.data.video import decode_frames, hash_video
from figclip.errors import VideoError


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
        frames_NHWC: One frame a time; None when the store has them already.
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
