"""A reader of frames that say where they are from; light, because loader workers import it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from figclip.errors import StoreError
from figclip.records import VideoRecord
from figclip.video.sampling import frame_times_s


@dataclass(frozen=True)
class NumberedFrames:
    """Frames of 2 x 2 pixels: the number of their video, and ten times their time.

    Attributes:
        records: The videos.
        broken_video: The video whose frames cannot be read.
    """

    records: Sequence[VideoRecord]
    broken_video: int = -1

    def read_events(
        self, video_idx: int, annotation_idx: int, *, frames_per_event: int
    ) -> np.ndarray:
        annotation = self.records[video_idx].annotations[annotation_idx]
        times_s = frame_times_s(annotation, frames_per_event=frames_per_event)
        if video_idx == self.broken_video:
            raise StoreError("a frame is damaged", where="x.store", fix="Make it again")
        pixels = [[video_idx, round(10 * time_s), 0] for time_s in times_s]
        return np.tile(np.array(pixels, np.uint8)[:, None, None], (1, 2, 2, 1))
