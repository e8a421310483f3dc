"""Captions burnt into labelled and odd real files: a file that plays, or a named refusal."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from figclip.datasets.dense_captions import CaptionedSpan
from figclip.errors import VideoError
from figclip.video.burn_in import write_captioned_video
from figclip.video.container import probe_video
from figclip.video.decoding import decode_frames
from figclip.video.pixels import PixelPipeline
from tests.real.test_real_videos import REFUSED, VIDEOS, decode_everything, listed_files

pytestmark = pytest.mark.real

# Part of the file decodes, which is enough for frames at chosen times but not for all of it.
DAMAGED_IN_PART = {"cut_at_first_packet.mp4"}
EVENT = CaptionedSpan(start_s=0.0, end_s=0.4, sentence="A man in a green jacket pushes a dog")


def test_all_refusals_are_listed() -> None:
    assert VIDEOS.is_dir()
    assert {Path(name).name for name, _ in listed_files()} >= {*REFUSED, *DAMAGED_IN_PART}


@pytest.mark.parametrize(("name", "expected"), listed_files())
def test_file(tmp_path: Path, name: str, expected: str) -> None:
    source, out = VIDEOS / name, tmp_path / "out.mp4"
    refusal = "damaged" if source.name in DAMAGED_IN_PART else REFUSED.get(source.name)
    if refusal is not None:
        with pytest.raises(VideoError) as caught:
            write_captioned_video(source, out, [EVENT])
        assert caught.value.what.split(":")[0] == refusal
        assert list(tmp_path.iterdir()) == []
        return
    write_captioned_video(source, out, [EVENT])
    assert list(tmp_path.iterdir()) == [out]
    check_times(source, out)
    check_sound(source, out)


def check_times(source: Path, out: Path) -> None:
    """Every frame of the source that is shown for some time is there, at its microsecond."""
    shown_us = sorted(set(decode_everything(source).times_us))
    assert sorted(decode_everything(out).times_us) == shown_us
    assert probe_video(out).duration_s == pytest.approx(probe_video(source).duration_s, abs=1e-5)
    # And the last picture, which is without captions, is the source's.
    last_s = shown_us[-1] / 1e6
    if last_s >= EVENT.end_s and not source.name.startswith("size_change"):
        before, after = (
            decode_frames(path, [last_s], pipeline=PixelPipeline()).frames_NHWC.astype(float)
            for path in (source, out)
        )
        assert np.abs(before - after).mean() < 6


def check_sound(source: Path, out: Path) -> None:
    """The first audio stream lasts as long as it did, but for two packets; none is made up."""
    lasts_s: list[Fraction] = []
    for path in (source, out):
        with av.open(str(path), metadata_errors="replace") as container:
            samples = (
                sum(frame.samples for frame in container.decode(audio=0))
                if (container.streams.audio)
                else 0
            )
            rate = container.streams.audio[0].codec_context.rate if samples else 1
            lasts_s.append(Fraction(samples, rate))
    assert abs(lasts_s[0] - lasts_s[1]) < Fraction(2 * 1024, 8000)
