"""Whole shots of a video, as PySceneDetect finds them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from figclip.errors import ConfigError
from figclip.video.container import Deadline, scan_packets
from figclip.video.decoding import stream_frames

_SHORTEST_S = 0.6
_LOOKED_AT_PX = 160
_TOLD_EVERY_FRAMES = 100
# FrameTimecode wants one, and does not use it: our moments are in microseconds.
_ANY_FPS = 25.0


def require_shot_detection() -> None:
    """Raise a `ConfigError` where PySceneDetect is not installed."""
    if find_spec("scenedetect") is None:
        raise ConfigError(
            "needs PySceneDetect", where="--shots", fix='Install it: pip install "figclip[shots]"'
        )


def find_shots(
    path: Path, *, duration_us: int, limit_s: float
) -> Generator[float, None, Int64[np.ndarray, "N 2"]]:
    """Decode a video and find its shots; cuts are where PySceneDetect's AdaptiveDetector says.

    Frames come from our decoder, so that cuts are at the times of the frames that are embedded.
    None may take longer than `limit_s` seconds.

    Yields:
        How far it is, from 0 to 1, now and then.

    Returns:
        Start and end of each shot in microseconds; they follow each other without a gap.

    Raises:
        VideoError: a frame does not decode.
    """
    from scenedetect import AdaptiveDetector, FrameTimecode
    from scenedetect.common import Timecode

    scan = scan_packets(path, deadline=Deadline(path=path, budget_s=limit_s))
    times_us = sorted({scan.to_us(stamp, first=scan.stamps[0]) for stamp in scan.stamps})
    detector = AdaptiveDetector(min_scene_len=_SHORTEST_S)
    cuts_us: list[int] = []
    with closing(
        stream_frames(path, [time_us / 1e6 for time_us in times_us], deadline_s=limit_s)
    ) as shown_frames:
        for shown in shown_frames:
            if shown.number == 0:
                detector, cuts_us = AdaptiveDetector(min_scene_len=_SHORTEST_S), []
            moment = FrameTimecode(Timecode(shown.shown_us, Fraction(1, 1_000_000)), fps=_ANY_FPS)
            picture_BGR = np.ascontiguousarray(shown.thumbnail(_LOOKED_AT_PX)[..., ::-1])
            cuts_us += [cut.pts for cut in detector.process_frame(moment, picture_BGR)]
            if shown.number % _TOLD_EVERY_FRAMES == 0:
                yield shown.shown_us / duration_us
    edges_us = [0, *cuts_us, duration_us]
    return np.array(list(zip(edges_us[:-1], edges_us[1:], strict=True)), np.int64)
