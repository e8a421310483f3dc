"""A picture file, opened safely."""

import io
import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from figclip.datasets.records import Box
from figclip.errors import VideoError
from figclip.runtime.reading import read_bytes
from figclip.video.container import checked_file, unreadable
from figclip.video.pixels import MAX_PIXELS, too_large

# Others are read by programs of their own (EPS by Ghostscript), or not by every build of Pillow.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM", "WEBP")
_MAX_BYTES = 8 * MAX_PIXELS
"""No picture of so many pixels is longer: four channels of 16 bits."""


def read_image(path: Path, *, box: Box | None = None) -> Image.Image:
    """A picture, or the part of it in a box; the first frame of an animated one.

    EXIF orientation is not applied. What of a box lies outside the picture is black, as in ARO's
    evaluation (mertyg/vision-language-models-are-bows dataset_zoo/aro_datasets.py).

    Raises:
        VideoError: `missing`, `not-a-file`, `empty`, `unreadable`; `not-an-image`; `damaged`;
            `too-large`, more than MAX_PIXELS; `too-deep`, 16 bits of grey and the like: the file
            does not say which number is white; `bad-box`, nothing of the picture is in the box.
    """
    content = _read(path)
    try:
        with _quiet_pillow(), Image.open(content, formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise too_large(image.height, image.width)
            image.load()
    except VideoError as error:
        raise VideoError(error.what, where=str(path), fix=error.fix) from error
    except Image.DecompressionBombError as error:
        raise VideoError(f"too-large: {error}", where=str(path)) from error
    except UnidentifiedImageError as error:
        raise VideoError(
            "not-an-image: no picture of a known format",
            where=str(path),
            fix=f"Give a file of {', '.join(_FORMATS)}",
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise whatever damaged bytes lead them to
        raise VideoError(
            f"damaged: {error}", where=str(path), fix="The file is damaged or cut short"
        ) from error
    if image.mode.startswith(("I", "F")):  # Pillow would cut all numbers off at 0 and 255
        raise VideoError(
            f"too-deep: its numbers go beyond 8 bits (Pillow's mode {image.mode})",
            where=str(path),
            fix="Convert it to 8 bits, so that 255 is white",
        )
    return image if box is None else _cropped(image, box, path=path)


def _read(path: Path) -> io.BytesIO:
    """What Pillow reads: of a file, it makes room for the gigabytes that a damaged chunk claims."""
    try:
        return io.BytesIO(read_bytes(checked_file(path), limit=_MAX_BYTES))
    except OSError as error:
        raise unreadable(path, error) from error


@contextmanager
def _quiet_pillow() -> Generator[None]:
    """Ignore what Pillow says beside what it raises."""
    # It warns of damaged metadata, which nobody reads here, and of large pictures, for which
    # MAX_PIXELS is the limit. The one error that it logs, and so prints, it also raises.
    logger = logging.getLogger("PIL.TiffImagePlugin")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _cropped(image: Image.Image, box: Box, *, path: Path) -> Image.Image:
    """The part of a picture in a box."""
    right, bottom = box.left + box.width, box.top + box.height
    is_inside = min(right, image.width) > max(box.left, 0) and (
        min(bottom, image.height) > max(box.top, 0)
    )
    if box.width < 1 or box.height < 1 or not is_inside:
        raise VideoError(
            f"bad-box: nothing of the picture of {image.width}x{image.height} px is in {box}",
            where=str(path),
            fix="Is it the picture that was annotated?",
        )
    if box.width * box.height > MAX_PIXELS:
        raise too_large(box.height, box.width)
    return image.crop((box.left, box.top, right, bottom))
