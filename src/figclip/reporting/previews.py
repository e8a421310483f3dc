"""Small copies of videos and pictures for inside a report: square, short, without sound."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from figclip.datasets.records import Medium
from figclip.video.container import video_duration_s, write_h264
from figclip.video.decoding import decode_frames
from figclip.video.images import read_image
from figclip.video.pixels import PixelPipeline, image_to_pixels

SIDE_PX = 224
FPS = 10
MAX_S = 10.0
PIXELS = PixelPipeline(name="pil", size=SIDE_PX)
"""How frames of all sizes are read: what a model sees, by the processor of CLIP."""
_JPEG_QUALITY = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A medium as `data:` addresses.

    Attributes:
        picture: JPEG; of a video, the frame in its middle.
        video: H.264 in MP4; empty for a picture.
        cut_at_s: Where a longer video was cut; None where it is whole.
    """

    picture: str
    video: str = ""
    cut_at_s: float | None = None

    @property
    def num_bytes(self) -> int:
        """What it takes in the report."""
        return len(self.picture) + len(self.video)


def preview(path: Path, medium: Medium) -> Preview:
    """A small copy of what a model saw: the square in the middle, as CLIP's processor crops it.

    The same for the same file: encoded by one thread, without dates. x264's bytes were seen to
    differ once all the same, on a busy machine (2026-11-25).
    """
    if medium.kind == "image":
        image = read_image(path, box=medium.box)
        return Preview(picture=jpeg_address(image_to_pixels(image, pipeline=PIXELS)))
    duration_s = video_duration_s(path)
    end_s = min(duration_s, MAX_S)
    times_s = [n / FPS for n in range(max(1, int(end_s * FPS))) if n / FPS < duration_s]
    frames_NHWC = decode_frames(path, times_s, pipeline=PIXELS).frames_NHWC
    file = io.BytesIO()
    write_h264(file, frames_NHWC, fps=FPS, crf="28", preset="medium")
    return Preview(
        picture=jpeg_address(frames_NHWC[len(frames_NHWC) // 2]),
        video=_address("video/mp4", file.getvalue()),
        cut_at_s=MAX_S if duration_s > MAX_S + 1 / FPS else None,
    )


def jpeg_address(pixels_SS3: UInt8[np.ndarray, "S S 3"], *, max_px: int = SIDE_PX) -> str:
    """A square picture as a `data:` address, at most so many pixels wide."""
    file = io.BytesIO()
    image = Image.fromarray(pixels_SS3)
    image.thumbnail((max_px, max_px))
    image.save(file, format="JPEG", quality=_JPEG_QUALITY, optimize=True)
    return _address("image/jpeg", file.getvalue())


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
