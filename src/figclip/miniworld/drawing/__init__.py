"""The renderer of the mini world: cartoons of situations, the same for the same seed."""

from figclip.miniworld.drawing.frames import (
    FRAME_PX,
    draw_film,
    draw_frame,
    draw_still,
    write_video,
)

__all__ = [
    "FRAME_PX",
    "draw_film",
    "draw_frame",
    "draw_still",
    "write_video",
]
