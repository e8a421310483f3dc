"""Pictures and clips of a page: known to the browser by tokens, and shown as small copies."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from threading import Lock

from PIL import Image

from figclip.errors import ConfigError, VideoError
from figclip.runtime.files import write_atomically
from figclip.search.clips import encode_moment
from figclip.video.container import video_duration_s
from figclip.video.decoding import stream_frames
from figclip.video.images import read_image

MAX_UPLOAD_BYTES = 64 * 1024 * 1024
MAX_UPLOAD_S = 60.0
MAX_SHOWN_S = 120.0
"""Of a longer video the beginning is shown."""
_MAX_MEDIA, _MAX_COPIES, _MAX_UPLOADS = 5_000, 300, 16
_SIDE_PX, _STILL_PX, _FPS = 480, 320, 15
_UPLOAD_DEADLINE_S = 20.0
_MAX_UPLOAD_PIXELS = 4096 * 2304
_JPEG_QUALITY = 85


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """A picture, or a span of a video.

    Attributes:
        path: The file.
        span_s: Start and end in seconds; None for a picture.
        still: A JPEG of it, where there is one already.
    """

    path: Path
    span_s: tuple[float, float] | None = None
    still: bytes | None = None


class Shelf:
    """Media under tokens that nobody can guess, and their copies in a folder.

    The oldest are forgotten: of media, of copies, and of what was uploaded. Threads may share it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tokens: OrderedDict[Medium, str] = OrderedDict()
        self._media: dict[str, Medium] = {}
        self._copies: OrderedDict[Path, None] = OrderedDict()
        self._uploads: OrderedDict[Path, None] = OrderedDict()
        self._lock, self._making = Lock(), Lock()

    def put(self, medium: Medium) -> str:
        """The token of a medium."""
        with self._lock:
            token = self._tokens.setdefault(medium, secrets.token_urlsafe(12))
            self._tokens.move_to_end(medium)
            self._media[token] = medium
            if len(self._tokens) > _MAX_MEDIA:
                _, oldest = self._tokens.popitem(last=False)
                del self._media[oldest]
            return token

    def get(self, token: str) -> Medium:
        """The medium of a token.

        Raises:
            ConfigError: there is none, or it was forgotten.
        """
        medium = self._media.get(token)
        if medium is None:
            raise ConfigError("That picture or clip is not here any more", fix="Choose it again")
        return medium

    def copy(self, token: str, *, still: bool = False) -> Path:
        """A JPEG of a picture or, if `still`, of a video; else an MP4.

        Raises:
            ConfigError: as `get`.
            VideoError: the file cannot be read.
        """
        medium = self.get(token)
        is_picture = still or medium.span_s is None
        path = (
            self._folder / f"{token}{'-still.jpg' if still else '.jpg' if is_picture else '.mp4'}"
        )
        with self._making:  # one after the other: each takes a core
            if not path.exists():
                make = _still if still else _picture if is_picture else _clip
                write_atomically(path, make(medium))
            self._keep(self._copies, path, most=_MAX_COPIES)
        return path

    def new_upload(self) -> Path:
        """Where the next upload is to be written."""
        path = self._folder / f"upload-{secrets.token_hex(8)}"
        with self._lock:
            self._keep(self._uploads, path, most=_MAX_UPLOADS)
        return path

    def accept(self, upload: Path) -> str:
        """The token of what was uploaded; what is refused is deleted.

        Raises:
            VideoError: neither a picture nor a video of at most a minute, or one that cannot be
                read. It does not name the file.
        """
        try:
            return self.put(_examined(upload))
        except VideoError as error:
            upload.unlink(missing_ok=True)
            raise VideoError(error.what, fix=error.fix) from error

    def _keep(self, files: OrderedDict[Path, None], path: Path, *, most: int) -> None:
        """Remember a file as the newest of its kind, and delete the oldest beyond so many."""
        files[path] = None
        files.move_to_end(path)
        while len(files) > most:
            oldest, _ = files.popitem(last=False)
            oldest.unlink(missing_ok=True)


def _examined(upload: Path) -> Medium:
    """A picture, or else a video, by what it holds: names say nothing."""
    try:
        read_image(upload)
        return Medium(path=upload)
    except VideoError as error:
        if not error.what.startswith("not-an-image"):
            raise
    try:
        duration_s = video_duration_s(upload, deadline_s=_UPLOAD_DEADLINE_S)
        if duration_s <= MAX_UPLOAD_S:
            middle_s = [duration_s / 2]
            frame = next(stream_frames(upload, middle_s, deadline_s=_UPLOAD_DEADLINE_S)).frame
            if frame.width * frame.height > _MAX_UPLOAD_PIXELS:
                raise VideoError(f"too-large: {frame.width} x {frame.height} pixels")
    except VideoError as error:
        raise VideoError(
            f"This is no picture or video that can be read here ({error.what})",
            fix="Choose a JPEG, PNG or WebP, or a video such as MP4",
        ) from error
    if duration_s > MAX_UPLOAD_S:
        raise VideoError(
            f"too-long: the clip lasts {duration_s:,.0f} s",
            fix=f"Choose one of at most {MAX_UPLOAD_S:.0f} s, or cut it",
        )
    return Medium(path=upload, span_s=(0.0, duration_s))


def _clip(medium: Medium) -> bytes:
    """A small MP4."""
    assert medium.span_s is not None
    start_s, end_s = medium.span_s
    end_s = min(end_s, start_s + MAX_SHOWN_S)
    return encode_moment(medium.path, start_s=start_s, end_s=end_s, side_px=_SIDE_PX, fps=_FPS)


def _picture(medium: Medium) -> bytes:
    """A small JPEG of a picture."""
    return _jpeg(read_image(medium.path), side_px=_SIDE_PX)


def _still(medium: Medium) -> bytes:
    """A JPEG of a picture, or of the middle of a video."""
    if medium.still is not None:
        return medium.still
    if medium.span_s is None:
        return _jpeg(read_image(medium.path), side_px=_STILL_PX)
    shown = next(stream_frames(medium.path, [sum(medium.span_s) / 2]))
    return _jpeg(Image.fromarray(shown.thumbnail(_STILL_PX)), side_px=_STILL_PX)


def _jpeg(image: Image.Image, *, side_px: int) -> bytes:
    """A picture as JPEG."""
    content = BytesIO()
    image.thumbnail((side_px, side_px))
    image.convert("RGB").save(content, "JPEG", quality=_JPEG_QUALITY)
    return content.getvalue()
