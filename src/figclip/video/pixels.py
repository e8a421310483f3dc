"""Named pixel pipelines: from a picture or a decoded frame to the S x S RGB square that CLIP reads.

`pil` is the reference: bit for bit what transformers 5's PIL CLIP image processor makes of the
whole frame before it rescales and normalises (shortest edge to S with PIL's bicubic, centre crop).
`swscale` is faster: libswscale scales the decoder's picture straight to the resized size, so the
full-size RGB frame is never made; it differs from the reference by a few grey levels.
`pil-squash` is the reference of models that see the whole picture, its shape lost: bit for bit what
transformers 5's PIL SigLIP image processor makes (both edges to S with PIL's bicubic, no crop);
`pil-squash-bilinear` does so with PIL's bilinear filter, as SigLIP 2's. `swscale-squash` and
`swscale-squash-bilinear` are their faster forms.
`vificlip` is how ViFi-CLIP's evaluation treats whole frames: shortest edge to 8/7 S, bilinear
without antialiasing, centre crop. It is for comparing with published numbers, not for training.

Mean and standard deviation are the model's business and are applied after these pipelines.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import numpy as np
from av.error import ArgumentError
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from jaxtyping import Float32, Int64, UInt8
from PIL import Image

from figclip.errors import ConfigError, VideoError

PIPELINE_NAMES = (
    *("pil", "swscale", "vificlip"),
    *("pil-squash", "swscale-squash", "pil-squash-bilinear", "swscale-squash-bilinear"),
)
MAX_PIXELS = 100_000_000
"""Largest picture, in pixels, that is decoded or made on the way (100 megapixels)."""

# ACCURATE_RND and BITEXACT: without them x86 code paths round differently from others, and a store
# made on one machine would differ from one made on another.
_SWSCALE_FLAGS = Interpolation.ACCURATE_RND | Interpolation.BITEXACT


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelPipeline:
    """How full frames become pixels; the name is written into stores, models and indexes.

    It is one of `PIPELINE_NAMES`. `size` is the side S of the square in pixels.
    """

    name: str = "pil"
    size: int = 224

    def __post_init__(self) -> None:
        if self.name not in PIPELINE_NAMES:
            raise ConfigError(
                f"unknown pixel pipeline {self.name!r}",
                fix=f"Use one of {', '.join(PIPELINE_NAMES)}",
            )
        if not 1 <= self.size <= 4096:
            raise ConfigError(
                f"image size {self.size} is not between 1 and 4096 px",
                fix="Use the model's image size, for example 224",
            )

    @property
    def reference(self) -> str:
        """Name of the pipeline of PIL that this one stands for: `pil`, or one that squashes."""
        return "pil" if self.name == "vificlip" else self.name.replace("swscale", "pil")

    @property
    def is_fast(self) -> bool:
        """Whether libswscale does it."""
        return self.name.startswith("swscale")

    @property
    def squashes(self) -> bool:
        """Whether the whole picture becomes the square, without a crop."""
        return "-squash" in self.name

    @property
    def is_bilinear(self) -> bool:
        """Whether the filter is bilinear; bicubic otherwise."""
        return self.name.endswith("-bilinear")

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of a picture before the crop, if there is one.

        Raises:
            VideoError: `too-large`, when the picture before or after exceeds MAX_PIXELS.
        """
        if not self.squashes:
            return resized_size(height, width, size=self.size)
        if height * width > MAX_PIXELS:
            raise too_large(height, width)
        return self.size, self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """One of the eight ways to turn a coded picture upright: transpose first, then flip."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def apply(self, picture_HWC: UInt8[np.ndarray, "H W C"]) -> UInt8[np.ndarray, "H2 W2 C"]:
        """The upright picture, as a view."""
        if self.transpose:
            picture_HWC = picture_HWC.transpose(1, 0, 2)
        return picture_HWC[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]


UPRIGHT = Orientation()


def image_to_pixels(image: Image.Image, *, pipeline: PixelPipeline) -> UInt8[np.ndarray, "S S 3"]:
    """Pixels of a still picture of any PIL mode.

    Transparency is composited onto white, as transformers 5 does (version 4 dropped it). EXIF
    orientation is not applied: transformers' processor does not either.

    Raises:
        VideoError: `too-large`, when the picture or its resized form exceeds MAX_PIXELS.
    """
    return rgb_to_pixels(np.asarray(_to_rgb(image)), pipeline=pipeline)


def rgb_to_pixels(
    rgb_HWC: UInt8[np.ndarray, "H W 3"], *, pipeline: PixelPipeline
) -> UInt8[np.ndarray, "S S 3"]:
    """Pixels of an upright RGB picture with square pixels; as `image_to_pixels`."""
    if pipeline.name == "vificlip":
        return _centre_crop(_vificlip_resized(rgb_HWC, size=pipeline.size), size=pipeline.size)
    height, width = pipeline.resized(rgb_HWC.shape[0], rgb_HWC.shape[1])
    if pipeline.is_fast:
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb_HWC), format="rgb24")
        scaled_HWC = _swscale(frame, height=height, width=width, is_bilinear=pipeline.is_bilinear)
        return _centre_crop(scaled_HWC, size=pipeline.size)
    resample = Image.Resampling.BILINEAR if pipeline.is_bilinear else Image.Resampling.BICUBIC
    resized = Image.fromarray(np.ascontiguousarray(rgb_HWC)).resize(
        (width, height), resample=resample
    )
    return _centre_crop(np.asarray(resized), size=pipeline.size)


def frame_to_pixels(
    frame: VideoFrame,
    *,
    pipeline: PixelPipeline,
    orientation: Orientation = UPRIGHT,
    pixel_aspect: Fraction = Fraction(1),
) -> UInt8[np.ndarray, "S S 3"]:
    """Pixels of a decoded frame, turned upright and stretched to square pixels.

    `pixel_aspect` is width over height of one coded pixel. The side that is too short is stretched,
    so that no line of the picture is lost. With libswscale one scaling does it all; with the others
    the full-size square-pixel frame is made first and then treated like a picture. ViFi-CLIP's
    decoder (decord) leaves the pixel aspect as it is.

    Raises:
        VideoError: `too-large`, when the frame or its stretched or resized form exceeds MAX_PIXELS.
    """
    height, width = _square_pixel_size(frame, pixel_aspect)
    frame = _without_alpha(frame)
    if pipeline.is_fast:
        height, width = pipeline.resized(height, width)
        scaled_HWC = _swscale(frame, height=height, width=width, is_bilinear=pipeline.is_bilinear)
        return _centre_crop(orientation.apply(scaled_HWC), size=pipeline.size)
    rgb_HWC = frame.to_ndarray(format="rgb24", threads=1)
    if (height, width) != rgb_HWC.shape[:2]:
        stretched = Image.fromarray(rgb_HWC).resize(
            (width, height), resample=Image.Resampling.BICUBIC
        )
        rgb_HWC = np.asarray(stretched)
    return rgb_to_pixels(orientation.apply(rgb_HWC), pipeline=pipeline)


def frame_to_thumbnail(
    frame: VideoFrame,
    *,
    side_px: int,
    orientation: Orientation = UPRIGHT,
    pixel_aspect: Fraction = Fraction(1),
) -> UInt8[np.ndarray, "H W 3"]:
    """The whole decoded frame within a square, for people; the rest is as in `frame_to_pixels`."""
    height, width = _square_pixel_size(frame, pixel_aspect)
    scale = side_px / max(height, width)
    height, width = (max(1, round(edge * scale)) for edge in (height, width))
    return orientation.apply(_swscale(_without_alpha(frame), height=height, width=width))


def resized_size(height: int, width: int, *, size: int) -> tuple[int, int]:
    """Height and width after the shortest edge became `size`; the other is rounded down.

    Raises:
        VideoError: `too-large`, when the picture before or after exceeds MAX_PIXELS.

    Source:
        transformers 5 `image_transforms.get_resize_output_image_size`.
    """
    short, long = min(height, width), max(height, width)
    new_long = int(size * long / short)
    if max(height * width, size * new_long) > MAX_PIXELS:
        raise too_large(height, width)
    return (new_long, size) if width <= height else (size, new_long)


def too_large(height: int, width: int) -> VideoError:
    """The error for a picture that is itself too large, or too long and thin to be resized."""
    return VideoError(
        f"too-large: a picture of {width}x{height} px exceeds {MAX_PIXELS // 10**6} megapixels, "
        "as it is or resized",
        fix="Scale the video down first",
    )


def _square_pixel_size(frame: VideoFrame, pixel_aspect: Fraction) -> tuple[int, int]:
    """Height and width of the coded picture once its pixels are square."""
    height, width = frame.height, frame.width
    if pixel_aspect > 1:
        width = max(1, round(width * pixel_aspect))
    elif pixel_aspect < 1:
        height = max(1, round(height / pixel_aspect))
    if height * width > MAX_PIXELS:
        raise too_large(height, width)
    return height, width


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB, transparency composited onto white: transformers 5 `convert_to_rgb`."""
    if image.mode == "RGB" and image.info.get("transparency") is None:
        return image
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _without_alpha(frame: VideoFrame) -> VideoFrame:
    """The frame itself, or where it has an alpha channel its RGB on white, as for stills."""
    if not any(component.is_alpha for component in frame.format.components):
        return frame
    rgba = Image.fromarray(frame.to_ndarray(format="rgba", threads=1))
    return VideoFrame.from_ndarray(np.asarray(_to_rgb(rgba)), format="rgb24")


def _swscale(
    frame: VideoFrame, *, height: int, width: int, is_bilinear: bool = False
) -> UInt8[np.ndarray, "H W 3"]:
    """RGB of the frame scaled with libswscale's bicubic or bilinear filter."""
    method = Interpolation.BILINEAR if is_bilinear else Interpolation.BICUBIC
    try:
        scaled = frame.reformat(
            width=width,
            height=height,
            format="rgb24",
            interpolation=method | _SWSCALE_FLAGS,
            threads=1,
        )
    except ArgumentError as error:  # its filters have a longest length: 10,000 x 4 px to 224 x 224
        raise too_large(frame.height, frame.width) from error
    return cast(np.ndarray, scaled.to_ndarray())


def _vificlip_resized(
    rgb_HWC: UInt8[np.ndarray, "H W 3"], *, size: int
) -> UInt8[np.ndarray, "H2 W2 3"]:
    """The picture with its shortest edge at 8/7 of `size`, as OpenCV's INTER_LINEAR makes it.

    Source: muzairkhattak/ViFi-CLIP@e2d1948 datasets/build.py:245,289; open-mmlab/mmcv@a8073c7
    mmcv/image/geometric.py:33 (both edges are rounded half up). OpenCV computes in 11-bit fixed
    point: 4.12 and 5.0 differ from this by at most one grey level, in 10 % of values (3,000
    pictures of noise, edges of 1 to 400 px to 1 to 400 px).
    """
    height, width = rgb_HWC.shape[:2]
    scale = int(256 / 224 * size) / min(height, width)
    new_height, new_width = int(height * scale + 0.5), int(width * scale + 0.5)
    if max(height * width, new_height * new_width) > MAX_PIXELS:
        raise too_large(height, width)
    above, below, down_H = _neighbours(height, new_height)
    left, right, across_W = _neighbours(width, new_width)
    down_H11, across_W1 = down_H[:, None, None], across_W[:, None]
    rows = rgb_HWC[above] * (1 - down_H11) + rgb_HWC[below] * down_H11
    return np.rint(rows[:, left] * (1 - across_W1) + rows[:, right] * across_W1).astype(np.uint8)


def _neighbours(
    old: int, new: int
) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"], Float32[np.ndarray, " N"]]:
    """Old lines before and after each new one, and how far it is from the one to the other."""
    # Pixel centres lie at halves; the edge is repeated beyond it.
    centres = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    before = np.floor(centres).astype(np.int64)
    return before, np.minimum(before + 1, old - 1), (centres - before).astype(np.float32)


def _centre_crop(rgb_HWC: UInt8[np.ndarray, "H W 3"], *, size: int) -> UInt8[np.ndarray, "S S 3"]:
    """The middle square; an odd margin leaves its extra line below and to the right."""
    top = (rgb_HWC.shape[0] - size) // 2
    left = (rgb_HWC.shape[1] - size) // 2
    return np.ascontiguousarray(rgb_HWC[top : top + size, left : left + size])
