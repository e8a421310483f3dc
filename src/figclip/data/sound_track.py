"""The sound of a video file, carried over into an MP4 that is being written."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec import Codec
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet

from figclip.data.video_file import Deadline, bad_timestamps, packets_of, unreadable
from figclip.errors import VideoError

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
