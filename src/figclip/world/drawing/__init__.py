"""The renderer of the mini world: cartoons of situations, the same for the same seed."""

from figclip.world.drawing.frames import (
    FPS,
    FRAME_PX,
    draw_clip,
    draw_frame,
    draw_still,
)
from figclip.world.drawing.stage import EVENT_S
from figclip.world.drawing.video import write_video

__all__ = [
    "EVENT_S",
    "FPS",
    "FRAME_PX",
    "draw_clip",
    "draw_frame",
    "draw_still",
    "write_video",
]
