"""Cut moments out of videos, without encoding them again where that can be.

A copy begins at the key frame before the moment, as no other frame can be shown by itself. It must
decode over the whole moment: key frames are not always what their flags say. Where it does not, and
of other files than MP4, MOV and Matroska, the moment is encoded again: H.264 in MP4, without sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.error import FFmpegError
from jaxtyping import UInt8

from figclip.errors import VideoError
from figclip.runtime.files import staged_file, write_atomically
from figclip.video.container import (
    DEFAULT_DEADLINE_S,
    Deadline,
    PacketScan,
    open_video,
    scan_packets,
    write_h264,
)
from figclip.video.decoding import decode_frames, stream_frames
from figclip.video.pixels import PixelPipeline

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
_CLOCK_S = 0.002
"""Matroska's times are whole milliseconds: a copy may end this much early."""

_SOUND_LAG_S = 5
"""How far behind the pictures of the same moment its sound may come in the file."""

_MAX_SIDE_PX = 1920
_MAX_FPS = 60
_MAX_NAME_CHARS = 50  # up to 200 bytes, of the 255 that a name may have


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A file with a moment, and whether it is a copy.

    `lead_s` is how long before the moment it begins, in seconds.
    """

    path: Path
    is_copy: bool
    lead_s: float


def clip_name(rank: int, source: Path) -> str:
    """`003-party` for the third hit, which is in `party.mp4`."""
    return f"{rank:03d}-{source.stem[:_MAX_NAME_CHARS]}"


def cut_clip(source: Path, *, start_s: float, end_s: float, to: Path) -> Clip:
    """Write a moment of a video to a file, whole or not at all.

    Args:
        source: The video.
        start_s: Where the moment begins, in seconds from the first displayed frame.
        end_s: Where it ends.
        to: The file to write, without a suffix: `.mp4` or `.mkv` is added.

    Raises:
        VideoError: the video cannot be read at this moment.
        OutputError: the clip cannot be written.
    """
    scan = scan_packets(source, deadline=Deadline(path=source, budget_s=DEFAULT_DEADLINE_S))
    with open_video(source) as (container, _):
        family = container.format.name.split(",")[0]
    if family in ("mov", "matroska") and not scan.by_index:
        is_mov = source.suffix.lower() == ".mov"
        suffix = ".mkv" if family == "matroska" else ".mov" if is_mov else ".mp4"
        path = to.with_name(to.name + suffix)
        lead_s = _copy(source, path, scan=scan, start_s=start_s, end_s=end_s)
        if lead_s is not None:
            return Clip(path=path, is_copy=True, lead_s=lead_s)
    path = to.with_name(to.name + ".mp4")
    write_atomically(path, encode_moment(source, start_s=start_s, end_s=end_s))
    return Clip(path=path, is_copy=False, lead_s=0.0)


def _copy(
    source: Path, path: Path, *, scan: PacketScan, start_s: float, end_s: float
) -> float | None:
    """Write packets as they are; by how much they begin earlier, or None where that fails."""
    content = BytesIO()
    try:
        lead_s = _write_packets(
            source, content, format=_FORMATS[path.suffix], scan=scan, start_s=start_s, end_s=end_s
        )
    except (FFmpegError, ValueError):
        return None  # the container that is written takes less than the one that is read
    try:
        with staged_file(path) as aside:
            aside.write_bytes(content.getvalue())
            last_s = lead_s + end_s - start_s - _CLOCK_S
            decode_frames(aside, [lead_s, last_s], pipeline=PixelPipeline(size=8))
    except VideoError:
        return None
    return lead_s


def _write_packets(
    source: Path,
    content: BytesIO,
    *,
    format: str,
    scan: PacketScan,
    start_s: float,
    end_s: float,
) -> float:
    """Write what is shown from the key frame before the moment on; by how much it is earlier."""
    with (
        open_video(source) as (container, stream),
        cast(Any, av.open(content, "w", format=format)) as written,
    ):
        start, end = (scan.stamps[0] * scan.time_base + Fraction(one) for one in (start_s, end_s))
        container.seek(int(start / scan.time_base), stream=stream, backward=True)
        streams = [stream, *container.streams.audio]
        outputs = {one.index: written.add_stream_from_template(one) for one in streams}
        origin = None
        unfinished = set(outputs)
        for packet in container.demux(*streams):
            if not packet.size or packet.pts is None:
                continue
            index = packet.stream.index
            if origin is None and index == stream.index and packet.is_keyframe:
                origin = packet.pts * packet.time_base
            if origin is None or packet.pts * packet.time_base < origin:
                continue  # before the key frame, or shown before it and made of what came earlier
            decoded = (packet.pts if packet.dts is None else packet.dts) * packet.time_base
            if decoded >= end:
                unfinished.discard(index)
                if stream.index not in unfinished and (
                    not unfinished or decoded >= end + _SOUND_LAG_S
                ):
                    break
                continue
            shift = int(origin / packet.time_base)
            packet.pts -= shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            packet.stream = outputs[index]
            written.mux(packet)
        if origin is None or origin > start:
            raise ValueError("no key frame before the moment")
        return float(start - origin)


def encode_moment(
    source: Path,
    *,
    start_s: float,
    end_s: float,
    side_px: int = _MAX_SIDE_PX,
    fps: int = _MAX_FPS,
) -> bytes:
    """A moment as H.264 in MP4, at a constant rate, of even size and without sound.

    Args:
        source: The video.
        start_s: Where the moment begins, in seconds from the first displayed frame.
        end_s: Where it ends.
        side_px: Longest side; smaller videos stay as they are.
        fps: Most frames a second.

    Raises:
        VideoError: the video cannot be read at this moment.
    """
    with open_video(source) as (_, stream):
        fps = min(fps, max(1, round(stream.average_rate or 25)))
        side_px = min(side_px, max(stream.width, stream.height))
    times_s = [start_s + number / fps for number in range(max(1, int((end_s - start_s) * fps)))]
    content = BytesIO()
    write_h264(content, _pictures(source, times_s, side_px=side_px), fps=fps, crf="18")
    return content.getvalue()


def _pictures(
    source: Path, times_s: Sequence[float], *, side_px: int
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """A picture for each time; the last line of an odd edge is left out, as H.264 has no such."""
    for shown in stream_frames(source, times_s):
        picture_HWC = shown.thumbnail(side_px)
        height, width = (edge // 2 * 2 for edge in picture_HWC.shape[:2])
        for _ in shown.times_us:
            yield picture_HWC[:height, :width]
