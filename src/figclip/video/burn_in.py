"""A video copied with the sentences of its events burnt in.

The picture is H.264 in MP4. It is drawn on in the encoder's own planes (luma and half-size chroma),
so that what captions do not cover never becomes RGB, and all colours keep the source's meaning.

The sound of a video file, carried over into an MP4 that is being written.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec import Codec
from av.codec.context import Flags
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream
from jaxtyping import Float32, UInt8

from figclip.datasets.dense_captions import CaptionedSpan
from figclip.errors import DataError, VideoError
from figclip.runtime.files import fsync
from figclip.video.container import (
    DEFAULT_DEADLINE_S,
    Deadline,
    PacketScan,
    bad_timestamps,
    open_video,
    packets_of,
    pixel_aspect,
    scan_packets,
    unreadable,
)
from figclip.video.decoding import damaged, orientation_of, timed_frames, to_time_us
from figclip.video.pixels import without_alpha
from figclip.video.subtitles import draw_letters, ordered_spans

# What players of MP4 play; the format has room for more.
_COPIED_CODECS = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"})


class SoundTrack:
    """The first audio stream of a file, muxed piece by piece beside pictures.

    Packets of AAC, AC-3, ALAC, E-AC-3, FLAC, MP3 and Opus are copied as they are. Any other codec
    is decoded and encoded as AAC, in mono or stereo, at the nearest rate that AAC has. A file
    without sound adds nothing.

    Args:
        source: A file just opened, of which nothing else is read.
        output: An MP4 into which nothing was muxed yet; the stream is added at once.
        path: Of the source, for errors.
        start_s: The source's time that is time 0 of the output.
        deadline: Checked between packets.

    Raises:
        VideoError: `unknown-codec`: sound that no decoder is there for.
    """

    def __init__(
        self,
        source: InputContainer,
        output: OutputContainer,
        *,
        path: str | Path,
        start_s: Fraction,
        deadline: Deadline,
    ) -> None:
        # cast: av's stubs leave the packet's type parameter open.
        self._output = cast(Any, output)
        self._path = path
        self._start_s = start_s
        self._packets: Iterator[Packet[AudioStream]] = iter(())
        if source.streams.audio:
            stream = source.streams.audio[0]
            self._packets = self._outgoing(stream, packets_of(source, stream, deadline))

    def mux_until(self, time_s: Fraction | None) -> None:
        """Mux packets up to the first that begins at a time of the output; None for all.

        Raises:
            VideoError: `damaged`, `encrypted`, `bad-timestamps`, `too-slow` or `unreadable`.
        """
        for packet in self._packets:
            self._output.mux(packet)
            begin_s = cast(int, packet.pts) * packet.time_base
            if time_s is not None and begin_s >= time_s:
                return

    def _outgoing(
        self, stream: AudioStream, packets: Iterator[Packet[AudioStream]]
    ) -> Iterator[Packet[AudioStream]]:
        """The stream's packets as they go into the output, to which a stream for them is added."""
        # cast: av's stub does not say that a stream of an unknown codec has no decoder.
        if cast(object, stream.codec_context) is None:
            raise VideoError(
                "unknown-codec: no decoder for the sound",
                where=str(self._path),
                fix="Re-encode the sound, for example to AAC, or take it out",
            )
        if stream.codec_context.codec.canonical_name in _COPIED_CODECS:
            copy = self._output.add_stream_from_template(stream)
            return self._on_output_clock(self._copied(packets, copy))
        rates = Codec("aac", "w").audio_rates or [stream.codec_context.rate]
        rate = min(rates, key=lambda rate: abs(rate - stream.codec_context.rate))
        layout = "mono" if stream.codec_context.channels == 1 else "stereo"
        encoder = self._output.add_stream("aac", rate=rate, layout=layout)
        return self._on_output_clock(self._encoded(packets, stream, encoder))

    def _copied(
        self, packets: Iterator[Packet[AudioStream]], copy: AudioStream
    ) -> Iterator[Packet[AudioStream]]:
        """The packets as they are."""
        try:
            for packet in packets:
                if packet.has_sidedata("encryption_info"):
                    raise VideoError(
                        "encrypted: the sound's packets are encrypted",
                        where=str(self._path),
                        fix="Decrypt the file first",
                    )
                packet.stream = copy
                yield packet
        except FFmpegError as error:
            raise unreadable(self._path, error) from error

    def _encoded(
        self, packets: Iterator[Packet[AudioStream]], stream: AudioStream, encoder: AudioStream
    ) -> Iterator[Packet[AudioStream]]:
        """The sound in AAC."""
        context = encoder.codec_context
        resampler = AudioResampler(format="fltp", layout=context.layout, rate=context.rate)
        try:
            for frame in _decoded(packets, stream):
                for piece in resampler.resample(frame):
                    yield from cast(Any, encoder).encode(piece)
            yield from cast(Any, encoder).encode(None)
        # ValueError: av's, of sound that changes its format midway.
        except (FFmpegError, ValueError) as error:
            if isinstance(error, VideoError):
                raise
            raise VideoError(
                f"damaged: the sound cannot be decoded ({error})",
                where=str(self._path),
                fix="Re-encode the sound, for example to AAC, or take it out",
            ) from error

    def _on_output_clock(
        self, packets: Iterator[Packet[AudioStream]]
    ) -> Iterator[Packet[AudioStream]]:
        """The packets with the output's times."""
        for packet in packets:
            if packet.pts is None or packet.dts is None:
                raise bad_timestamps(self._path, "a packet of the sound has no timestamp")
            shift = round(self._start_s / packet.time_base)
            packet.pts -= shift
            packet.dts -= shift
            yield packet


def _decoded(
    packets: Iterator[Packet[AudioStream]], stream: AudioStream
) -> Iterator[AudioFrame | None]:
    """All frames of the sound, then None."""
    for packet in packets:
        yield from cast(Any, stream).decode(packet)
    yield from cast(Any, stream).decode(None)
    yield None


# Level 6.2, the highest: more is no H.264 that a player need play, and takes gigabytes to encode.
_MAX_BLOCKS = 139_264
_BLOCK_PX = 16
_MIN_PIXELS_A_SECOND = 500_000
"""What the slowest machine still decodes, draws and encodes; one core does 35 times that (2026)."""

_MICROSECOND = Fraction(1, 1_000_000)
# One thread: the file must not depend on the machine's number of cores. No B-frames: then packets
# come in the order of display, and each frame's time and duration are written as they are.
_X264_OPTIONS = {"crf": "18", "preset": "veryfast", "threads": "1", "bf": "0"}
_SCALING = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_BLACK, _WHITE, _GREY = 16, 235, 128
"""Luma of black and white, and the chroma of both, in video's limited range."""
_BAND_OPACITY = 0.6


def write_captioned_video(
    source: Path,
    out: Path,
    events: Sequence[CaptionedSpan],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a video again with each event's sentence at the bottom while the event lasts.

    A frame shows the events with start <= its time < end, compared in microseconds from the first
    displayed frame, in white on a dark band (`draw_letters`). Every frame keeps its time, except
    that the first is at 0; of frames with the same time only the last, the one that players show,
    is kept. Rotation is applied; pixel aspect is kept. A side that is odd grows by one line, which
    repeats the last. Transparency becomes white. A picture that changes its size midway is scaled
    to its first. Colours are 8 bit. The first audio stream is kept (`SoundTrack`); subtitles,
    chapters, other streams and titles are not.

    Args:
        source: A video file.
        out: The file, an MP4 by any name, in a folder that exists. It is written aside and renamed,
            so that a file of this name is always whole; nothing stays behind after an interruption.
        events: In any order; they may overlap.
        on_progress: Told after each frame how many are done, of how many.

    Raises:
        DataError: `out` is the source; or see `ordered_spans`.
        VideoError: A part of the source cannot be decoded, for the reasons that
            `figclip.video.decoding` lists; or `not-encodable`: MP4 cannot hold it, for example two
            frames days apart.
        OSError: The file cannot be written.
    """
    spans = ordered_spans(events)
    if out.exists() and source.exists() and out.samefile(source):
        raise DataError(
            "is the video that is to be captioned", where=str(out), fix="Name another file"
        )
    scan = scan_packets(source, deadline=Deadline(path=source, budget_s=DEFAULT_DEADLINE_S))
    aside = out.with_name(f".{out.name}.{os.getpid()}.writing")
    try:
        _write(aside, source, scan, spans, on_progress or _no_progress)
        fsync(aside)
        aside.replace(out)
        fsync(out.parent)
    except FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise VideoError(
            f"not-encodable: {error.strerror}",
            where=str(source),
            fix="Re-encode the video, for example to H.264 and AAC in MP4",
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def _no_progress(num_done: int, num_frames: int) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """The picture of the output.

    Attributes:
        width: Upright, in pixels; may be odd.
        height: Upright, in pixels; may be odd.
        pixel_aspect: Width over height of an upright pixel.
    """

    width: int
    height: int
    pixel_aspect: Fraction

    @property
    def even_width(self) -> int:
        """Width as it is encoded."""
        return self.width + self.width % 2

    @property
    def even_height(self) -> int:
        """Height as it is encoded."""
        return self.height + self.height % 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A decoded frame with the time that it is on display, from the first displayed frame."""

    frame: VideoFrame
    start_us: int
    end_us: int


def _write(
    aside: Path,
    source: Path,
    scan: PacketScan,
    spans: Sequence[CaptionedSpan],
    on_progress: Callable[[int, int], None],
) -> None:
    """The file itself."""
    num_frames = len(scan.stamps)
    encoding_s = num_frames * scan.width_px * scan.height_px / _MIN_PIXELS_A_SECOND
    deadline = Deadline(path=source, budget_s=DEFAULT_DEADLINE_S + encoding_s)
    with (
        open_video(source) as (container, stream),
        open_video(source) as (sound_container, _),
        av.open(
            "file:" + os.fspath(aside), "w", format="mp4", options={"movflags": "faststart"}
        ) as output,
    ):
        frames = _shown_frames(container, stream, path=source, scan=scan, deadline=deadline)
        first = next(frames)
        picture = _picture_of(first.frame, pixel_aspect(stream), path=source)
        # No finer than times are compared, or long gaps would not fit the format's 32 bits.
        time_base = max(scan.time_base, _MICROSECOND)
        encoder = _add_encoder(output, stream, first.frame, picture, time_base=time_base)
        sound = SoundTrack(
            sound_container,
            output,
            path=source,
            start_s=_stamp(first.frame, scan) * scan.time_base,
            deadline=deadline,
        )
        captions = _Captions(spans, picture)
        # cast: av's stubs leave the packet's type parameter open.
        mux, encode = cast(Any, output).mux, cast(Any, encoder).encode
        for num_done, shown in enumerate(chain([first], frames), start=1):
            frame = _upright(shown.frame, picture)
            captions.draw_on(frame, time_us=shown.start_us)
            _set_time(frame, shown, time_base=time_base)
            mux(encode(frame))
            sound.mux_until(shown.end_us * _MICROSECOND)
            on_progress(num_done, num_frames)
        mux(encode(None))
        sound.mux_until(None)


def _shown_frames(
    container: InputContainer,
    stream: VideoStream,
    *,
    path: Path,
    scan: PacketScan,
    deadline: Deadline,
) -> Iterator[_Shown]:
    """Every frame that is on display for some time, in order; at least one."""
    pending = [0]
    held: VideoFrame | None = None
    held_us = 0
    for frame, frame_us in timed_frames(
        container, stream, path=path, scan=scan, deadline=deadline, pending=pending
    ):
        if frame.is_corrupt:
            raise damaged(path, time_us=frame_us, end_us=frame_us)
        if held is not None and frame_us > held_us:
            yield _Shown(frame=held, start_us=held_us, end_us=frame_us)
        held, held_us = frame, frame_us
        pending[0] = frame_us
    if held is None or _is_short(held, held_us, scan):
        # Decoders leave out what they cannot decode, some without a word.
        raise damaged(path, time_us=held_us, end_us=held_us)
    duration = held.duration if held.duration > 0 else scan.gap
    end_us = held_us + scan.to_us(Fraction(duration), first=0)
    yield _Shown(frame=held, start_us=held_us, end_us=end_us)


def _stamp(frame: VideoFrame, scan: PacketScan) -> int:
    """Timestamp of the first frame on the source's own clock."""
    # cast: timed_frames refuses a frame without timestamp.
    return scan.stamps[0] if scan.by_index else cast(int, frame.pts)


def _is_short(last: VideoFrame, last_us: int, scan: PacketScan) -> bool:
    """True where packets promise more than one frame after the last that was decoded."""
    if not scan.by_index:
        # Packets before the first frame that decodes may have been left out too.
        last_us = scan.to_us(cast(int, last.pts), first=scan.stamps[0])
    return scan.to_us(scan.stamps[-1] - scan.gap, first=scan.stamps[0]) > last_us


def _picture_of(frame: VideoFrame, aspect: Fraction, *, path: Path) -> _Picture:
    """The picture that the first frame asks for."""
    width, height = frame.width, frame.height
    if orientation_of(frame).transpose:
        width, height, aspect = height, width, 1 / aspect
    if -(-width // _BLOCK_PX) * -(-height // _BLOCK_PX) > _MAX_BLOCKS:
        raise VideoError(
            f"too-large: a picture of {width}x{height} px, more than H.264 holds (35 megapixels)",
            where=str(path),
            fix="Scale the video down first",
        )
    return _Picture(width=width, height=height, pixel_aspect=aspect)


def _add_encoder(
    output: OutputContainer,
    source: VideoStream,
    first: VideoFrame,
    picture: _Picture,
    *,
    time_base: Fraction,
) -> VideoStream:
    """The output's picture stream, whose colours mean what the source's mean."""
    # cast: av's stub leaves the types of further settings open.
    encoder = cast(VideoStream, cast(Any, output).add_stream("libx264", options=_X264_OPTIONS))
    encoder.width, encoder.height = picture.even_width, picture.even_height
    encoder.pix_fmt = "yuv420p"
    context = encoder.codec_context
    context.time_base = time_base
    context.flags |= Flags.frame_duration
    context.sample_aspect_ratio = picture.pixel_aspect
    context.color_range = ColorRange.MPEG
    context.colorspace = _upright(first, picture).colorspace
    context.color_primaries = source.codec_context.color_primaries
    context.color_trc = source.codec_context.color_trc
    return encoder


def _upright(frame: VideoFrame, picture: _Picture) -> VideoFrame:
    """The frame as it is encoded, in memory of its own."""
    orientation = orientation_of(frame)
    width, height = picture.width, picture.height
    if orientation.transpose:
        width, height = height, width
    frame = without_alpha(frame)
    is_rgb = frame.format.is_rgb or frame.format.has_palette
    # Luma and chroma stay by the source's matrix; RGB, which has none, gets the usual one.
    yuv = frame.reformat(
        width=width,
        height=height,
        format="yuv420p",
        dst_colorspace=Colorspace.ITU601 if is_rgb else None,
        dst_color_range=ColorRange.MPEG,
        interpolation=_SCALING,
        threads=1,
    )
    upright = VideoFrame(picture.even_width, picture.even_height, "yuv420p")
    upright.colorspace = yuv.colorspace
    for plane_idx in range(len(upright.planes)):
        turned = orientation.apply(_plane_HW(yuv, plane_idx)[..., None])[..., 0]
        target = _plane_HW(upright, plane_idx)
        num_rows, num_columns = turned.shape
        target[:num_rows, :num_columns] = turned
        target[num_rows:] = target[num_rows - 1]
        target[:, num_columns:] = target[:, num_columns - 1 : num_columns]
    return upright


def _plane_HW(frame: VideoFrame, plane_idx: int) -> UInt8[np.ndarray, "H W"]:
    """One plane of the frame, as a view."""
    plane = frame.planes[plane_idx]
    # cast: av's stub does not say that a plane is a buffer.
    rows = np.frombuffer(cast(bytearray, plane), np.uint8).reshape(
        plane.height, abs(plane.line_size)
    )
    # A negative line size: the rows lie upside down in memory.
    return rows[:: -1 if plane.line_size < 0 else 1, : plane.width]


def _set_time(frame: VideoFrame, shown: _Shown, *, time_base: Fraction) -> None:
    """Exactly the source's stamps where the time base is the source's."""
    start, end = (round(us * _MICROSECOND / time_base) for us in (shown.start_us, shown.end_us))
    frame.pts, frame.duration, frame.time_base = start, end - start, time_base


class _Captions:
    """Draws on each frame, in order, what is said while it is shown.

    Letters are laid out once for all the frames that say the same.
    """

    def __init__(self, spans: Sequence[CaptionedSpan], picture: _Picture) -> None:
        self._upcoming = deque(spans)
        self._picture = picture
        self._held: list[CaptionedSpan] = []
        self._bands: tuple[_Band, ...] = ()

    def draw_on(self, frame: VideoFrame, *, time_us: int) -> None:
        """Changes the frame's lower half, if an event holds at the time."""
        held = list(self._held)
        while self._upcoming and to_time_us(self._upcoming[0].start_s) <= time_us:
            held.append(self._upcoming.popleft())
        held = [span for span in held if to_time_us(span.end_s) > time_us]
        if held != self._held:
            self._held = held
            self._bands = _bands([span.sentence for span in held], self._picture)
        for plane_idx, band in enumerate(self._bands):
            plane_HW = _plane_HW(frame, plane_idx)
            rows_HW = plane_HW[plane_HW.shape[0] - band.kept_HW.shape[0] :]
            rows_HW[:] = rows_HW * band.kept_HW + band.added_HW


@dataclass(frozen=True, slots=True, kw_only=True)
class _Band:
    """What a plane's lowest rows become: value * kept + added, rounded down."""

    kept_HW: Float32[np.ndarray, "H W"]
    added_HW: Float32[np.ndarray, "H W"]


def _bands(sentences: Sequence[str], picture: _Picture) -> tuple[_Band, ...]:
    """Letters on their dark band, for luma and twice for chroma; none where nothing is said."""
    letters_HW = draw_letters(
        sentences,
        width=picture.even_width,
        height=picture.even_height,
        pixel_aspect=float(picture.pixel_aspect),
    )
    if letters_HW is None:
        return ()
    letters_HW = letters_HW.astype(np.float32) / 255
    kept_HW = (1 - _BAND_OPACITY) * (1 - letters_HW)
    added_HW = _WHITE * letters_HW + _BLACK * _BAND_OPACITY * (1 - letters_HW)
    height, width = kept_HW.shape
    chroma_HW = kept_HW.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    chroma = _Band(kept_HW=chroma_HW, added_HW=_GREY * (1 - chroma_HW) + 0.5)
    return _Band(kept_HW=kept_HW, added_HW=added_HW + 0.5), chroma, chroma
