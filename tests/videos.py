"""Draws small videos whose every frame carries its number, and reads the number off the pixels.

The middle square of a frame is a 4 x 4 grid of black and white blocks: the top left one is always
white, the other three corners black, the remaining twelve are the number's bits. Anything but the
upright, unstretched picture reads as another number or as none.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from figclip.video.store import FrameStore, StoredVideo

BLOCK_PX = 16
GRID = 4
SQUARE_PX = BLOCK_PX * GRID
CORNERS = {(0, 0): True, (0, 3): False, (3, 0): False, (3, 3): False}
BIT_CELLS = [(r, c) for r in range(GRID) for c in range(GRID) if (r, c) not in CORNERS]


def draw_frame(number: int, *, width: int = 96, height: int = 64) -> np.ndarray:
    """RGB frame [H, W, 3] with the number in its middle and something that moves around it."""
    assert 0 <= number < 2 ** len(BIT_CELLS)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    grey = ((x * 5 + y * 3 + number * 7) % 256).astype(np.uint8)
    frame = np.stack([grey, 255 - grey, np.full_like(grey, 90)], axis=-1)
    top, left = (height - SQUARE_PX) // 2, (width - SQUARE_PX) // 2
    cells = CORNERS | {cell: bool(number >> bit & 1) for bit, cell in enumerate(BIT_CELLS)}
    for (row, column), is_white in cells.items():
        y0, x0 = top + row * BLOCK_PX, left + column * BLOCK_PX
        frame[y0 : y0 + BLOCK_PX, x0 : x0 + BLOCK_PX] = 255 if is_white else 0
    return frame


def read_number(pixels_SS3: np.ndarray) -> int:
    """The number on a square of pixels of any size; -1 when the corners are not as drawn."""
    side = pixels_SS3.shape[0] / GRID
    bright = {}
    for row in range(GRID):
        for column in range(GRID):
            y, x = round((row + 0.5) * side), round((column + 0.5) * side)
            reach = max(1, round(side / 4))
            block = pixels_SS3[y - reach : y + reach, x - reach : x + reach]
            bright[row, column] = bool(block.mean() > 128)
    if any(bright[cell] != is_white for cell, is_white in CORNERS.items()):
        return -1
    return sum(bright[cell] << bit for bit, cell in enumerate(BIT_CELLS))


def draw_video(
    path: Path,
    *,
    stamps: Sequence[int],
    time_base: Fraction = Fraction(1, 10),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = (96, 64),
    options: dict[str, str] | None = None,
    pixel_aspect: Fraction | None = None,
    container_format: str | None = None,
    container_options: dict[str, str] | None = None,
    with_sound: bool = False,
) -> Path:
    """Frames 0, 1, … shown at `stamps` (units of time_base); returns the path."""
    width, height = size
    with av.open(
        str(path), "w", format=container_format, options=container_options or {}
    ) as container:
        gap = stamps[1] - stamps[0] if len(stamps) > 1 else 1
        rate = 1 / (time_base * gap)
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = time_base
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if with_sound:
            container.add_stream("aac", rate=8000)
        for number, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(
                draw_frame(number, width=width, height=height), format="rgb24"
            )
            frame.pts, frame.time_base = stamp, time_base
            container.mux(stream.encode(frame.reformat(format=pixel_format)))
        container.mux(stream.encode())
    return path


def set_display_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Overwrite a, b, c, d (16.16 fixed point) of an mp4's only track header; returns the path."""
    content = bytearray(path.read_bytes())
    assert content.count(b"tkhd") == 1
    # Version 0: 40 bytes from the flags to the matrix.
    start = content.index(b"tkhd") + 4 + 40
    a, b, c, d = matrix
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def regular_stamps(num: int, *, first: int = 0) -> list[int]:
    """first, first + 1, …"""
    return list(range(first, first + num))


def stored_videos(store: FrameStore) -> list[StoredVideo]:
    """All videos of a store, by hash."""
    sql = "SELECT hash, path, duration_s, num_frames FROM videos ORDER BY hash"
    with closing(sqlite3.connect(store.path)) as connection:
        return [
            StoredVideo(hash=name, path=path, duration_s=duration_s, num_frames=num_frames)
            for name, path, duration_s, num_frames in connection.execute(sql)
        ]
