"""A video file as packets: opening it safely, one pass over its packets, its length and its hash.

Nothing is decoded here; `write_h264` encodes. The reasons that errors start with are listed in
`figclip.video.decoding`.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, cast

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream
from jaxtyping import UInt8

from figclip.errors import VideoError
from figclip.video.pixels import MAX_PIXELS, too_large

DEFAULT_DEADLINE_S = 120.0
STILL_DURATION_S = Fraction(1, 25)
"""How long a lone frame is shown when its file says neither a duration nor a rate."""

# Containers that only point at other files: a download must not make us read them.
_PLAYLIST_FORMATS = {"hls", "concat", "dash", "image2", "imf", "sdp", "rtsp"}
_HASH_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketScan:
    """What one pass over the packets tells; stamps are in units of time_base.

    Attributes:
        stamps: Timestamps of the frames in display order.
        by_index: The n-th frame put out is shown at stamps[n], whatever timestamp it carries.
        gap: Median distance of two stamps, for frames that state no duration.
        end_us: End of the last frame.
        can_skip: `_decode_skipping` is safe.
    """

    stamps: tuple[int, ...]
    time_base: Fraction
    by_index: bool
    gap: Fraction
    end_us: int
    can_skip: bool

    def to_us(self, stamp: int | Fraction, *, first: int) -> int:
        """Microseconds from the first displayed frame, rounded."""
        return round((stamp - first) * self.time_base * 1_000_000)


def video_duration_s(path: str | Path, *, deadline_s: float = DEFAULT_DEADLINE_S) -> float:
    """End of the last frame, from the first displayed one: one pass over the packets.

    Nothing is decoded: a file can pass here and still be `damaged` for `decode_frames`. The
    header's own claim is not used, as it is wrong for files cut short.

    Raises:
        VideoError: See `figclip.video.decoding`.
    """
    return scan_packets(path, deadline=Deadline(path=path, budget_s=deadline_s)).end_us / 1e6


def hash_video(path: str | Path) -> str:
    """SHA-256 of the file's bytes, in hex: the video's name in stores and caches.

    Raises:
        VideoError: `missing`, `not-a-file`, `empty` or `unreadable`.
    """
    checked = checked_file(path)
    digest = hashlib.sha256()
    try:
        with checked.open("rb") as file:
            while chunk := file.read(_HASH_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise unreadable(path, error) from error
    return digest.hexdigest()


def scan_packets(path: str | Path, *, deadline: Deadline) -> PacketScan:
    """Read all packets of the video stream once, decoding none.

    Raises:
        VideoError: The file cannot be opened, is encrypted, has no packets or lacks timestamps.
    """
    try:
        with open_video(path) as (container, stream):
            shown = _read_packets(container, stream, path=path, deadline=deadline)
            if not shown.stamps or stream.time_base is None:
                raise VideoError(
                    "no-frames: the video stream has no packets to display",
                    where=str(path),
                    fix="The file is damaged or a stub: get it again",
                )
            return _summarise(shown, container, stream, time_base=stream.time_base)
    except FFmpegError as error:
        raise unreadable(path, error) from error


@dataclass(slots=True)
class _Packets:
    """What is kept of the packets that are to be displayed, in file order.

    Durations are by presentation timestamp, 0 when not stated. In a regular stream no packet is
    hidden by an edit list, cut off, or changes the decoder's settings.
    """

    stamps: list[int] = field(default_factory=list[int])
    decode_stamps: list[int] = field(default_factory=list[int])
    durations: dict[int, int] = field(default_factory=dict[int, int])
    is_regular: bool = True


def _read_packets(
    container: InputContainer, stream: VideoStream, *, path: str | Path, deadline: Deadline
) -> _Packets:
    """Timestamps of all packets that are to be displayed."""
    found = _Packets()
    for packet in packets_of(container, stream, deadline):
        if packet.has_sidedata("encryption_info"):
            raise VideoError(
                "encrypted: the video's packets are encrypted",
                where=str(path),
                fix="Decrypt the file first",
            )
        found.is_regular &= not (
            packet.is_discard or packet.is_corrupt or packet.has_sidedata("new_extradata")
        )
        if packet.is_discard:
            continue
        if packet.pts is None:
            raise bad_timestamps(path, "a packet has no timestamp")
        found.stamps.append(packet.pts)
        found.decode_stamps.append(packet.pts if packet.dts is None else packet.dts)
        found.durations[packet.pts] = packet.duration or 0
    return found


def _summarise(
    found: _Packets, container: InputContainer, stream: VideoStream, *, time_base: Fraction
) -> PacketScan:
    """Display order, end, and what may be done with the stream."""
    context = stream.codec_context
    # AVI has no presentation timestamps: with B-frames (Xvid's packed ones above all) those that
    # FFmpeg makes up go backwards in the order of display. Frame n then gets the n-th packet's
    # place in the file, which keeps the gaps of dropped frames.
    by_index = container.format.name == "avi" and (
        context.has_b_frames or found.stamps != found.decode_stamps
    )
    stamps = sorted(found.decode_stamps if by_index else found.stamps)
    gap = _typical_gap(stamps, stream, time_base=time_base)
    last = Fraction(found.durations.get(stamps[-1], 0) or gap)
    num_streams = sum(not _is_cover(other) for other in container.streams.video)
    return PacketScan(
        stamps=tuple(stamps),
        time_base=time_base,
        by_index=by_index,
        gap=gap,
        end_us=round((stamps[-1] - stamps[0] + last) * time_base * 1_000_000),
        can_skip=found.is_regular
        and context.name == "h264"
        and container.format.name.split(",")[0] in ("mov", "matroska")
        and num_streams == 1
        and len(set(stamps)) == len(stamps),
    )


def _typical_gap(stamps: Sequence[int], stream: VideoStream, *, time_base: Fraction) -> Fraction:
    """Usual distance between frames in units of the time base."""
    gaps = [after - before for before, after in pairwise(stamps)]
    if gaps and median(gaps) > 0:
        return Fraction(median(gaps))
    return (1 / stream.average_rate if stream.average_rate else STILL_DURATION_S) / time_base


class Deadline:
    """A wall-clock budget for one file."""

    def __init__(self, *, path: str | Path, budget_s: float) -> None:
        self._path = path
        self._budget_s = budget_s
        self.renew()

    def renew(self) -> None:
        """Begin the budget anew."""
        self._end = time.monotonic() + self._budget_s

    def check(self) -> None:
        """Raise `too-slow` once the budget is spent."""
        if time.monotonic() > self._end:
            raise VideoError(
                f"too-slow: decoding took longer than {self._budget_s:g} s",
                where=str(self._path),
                fix="Cut the video shorter, scale it down, or allow more time",
            )


@contextmanager
def open_video(path: str | Path) -> Generator[tuple[InputContainer, VideoStream]]:
    """The container and its video stream, ready to decode with one thread."""
    checked = checked_file(path)
    try:
        # `file:` and the whitelist: a name such as `concat:a|b`, or a playlist in disguise, must
        # not reach the network.
        container = av.open(
            "file:" + os.fspath(checked),
            metadata_errors="replace",
            options={"protocol_whitelist": "file"},
        )
    except (FFmpegError, OSError, ValueError) as error:
        raise unreadable(path, error) from error
    with container:
        stream = _video_stream(container, path=path)
        if stream.width * stream.height > MAX_PIXELS:
            error = too_large(stream.height, stream.width)
            raise VideoError(error.what, where=str(path), fix=error.fix)
        # One thread: with more, frames of damaged files come out that one thread refuses, and the
        # work is spread over videos instead.
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        # Checked by the decoder before it allocates, also when the size changes midway.
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        yield container, stream


def _video_stream(container: InputContainer, *, path: str | Path) -> VideoStream:
    """The first video stream that is not a cover picture."""
    if set(container.format.name.split(",")) & _PLAYLIST_FORMATS:
        raise VideoError(
            f"unreadable: a playlist ({container.format.name}) that points at other files",
            where=str(path),
            fix="Give the video files themselves",
        )
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if streams:
        # cast: av's stub does not say that a stream of an unknown codec has no decoder.
        if cast(object, streams[0].codec_context) is None:
            raise VideoError(
                "unknown-codec: no decoder for the video stream",
                where=str(path),
                fix="Re-encode the video, for example to H.264 in MP4",
            )
        return streams[0]
    if container.streams.video:
        what = "cover-only: a cover picture is the only video"
    else:
        kinds = sorted({stream.type for stream in container.streams})
        what = f"no-video-stream: only {', '.join(kinds) or 'nothing'} inside"
    raise VideoError(what, where=str(path), fix="Give a file with moving pictures")


def _is_cover(stream: VideoStream) -> bool:
    """True for a picture attached to a sound file."""
    return bool(stream.disposition & Disposition.attached_pic)


def packets_of(
    container: InputContainer, stream: VideoStream, deadline: Deadline
) -> Iterator[Packet[VideoStream]]:
    """Non-empty packets of the stream; an empty one would tell the decoder that the file ends."""
    try:
        for packet in container.demux(stream):
            deadline.check()
            if packet.size:
                yield packet
    except IndexError as error:
        # av's demux does not know streams that were not there when the file was opened (MPEG-TS).
        raise VideoError(
            "unreadable: a stream begins in the middle of the file",
            where=container.name.removeprefix("file:"),
            fix="Remux the video, for example to MP4",
        ) from error


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Width over height of a coded pixel; 1 when not stated or nonsense (zero, negative)."""
    aspect = stream.sample_aspect_ratio
    return aspect if aspect is not None and aspect > 0 else Fraction(1)


def checked_file(path: str | Path) -> Path:
    """The path, when it is a file with content."""
    checked = Path(path)
    try:
        exists, is_file = checked.exists(), checked.is_file()
        num_bytes = checked.stat().st_size if is_file else 0
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if not exists:
        raise VideoError("missing: no such file", where=str(path), fix="Check the path")
    if not is_file:
        raise VideoError(
            "not-a-file: a folder or a special file", where=str(path), fix="Give a video file"
        )
    if not num_bytes:
        raise VideoError("empty: the file has 0 bytes", where=str(path), fix="Get it again")
    return checked


def bad_timestamps(path: str | Path, what: str) -> VideoError:
    """The error for timestamps that do not say when frames are shown."""
    return VideoError(
        f"bad-timestamps: {what}",
        where=str(path),
        fix="Remux or re-encode the video, for example to H.264 in MP4",
    )


def unreadable(path: str | Path, error: Exception) -> VideoError:
    """The error for a file that cannot be opened or is no video container."""
    reason = getattr(error, "strerror", None) or str(error)
    return VideoError(
        f"unreadable: {reason}", where=str(path), fix="The file is no video, or it is damaged"
    )


def write_h264(
    file: str | BytesIO, frames: Iterable[UInt8[np.ndarray, "H W 3"]], *, fps: int, **options: str
) -> None:
    """Write an MP4 (H.264, yuv420p) whose n-th frame is shown at n / fps seconds.

    The same frames give the same bytes on any number of cores. They are RGB, of one even size, at
    least one. `options` are x264's, such as `crf` and `preset`.
    """
    with cast(Any, av.open(file, mode="w", format="mp4")) as container:
        # One thread: the file must not depend on the machine's number of cores. No macroblock tree:
        # libx264's reads memory that was never written, and the file would differ by chance.
        fixed = {"threads": "1", "x264-params": "mbtree=0"}
        stream = container.add_stream("libx264", rate=fps, options={**options, **fixed})
        stream.pix_fmt = "yuv420p"
        for frame_idx, frame_HWC in enumerate(frames):
            if frame_idx == 0:
                stream.height, stream.width, _ = frame_HWC.shape
            frame = av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")
            frame.pts, frame.time_base = frame_idx, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
