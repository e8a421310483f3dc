"""What a decoding process does with an image or a whole video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import figclip.preparation.clips as decoding
from figclip.datasets.records import Box, MediumKind
from figclip.errors import VideoError
from figclip.preparation.clips import ClipJob, DecodedClip, clip_key, clip_times_us, decode_clip
from figclip.video.pixels import PixelPipeline, image_to_pixels
from figclip.video.sampling import Sampling
from figclip.video.store import StoreSpec
from tests.videos import draw_video, read_number, regular_stamps

SPEC = StoreSpec(size=32, codec="raw")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds at 10 frames a second, each frame with its number."""
    return draw_video(tmp_path_factory.mktemp("clip") / "clip.mp4", stamps=regular_stamps(30))


def decode(
    path: Path,
    kind: MediumKind,
    *,
    box: Box | None = None,
    sampling: Sampling = "seconds_12",
    limit_s: float = 60.0,
) -> DecodedClip | VideoError:
    job = ClipJob(key="k", kind=kind, path=path, box=box)
    return decode_clip(job, spec=SPEC, sampling=sampling, limit_s=limit_s)


@pytest.mark.parametrize(
    ("sampling", "times_us"),
    [
        ("seconds_12", (0, 1_000_000, 2_000_000)),
        ("half_seconds", tuple(range(249_999, 3_000_000, 500_000))),
    ],
)
def test_a_video_is_decoded_at_the_times_of_its_sampling(
    clip: Path, sampling: Sampling, times_us: tuple[int, ...]
):
    decoded = decode(clip, "video", sampling=sampling)
    assert isinstance(decoded, DecodedClip)
    assert decoded.times_us == times_us == clip_times_us("video", 3.0, sampling)
    assert decoded.duration_s == 3.0
    # Cropped and shrunk to 32 px, a number's blocks are 8 px wide.
    numbers = [time_us // 100_000 for time_us in times_us]
    assert [read_number(frame) for frame in decoded.frames_NHWC] == numbers


def test_an_image_is_one_frame_at_time_0_and_each_part_a_clip(tmp_path: Path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))
    image.save(tmp_path / "a.png")
    box = Box(left=3, top=5, width=40, height=20)
    for part, expected in ((None, image), (box, image.crop((3, 5, 43, 25)))):
        decoded = decode(tmp_path / "a.png", "image", box=part)
        assert isinstance(decoded, DecodedClip)
        assert decoded.times_us == (0,) == clip_times_us("image", 0.0, "seconds_12")
        pixels = image_to_pixels(expected, pipeline=PixelPipeline(size=32))
        assert np.array_equal(decoded.frames_NHWC, pixels[np.newaxis])


def test_parts_have_keys_of_their_own():
    assert clip_key("abc", None) == "abc"
    assert clip_key("abc", Box(left=3, top=5, width=40, height=20)) == "abc#3,5,40,20"


def test_failures_are_returned(clip: Path, tmp_path: Path):
    (tmp_path / "text.mp4").write_bytes(b"text")
    kinds: list[tuple[Path, MediumKind, str]] = [
        (tmp_path / "none.mp4", "video", "missing"),
        (tmp_path / "text.mp4", "video", "unreadable"),
        (tmp_path / "text.mp4", "image", "not-an-image"),
        (tmp_path, "image", "not-a-file"),
        (clip, "image", "not-an-image"),
    ]
    for path, kind, reason in kinds:
        result = decode(path, kind)
        assert isinstance(result, VideoError)
        assert result.what.startswith(f"{reason}: ")


def test_running_out_of_memory_is_returned(clip: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(decoding, "decode_frames", fail)
    result = decode(clip, "video")
    assert isinstance(result, VideoError)
    assert result.what.startswith("too-large: ")
