"""Picture files: parts of them, and every way in which they can be no picture."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from figclip.datasets.records import Box
from figclip.errors import VideoError
from figclip.video.images import read_image


def picture(height: int = 30, width: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG whose header promises so many pixels and whose data is one byte."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def png_that_claims_a_chunk(num_bytes: int) -> bytes:
    """A PNG whose pixels are said to be so many bytes."""
    content = encoded("PNG")
    start = content.index(b"IDAT")
    return content[: start - 4] + struct.pack(">I", num_bytes) + content[start:]


def tiff_of_samples(number: int) -> bytes:
    """A TIFF whose pixels are said to have so many channels."""
    tag = struct.pack("<HHIH", 277, 3, 1, 3)
    assert tag in (content := encoded("TIFF"))
    return content.replace(tag, struct.pack("<HHIH", 277, 3, 1, number))


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture()).save(file, kind)
    return file.getvalue()


def test_a_whole_picture_and_a_part_of_it(tmp_path: Path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), picture())
    part = read_image(tmp_path / "a.png", box=Box(left=5, top=7, width=20, height=10))
    assert np.array_equal(part, picture()[7:17, 5:25])


@pytest.mark.parametrize("kind", ["uint16", "int32", "float32"])
def test_more_than_8_bits_are_refused_not_cut_off(tmp_path: Path, kind: str):
    """Pillow makes a 16-bit ramp white but for its darkest 256th."""
    ramp = np.linspace(0, 1 if kind == "float32" else 65535, 1200).reshape(30, 40)
    Image.fromarray(ramp.astype(kind)).save(tmp_path / "deep.tif")
    with pytest.raises(VideoError, match="too-deep: "):
        read_image(tmp_path / "deep.tif")


def test_what_of_a_box_is_outside_is_black(tmp_path: Path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    part = np.asarray(read_image(tmp_path / "a.png", box=Box(left=-2, top=28, width=5, height=4)))
    expected = np.zeros((4, 5, 3), np.uint8)
    expected[:2, 2:] = picture()[28:, :3]
    assert np.array_equal(part, expected)


@pytest.mark.parametrize(
    "box",
    [(40, 0, 5, 5), (0, 30, 5, 5), (-5, 0, 5, 5), (0, -9, 5, 5), (3, 3, 0, 5), (3, 3, 5, -1)],
)
def test_a_box_without_any_of_the_picture_is_refused(tmp_path: Path, box: tuple[int, ...]):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    left, top, width, height = box
    with pytest.raises(VideoError, match="bad-box: nothing of the picture of 40x30 px"):
        read_image(tmp_path / "a.png", box=Box(left=left, top=top, width=width, height=height))


def test_exif_orientation_is_not_applied(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture()).save(tmp_path / "a.png", exif=exif)
    assert read_image(tmp_path / "a.png").size == (40, 30)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP"])
def test_of_an_animation_the_first_picture_is_read(tmp_path: Path, kind: str):
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a", kind, save_all=True, append_images=[second])
    assert read_image(tmp_path / "a").convert("RGB").getpixel((4, 4))[0] > 200  # type: ignore[index]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"text", "not-an-image"),
        (b"\x89PNG\r\n\x1a\n", "not-an-image"),
        (encoded("JPEG")[:200], "damaged"),
        (encoded("JPEG")[:-300], "damaged"),
        (encoded("PNG")[:-300], "damaged"),
        (png_that_claims(8, 8), "damaged"),
        (png_that_claims(10_000, 9_500), "damaged"),  # Pillow's warning is not ours
        (png_that_claims(10_001, 10_000), "too-large"),
        (png_that_claims(100_000, 100_000), "too-large"),
        (tiff_of_samples(866), "not-an-image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not-an-image"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, content: bytes, reason: str):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(VideoError) as caught:
        read_image(tmp_path / "a.jpg")
    assert caught.value.what.startswith(f"{reason}: ")
    assert caught.value.where == str(tmp_path / "a.jpg")


def test_what_a_chunk_claims_takes_no_memory(tmp_path: Path):
    """The picture itself is whole."""
    (tmp_path / "a.png").write_bytes(png_that_claims_a_chunk(2**31))
    tracemalloc.start()
    try:
        assert np.array_equal(read_image(tmp_path / "a.png"), picture())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**24


def test_pillow_logs_nothing_beside_the_error(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """What is logged without a handler is printed."""
    (tmp_path / "a.tif").write_bytes(tiff_of_samples(866))
    with pytest.raises(VideoError, match="not-an-image"):
        read_image(tmp_path / "a.tif")
    assert caplog.records == []


def test_other_things_than_files_are_refused(tmp_path: Path):
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("folder.jpg", "pipe.jpg"):
        with pytest.raises(VideoError, match="not-a-file"):
            read_image(tmp_path / name)
    with pytest.raises(VideoError, match="missing"):
        read_image(tmp_path / "none.jpg")


def test_a_box_of_a_billion_pixels_is_refused(tmp_path: Path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    with pytest.raises(VideoError, match="too-large"):
        read_image(tmp_path / "a.png", box=Box(left=0, top=0, width=50_000, height=50_000))


@settings(deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM", "WEBP"]),
    cut=st.integers(0, 4000),
    place=st.integers(0, 4000),
    patch=st.binary(max_size=12),
)
def test_damage_gives_a_picture_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, kind: str, cut: int, place: int, patch: bytes
):
    content = bytearray(encoded(kind))
    content[place : place + len(patch)] = patch
    path = tmp_path_factory.getbasetemp() / "damaged_picture"
    path.write_bytes(bytes(content[: max(1, len(content) - cut)]))
    try:
        assert read_image(path).size > (0, 0)
    except VideoError as error:
        assert error.what.partition(":")[0] in {"not-an-image", "damaged", "too-large"}
