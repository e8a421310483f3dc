"""What worker processes do for an index: they hash, measure and decode videos.

Never imports torch, which each of them would load.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import simplejpeg
from jaxtyping import Int64, UInt8

from figclip.errors import VideoError
from figclip.search.index_file import IndexedFile, IndexSpec
from figclip.search.shots import find_shots
from figclip.search.windows import count_windows, frame_times_us, window_spans_us
from figclip.video.container import hash_video, video_duration_s
from figclip.video.decoding import stream_frames, to_time_us
from figclip.video.pixels import PixelPipeline

_SHARE_OF_SHOTS = 0.5
_THUMBNAIL_PX = 160
_THUMBNAIL_QUALITY = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Content of a file: its SHA-256, and how long it lasts; 0 where the content is known."""

    hash: str
    duration_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoJob:
    """A video to decode: one of its files, and what its survey said."""

    file: IndexedFile
    survey: Survey


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameBatch:
    """Some frames of a video, which follow each other.

    Attributes:
        first: Number of the first among all; 0 begins the video, or begins it anew.
        done: How much of the work on the video is done, from 0 to 1.
        frames_NHWC: None at all while shots are looked for.
    """

    first: int
    done: float
    frames_NHWC: UInt8[np.ndarray, "N S S 3"]  # noqa: N815


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How a video was cut, when all of its frames have been given.

    Attributes:
        frame_idx_NT: Numbers of the frames of each window.
        thumbnails: A JPEG of the middle frame of each window.
    """

    spans_us: Int64[np.ndarray, "N 2"]
    frame_idx_NT: Int64[np.ndarray, "N T"]  # noqa: N815
    thumbnails: tuple[bytes, ...]


def survey_file(
    file: IndexedFile, *, spec: IndexSpec, known: frozenset[str]
) -> Survey | VideoError:
    """Hash a file, and measure it unless its content is `known`; or say why it is no video."""
    try:
        file_hash = hash_video(file.path)
        duration_us = 0 if file_hash in known else to_time_us(video_duration_s(file.path))
        # Refused here, or the plan of the whole run would be of what one file claims.
        count_windows(duration_us, **_lengths_us(spec))
    except VideoError as error:
        return error
    return Survey(hash=file_hash, duration_us=duration_us)


def read_video(
    job: VideoJob, *, spec: IndexSpec, pipeline: PixelPipeline, batch_size: int, limit_s: float
) -> Generator[FrameBatch, None, Cut | VideoError]:
    """Decode the frames of all windows, each once; or say why that cannot be.

    `batch_size` frames are given, and embedded, together: always of one video, as rows depend on it
    in their last bits, and what else is indexed must not change them. No frame may take longer than
    `limit_s` seconds.
    """
    try:
        result = yield from _read_windows(
            job, spec=spec, pipeline=pipeline, batch_size=batch_size, limit_s=limit_s
        )
    except VideoError as error:
        result = error
    except MemoryError:
        result = VideoError("too-large: decoding it takes more memory than there is")
    if _has_changed(job.file):
        return VideoError("changed: the file was written to while it was read")
    return result


def _read_windows(
    job: VideoJob, *, spec: IndexSpec, pipeline: PixelPipeline, batch_size: int, limit_s: float
) -> Generator[FrameBatch, None, Cut]:
    """The work of `read_video`."""
    duration_us, done_before = job.survey.duration_us, 0.0
    if spec.unit == "shots":
        spans_us = yield from _find_shots(job, limit_s=limit_s)
        done_before = _SHARE_OF_SHOTS
    else:
        spans_us = window_spans_us(duration_us, **_lengths_us(spec))
    times_us_NT = frame_times_us(spans_us, frames=spec.frames)
    middles_us = times_us_NT[:, spec.frames // 2].tolist()
    wanted_middles = set(middles_us)
    number_of: dict[int, int] = {}
    thumbnail_of: dict[int, bytes] = {}
    batch: list[UInt8[np.ndarray, "S S 3"]] = []
    last = 0
    times_s = [time_us / 1e6 for time_us in np.unique(times_us_NT).tolist()]
    with closing(stream_frames(job.file.path, times_s, deadline_s=limit_s)) as shown_frames:
        for shown in shown_frames:
            if shown.number == 0:
                batch.clear()
            last = shown.number
            batch.append(shown.pixels(pipeline))
            number_of.update(dict.fromkeys(shown.times_us, shown.number))
            if middles := wanted_middles.intersection(shown.times_us):
                jpeg = _encode_thumbnail(shown.thumbnail(_THUMBNAIL_PX))
                thumbnail_of.update(dict.fromkeys(middles, jpeg))
            if len(batch) == batch_size:
                here = shown.times_us[-1] / duration_us
                yield _batched(batch, last=last, done=done_before + (1 - done_before) * here)
                batch.clear()
    if batch:
        yield _batched(batch, last=last, done=1.0)
    return Cut(
        spans_us=spans_us,
        frame_idx_NT=np.array([[number_of[one] for one in row] for row in times_us_NT.tolist()]),
        thumbnails=tuple(thumbnail_of[time_us] for time_us in middles_us),
    )


def _lengths_us(spec: IndexSpec) -> dict[str, int]:
    """Length and stride of windows; shots, too, are refused in a video of too many windows."""
    return {"window_us": to_time_us(spec.window_s), "stride_us": to_time_us(spec.stride_s)}


def _find_shots(
    job: VideoJob, *, limit_s: float
) -> Generator[FrameBatch, None, Int64[np.ndarray, "N 2"]]:
    """Start and end of shots; empty batches meanwhile say that it goes on."""
    looked = find_shots(job.file.path, duration_us=job.survey.duration_us, limit_s=limit_s)
    while True:
        try:
            done = next(looked)
        except StopIteration as end:
            return end.value
        no_frames = np.empty((0, 1, 1, 3), np.uint8)
        yield FrameBatch(first=0, done=_SHARE_OF_SHOTS * done, frames_NHWC=no_frames)


def _batched(frames: Sequence[UInt8[np.ndarray, "S S 3"]], *, last: int, done: float) -> FrameBatch:
    """A batch that ends with frame number `last`."""
    first = last + 1 - len(frames)
    return FrameBatch(first=first, done=done, frames_NHWC=np.stack(frames))


def _encode_thumbnail(rgb_HWC: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """As JPEG."""
    return simplejpeg.encode_jpeg(np.ascontiguousarray(rgb_HWC), quality=_THUMBNAIL_QUALITY)


def _has_changed(file: IndexedFile) -> bool:
    """Whether a file is no longer the one that was found."""
    try:
        status = os.stat(file.path)
    except OSError:
        return True
    return (status.st_size, status.st_mtime_ns) != (file.num_bytes, file.mtime_ns)
