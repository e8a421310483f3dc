from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from figclip.errors import ConfigError, VideoError
from figclip.video.pixels import (
    PIPELINE_NAMES,
    Orientation,
    PixelPipeline,
    frame_to_pixels,
    image_to_pixels,
    rgb_to_pixels,
)


def transformers_pixels(image: Image.Image | np.ndarray, size: int) -> np.ndarray:
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": size},
        crop_size={"height": size, "width": size},
        do_rescale=False,
        do_normalize=False,
    )
    (pixels_CHW,) = processor(image)["pixel_values"]
    assert pixels_CHW.dtype == np.uint8
    return pixels_CHW.transpose(1, 2, 0)


def noise(height: int, width: int, *, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@settings(deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    size=st.integers(1, 48),
    seed=st.integers(0, 99),
)
def test_pil_is_what_transformers_makes(height: int, width: int, size: int, seed: int) -> None:
    rgb_HWC = noise(height, width, seed=seed)
    pixels = image_to_pixels(Image.fromarray(rgb_HWC), pipeline=PixelPipeline(size=size))
    assert np.array_equal(pixels, transformers_pixels(Image.fromarray(rgb_HWC), size))
    assert np.array_equal(pixels, rgb_to_pixels(rgb_HWC, pipeline=PixelPipeline(size=size)))


@pytest.mark.parametrize(
    ("height", "width"), [(240, 320), (321, 241), (100, 50), (224, 224), (1, 1), (225, 223)]
)
def test_pil_at_clips_size(height: int, width: int) -> None:
    image = Image.fromarray(noise(height, width))
    pixels = image_to_pixels(image, pipeline=PixelPipeline())
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, transformers_pixels(image, 224))


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "PA", "CMYK", "YCbCr", "I;16", "PT"])
def test_any_picture_mode(mode: str) -> None:
    if mode == "PT":  # a palette with one transparent colour, as in GIF and PNG
        image = Image.fromarray(noise(40, 30)).convert("P")
        image.info["transparency"] = 3
    elif mode in ("RGBA", "LA", "PA"):
        image = Image.fromarray(noise(40, 30, channels=4), "RGBA" if mode != "LA" else None)
        image = image.convert(mode) if mode != "RGBA" else image
    elif mode == "I;16":
        image = Image.fromarray(noise(40, 30, channels=1).astype(np.uint16) * 200)
    else:
        image = Image.fromarray(noise(40, 30)).convert(mode)
    pixels = image_to_pixels(image, pipeline=PixelPipeline(size=24))
    assert np.array_equal(pixels, transformers_pixels(image, 24))


def test_transparent_becomes_white() -> None:
    clear = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    assert (image_to_pixels(clear, pipeline=PixelPipeline(size=4)) == 255).all()


def test_swscale_is_near_the_reference_and_exactly_repeatable() -> None:
    y, x = np.mgrid[0:180, 0:320]
    rgb_HWC = np.stack([x % 256, (y * 255 // 180), (x + y) // 2 % 256], -1).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb_HWC, format="rgb24").reformat(format="yuv420p")
    fast = frame_to_pixels(frame, pipeline=PixelPipeline(name="swscale", size=64))
    exact = frame_to_pixels(frame, pipeline=PixelPipeline(size=64))
    assert np.abs(fast.astype(int) - exact).mean() < 3
    again = frame_to_pixels(frame, pipeline=PixelPipeline(name="swscale", size=64))
    assert np.array_equal(fast, again)


SQUASHING = {"pil-squash": 3, "pil-squash-bilinear": 2}
"""PIL's number of the filter, by pipeline."""


@settings(deadline=None)
@given(
    name=st.sampled_from(sorted(SQUASHING)),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    size=st.integers(1, 48),
    seed=st.integers(0, 99),
)
def test_squashing_is_what_siglips_processor_makes(
    name: str, height: int, width: int, size: int, seed: int
) -> None:
    processor = SiglipImageProcessorPil(
        size={"height": size, "width": size},
        resample=SQUASHING[name],
        do_rescale=False,
        do_normalize=False,
    )
    rgb_HWC = noise(height, width, seed=seed)
    (expected_CHW,) = processor(Image.fromarray(rgb_HWC))["pixel_values"]
    pixels = rgb_to_pixels(rgb_HWC, pipeline=PixelPipeline(name=name, size=size))
    assert np.array_equal(pixels, expected_CHW.transpose(1, 2, 0))


@pytest.mark.parametrize("name", sorted(SQUASHING))
def test_fast_squashing_is_near_the_reference(name: str) -> None:
    y, x = np.mgrid[0:180, 0:320]
    rgb_HWC = np.stack([x % 256, (y * 255 // 180), (x + y) // 2 % 256], -1).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb_HWC, format="rgb24").reformat(format="yuv420p")
    fast = PixelPipeline(name=name.replace("pil", "swscale"), size=64)
    assert fast.reference == name
    found, exact = (frame_to_pixels(frame, pipeline=p) for p in (fast, replace(fast, name=name)))
    cropped = frame_to_pixels(frame, pipeline=PixelPipeline(size=64))
    assert np.abs(found.astype(int) - exact).mean() < 3
    assert np.abs(cropped.astype(int) - exact).mean() > 10


def slow_vificlip(rgb_HWC: np.ndarray, size: int) -> np.ndarray:
    """Pixel by pixel: shortest edge to 8/7, bilinear between pixel centres, middle square."""
    height, width = rgb_HWC.shape[:2]
    scale = int(256 / 224 * size) / min(height, width)
    new_height, new_width = int(height * scale + 0.5), int(width * scale + 0.5)
    top, left = (new_height - size) // 2, (new_width - size) // 2
    pixels = np.empty((size, size, 3))
    for row in range(size):
        for column in range(size):
            y = (top + row + 0.5) * height / new_height - 0.5
            x = (left + column + 0.5) * width / new_width - 0.5
            y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            pixels[row, column] = (
                rgb_HWC[y0, x0] * ((1 - (y - y0)) * (1 - (x - x0)))
                + rgb_HWC[y1, x0] * ((y - y0) * (1 - (x - x0)))
                + rgb_HWC[y0, x1] * ((1 - (y - y0)) * (x - x0))
                + rgb_HWC[y1, x1] * ((y - y0) * (x - x0))
            )
    return pixels


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    size=st.integers(1, 24),
    seed=st.integers(0, 99),
)
def test_vificlip_is_bilinear_without_antialiasing(
    height: int, width: int, size: int, seed: int
) -> None:
    rgb_HWC = noise(height, width, seed=seed)
    pixels = rgb_to_pixels(rgb_HWC, pipeline=PixelPipeline(name="vificlip", size=size))
    assert pixels.shape == (size, size, 3)
    # 0.5 of rounding, and float32.
    assert np.abs(pixels - slow_vificlip(rgb_HWC, size)).max() < 0.501


def test_vificlip_cuts_an_eighth_off_the_short_edge() -> None:
    """256 of 256 x 320 px are kept by the resize, and 224 of them by the crop."""
    rgb_HWC = noise(256, 320)
    pixels = rgb_to_pixels(rgb_HWC, pipeline=PixelPipeline(name="vificlip", size=224))
    assert np.array_equal(pixels, rgb_HWC[16:240, 48:272])


@pytest.mark.parametrize("name", PIPELINE_NAMES)
def test_frame_of_rgb_equals_picture(name: str) -> None:
    rgb_HWC = noise(60, 90)
    pipeline = PixelPipeline(name=name, size=32)
    frame = av.VideoFrame.from_ndarray(rgb_HWC, format="rgb24")
    assert np.array_equal(
        frame_to_pixels(frame, pipeline=pipeline), rgb_to_pixels(rgb_HWC, pipeline=pipeline)
    )


@pytest.mark.parametrize("name", PIPELINE_NAMES)
def test_frame_alpha_is_composited_on_white(name: str) -> None:
    rgba_HWC = noise(40, 60, channels=4)
    pipeline = PixelPipeline(name=name, size=20)
    frame = av.VideoFrame.from_ndarray(rgba_HWC, format="rgba")
    assert np.array_equal(
        frame_to_pixels(frame, pipeline=pipeline),
        image_to_pixels(Image.fromarray(rgba_HWC, "RGBA"), pipeline=pipeline),
    )


def test_pil_frame_is_stretched_then_turned_then_processed() -> None:
    rgb_HWC = noise(30, 40)
    frame = av.VideoFrame.from_ndarray(rgb_HWC, format="rgb24")
    wide = Image.fromarray(rgb_HWC).resize((60, 30), Image.Resampling.BICUBIC)
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(np.asarray(wide), -1)))
    pixels = frame_to_pixels(
        frame,
        pipeline=PixelPipeline(size=16),
        orientation=Orientation(transpose=True, flip_x=True),
        pixel_aspect=Fraction(3, 2),
    )
    assert np.array_equal(pixels, transformers_pixels(turned, 16))


@pytest.mark.parametrize("name", PIPELINE_NAMES)
def test_what_would_not_fit_in_memory_is_refused(name: str) -> None:
    thin = Image.fromarray(noise(1, 10000))
    pipeline = PixelPipeline(name=name, size=224)
    if name in ("pil-squash", "pil-squash-bilinear", "swscale-squash-bilinear"):
        assert image_to_pixels(thin, pipeline=pipeline).shape == (224, 224, 3)
    else:
        with pytest.raises(VideoError, match="too-large: a picture of 10000x1 px"):
            image_to_pixels(thin, pipeline=pipeline)
    frame = av.VideoFrame.from_ndarray(noise(64, 64), format="rgb24")
    with pytest.raises(VideoError, match="too-large"):
        frame_to_pixels(
            frame, pipeline=PixelPipeline(name=name), pixel_aspect=Fraction(1, 1_000_000)
        )


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="unknown pixel pipeline"):
        PixelPipeline(name="opencv")
    with pytest.raises(ConfigError, match="image size 0"):
        PixelPipeline(size=0)
